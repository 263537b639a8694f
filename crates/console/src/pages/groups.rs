//! The groups of a channel: their slots, the steps of a rotation, and their settings.

use super::{Acts, PageHead, shown_token::ShownToken};
use crate::{
    forms::Field,
    frame::Frame,
    html::{Bdi, Html, Id},
    pieces::{HtmlTable, Row, button, buttons, column, commands, joined, link, quiet, tag},
};
use askama::Template;
use tegata_policy::{idle::Idle, rules::WhenFull};
use tegata_token::{
    id::{ChannelId, Group},
    kind::Kind,
};

/// A group.
#[derive(Debug, Clone)]
pub struct ShownGroup {
    /// Its channel.
    pub channel: ChannelId,
    /// Its name.
    pub group: Group,
    /// Its contact.
    pub contact: Option<String>,
    /// How many active tokens of a kind it can have.
    pub cap: usize,
    /// What happens when it has so many.
    pub when_full: WhenFull,
    /// Whether it has settings of its own for these.
    pub own: bool,
    /// How many assertion keys it has.
    pub keys: usize,
    /// Its active tokens.
    pub tokens: Vec<ShownToken>,
}

/// The groups of a channel.
#[derive(Debug, Template)]
#[template(path = "groups.html")]
pub struct GroupsPage {
    page: PageHead,
    channel: ChannelId,
    /// Those that are shown with their slots.
    cards: Vec<ShownGroup>,
    others: Vec<ShownGroup>,
}

/// Groups that are shown with their slots.
const CARDS: usize = 20;

/// Free slots of a kind that are drawn.
const FREE: usize = 2;

impl GroupsPage {
    /// The page. Groups with active tokens come first.
    #[must_use]
    pub fn new(page: PageHead, channel: ChannelId, groups: Vec<ShownGroup>) -> Self {
        let (mut cards, mut others): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|it| !it.tokens.is_empty());
        others.splice(0..0, cards.split_off(cards.len().min(CARDS)));
        Self { page, channel, cards, others }
    }

    fn is_empty(&self) -> bool {
        self.cards.is_empty() && self.others.is_empty()
    }

    fn table(&self) -> Html {
        let frame = &self.page.frame;
        let (t, times) = (&frame.t().groups, frame.times());
        let takes = self.page.acts.take;
        let row = |it: &ShownGroup| {
            let next = it.tokens.iter().filter_map(ShownToken::expiry).min();
            let contact = it.contact.as_deref();
            Row {
                past: false,
                cells: vec![
                    link(&it.href(), &crate::html!("{}", Bdi(it.group.as_str()))),
                    crate::html!("{}", it.tokens.len()),
                    next.map_or_else(|| quiet(t.no_tokens), |at| times.cell(at)),
                    contact.map_or_else(
                        || quiet(frame.t().common.none),
                        |it| crate::html!("{}", Bdi(it)),
                    ),
                ]
                .into_iter()
                .chain(takes.then(|| {
                    let href = format!("{}/delete", it.href());
                    button("danger slim", &href, t.delete, it.group.as_str())
                }))
                .collect(),
            }
        };
        let table = HtmlTable {
            caption: Html::text(t.others),
            columns: vec![
                column(frame.t().token.group),
                column(t.active),
                column(t.next_expiry),
                column(frame.t().token.contact),
            ]
            .into_iter()
            .chain(takes.then(|| buttons(frame.t().token.action)))
            .collect(),
            rows: self.others.iter().map(row).collect(),
        };
        table.html()
    }

    fn commands(&self) -> Html {
        let line = format!("tegata group list --channel {}", self.channel);
        commands(self.page.frame.t().common.command_line, &[line])
    }
}

impl ShownGroup {
    /// The address of its page.
    #[must_use]
    pub fn href(&self) -> String {
        format!("/console/channels/{}/groups/{}", self.channel, self.group)
    }

    fn tokens_href(&self) -> String {
        format!("/console/channels/{}/tokens?group={}", self.channel, self.group)
    }

    fn contact_html(&self, frame: &Frame) -> Html {
        let t = &frame.t().groups;
        self.contact.as_deref().map_or_else(|| Html::text(t.no_contact), |it| (t.contact)(Bdi(it)))
    }

    fn rule(&self, frame: &Frame) -> String {
        let t = &frame.t().groups;
        let of = if self.own { t.own_setting } else { t.channel_default };
        format!("{} {of} {}", (t.rule)(self.cap, self.when_full), (t.keys)(self.keys))
    }

    /// The tokens of a kind, the oldest first.
    fn of_kind(&self, kind: Kind) -> Vec<&ShownToken> {
        let mut all: Vec<_> = self.tokens.iter().filter(|it| it.kind == kind).collect();
        all.sort_by_key(|it| (it.issued, it.id.0));
        all
    }

    fn kinds(&self) -> Vec<Kind> {
        Kind::all().filter(|kind| !self.of_kind(*kind).is_empty()).collect()
    }

    /// The slots of all kinds that it has a token of.
    fn slots(&self, frame: &Frame) -> Html {
        let all = self.kinds().into_iter().map(|kind| {
            let tokens = self.of_kind(kind);
            let count = tokens.len();
            let slots = tokens.iter().enumerate().map(|(at, it)| slot(frame, it, at, count));
            let free = self.cap.saturating_sub(count).min(FREE);
            let free = crate::html!(
                "<div class=\"slot free\">{}</div>",
                Html::text(frame.t().groups.free)
            )
            .to_string()
            .repeat(free);
            let slots = joined(&slots.collect::<Vec<_>>());
            Html::trusted(format!("<div class=\"slots\">{slots}{free}</div>"))
        });
        joined(&all.collect::<Vec<_>>())
    }

    /// The tokens between which each kind rotates: the oldest and the newest.
    fn rotations(&self) -> Vec<(&ShownToken, &ShownToken)> {
        let pairs = self.kinds().into_iter().filter_map(|kind| {
            let all = self.of_kind(kind);
            match all[..] {
                [older, .., newer] => Some((older, newer)),
                _ => None,
            }
        });
        pairs.collect()
    }

    fn waiting(&self, frame: &Frame, older: &ShownToken, newer: &ShownToken) -> Html {
        let (t, times) = (&frame.t().groups, frame.times());
        let used = |it: &ShownToken, used: fn(&str) -> String, never: &str| {
            let words = it.used.map(|at| used(&times.relative(at)));
            Html::text(&words.unwrap_or_else(|| never.to_owned()))
        };
        let mut all = vec![
            used(older, t.older_used, t.older_never),
            used(newer, t.newer_used, t.newer_never),
        ];
        all.push(match older.idle {
            Idle::Since(at) => (t.is_idle)(times.exact(at)),
            Idle::Unknown(why) => Html::text((t.unknown)(why)),
            Idle::No => Html::text(t.idle_when),
        });
        if let Some(at) = older.expiry() {
            all.push((t.expires_anyway)(times.both(at)));
        }
        let all: Vec<_> = all.iter().map(Html::as_str).collect();
        Html::trusted(all.join(" "))
    }

    fn last_step(&self, frame: &Frame, older: &ShownToken) -> Html {
        let t = &frame.t().groups;
        let before = match older.idle.since() {
            Some(_) => Html::text(t.revoke_safe),
            None => (t.revoke_now)(Bdi(self.group.as_str())),
        };
        crate::html!("{} {}", before, link(&older.revoke_href(), &Html::text(t.review)))
    }

    fn revoke_command(&self, frame: &Frame, older: &ShownToken) -> Html {
        let (channel, id) = (self.channel, older.id);
        let line = format!("tegata token revoke --channel {channel} --token-id {id}");
        commands(frame.t().groups.step_three, &[line])
    }

    /// The commands of the three steps, the first for each kind that it has a token of.
    fn rotate_commands(&self, frame: &Frame) -> Html {
        let (channel, group) = (self.channel, &self.group);
        let mut lines = Vec::new();
        for kind in self.kinds() {
            let credential = match kind {
                Kind::V21 => "--key KEY-FILE",
                _ => "--secret-file SECRET-FILE",
            };
            let kind = kind.name();
            lines.push(format!(
                "tegata token issue --channel {channel} --group {group} --kind {kind} {credential}"
            ));
        }
        lines.push(format!("tegata token list --channel {channel} --group {group} --state active"));
        lines.push(format!("tegata token revoke --channel {channel} --token-id TOKEN-ID"));
        commands(frame.t().groups.all_steps, &lines)
    }

    /// Its slots and, while it rotates, the steps.
    #[must_use]
    pub fn card(&self, frame: &Frame, acts: Acts) -> Html {
        let card = Card { it: self, frame, acts };
        Html::trusted(card.render().unwrap_or_default())
    }
}

fn slot(frame: &Frame, it: &ShownToken, at: usize, count: usize) -> Html {
    let t = &frame.t().groups;
    let due = it.is_due(frame.now);
    let mark = match (count, at) {
        (1, _) if due => tag("bad", t.no_replacement),
        (1, _) => Html::default(),
        (_, 0) => tag(if due { "warn" } else { "plain" }, t.older),
        (_, at) if at + 1 == count => tag("plain", t.newer),
        _ => Html::default(),
    };
    let words = Html::text(&it.words(frame));
    let id = link(&it.href(), &crate::html!("{}", Id(it.id)));
    crate::html!(
        "<div class=\"slot{}\"><div class=\"row apart\"><strong>{}</strong>{}</div>{}<span>{}</span></div>",
        Html::text(if due { " warn" } else { "" }),
        Html::text(it.kind.name()),
        mark,
        id,
        words
    )
}

#[derive(Template)]
#[template(path = "group_card.html")]
struct Card<'a> {
    it: &'a ShownGroup,
    frame: &'a Frame,
    acts: Acts,
}

/// The form of a group's settings.
#[derive(Debug, Clone, Default)]
pub struct GroupForm {
    /// The tag of the settings that are shown.
    pub seen: String,
    /// The contact.
    pub contact: Field,
    /// The cap; empty: the channel's.
    pub cap: Field,
    /// What happens when it is reached; none: the channel's.
    pub when_full: Option<WhenFull>,
    /// The channel's cap.
    pub channel_cap: usize,
}

/// One group.
#[derive(Debug, Template)]
#[template(path = "group.html")]
pub struct GroupPage {
    page: PageHead,
    it: ShownGroup,
    form: GroupForm,
}

impl GroupPage {
    /// The page of a group.
    #[must_use]
    pub fn new(page: PageHead, it: ShownGroup, form: GroupForm) -> Self {
        let t = page.frame.t();
        let contact = ("contact", t.token.contact, &form.contact);
        let cap = ("cap", t.groups.cap, &form.cap);
        let fields = [contact, cap].into_iter().filter(|_| page.acts.change);
        let fields: Vec<_> = fields.collect();
        Self { page: page.checked(fields), it, form }
    }

    fn is(&self, when: WhenFull) -> bool {
        self.form.when_full == Some(when)
    }

    fn evicts(&self) -> bool {
        self.is(WhenFull::EvictOldest)
    }

    fn denies(&self) -> bool {
        self.is(WhenFull::Deny)
    }

    fn table(&self) -> Html {
        let frame = &self.page.frame;
        let table = HtmlTable {
            caption: Html::text(frame.t().groups.tokens),
            columns: ShownToken::columns(frame, self.page.acts.take),
            rows: self.it.tokens.iter().map(|it| it.row(frame, self.page.acts.take)).collect(),
        };
        table.html()
    }

    fn all_href(&self) -> String {
        format!("/console/channels/{}/groups", self.it.channel)
    }

    fn commands(&self) -> Html {
        let (channel, group) = (self.it.channel, &self.it.group);
        let lines = [
            format!("tegata group set --channel {channel} {group} --contact '#team'"),
            format!("tegata group delete --channel {channel} {group} --dry-run"),
        ];
        commands(self.page.frame.t().common.command_line, &lines)
    }
}
