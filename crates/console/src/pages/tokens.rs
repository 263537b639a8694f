//! The tokens of a channel, and one of them.

use super::{PageHead, shown_token::ShownToken};
use crate::{
    draw::{Axis, tablets, timeline},
    forms::Field,
    frame::Frame,
    html::{Bdi, Html},
    pieces::{HtmlTable, Row, column, commands, link, narrow, pairs},
};
use askama::Template;
use std::{collections::BTreeMap, net::IpAddr};
use tegata_policy::{
    acts::TokenState,
    rules::{ChannelType, WhenFull},
};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group},
    kind::Kind,
    time::UnixTime,
};

/// How many tokens of some kinds a channel has, and may have.
#[derive(Debug, Clone)]
pub struct KindCount {
    /// The kinds, which are counted together.
    pub kinds: Vec<Kind>,
    /// The active tokens.
    pub active: usize,
    /// The cap, and what happens when it is reached; none: the channel's type may not have
    /// one, but this one may.
    pub cap: Result<(usize, WhenFull), ChannelType>,
    /// When the previous long-lived token expires.
    pub previous: Option<UnixTime>,
}

/// The filter of the list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Only of this group.
    pub group: Option<Group>,
    /// Only those that were issued for this assertion key.
    pub key: Option<AssertionKeyId>,
    /// Only in this state.
    pub state: Option<TokenState>,
    /// Behind this cursor.
    pub after: Option<String>,
}

impl Filter {
    /// Whether it leaves anything out.
    #[must_use]
    pub fn is_set(&self) -> bool {
        let of_token = self.kind.is_some() || self.group.is_some() || self.key.is_some();
        of_token || self.state.is_some()
    }
}

/// What a channel's list of tokens shows.
#[derive(Debug)]
pub struct TokensView {
    /// The channel.
    pub channel: ChannelId,
    /// Its name.
    pub name: String,
    /// The counts per kind.
    pub counts: Vec<KindCount>,
    /// The tokens of the timeline: the active ones, and those revoked lately.
    pub lately: Vec<ShownToken>,
    /// The groups to filter by.
    pub groups: Vec<Group>,
    /// The assertion keys to filter by.
    pub keys: Vec<AssertionKeyId>,
    /// The filter.
    pub filter: Filter,
    /// A page of the list.
    pub rows: Vec<ShownToken>,
    /// The cursor of the next page.
    pub next: Option<String>,
    /// What is to be revoked: `group`, `kind`, `key` or `all`.
    pub what: &'static str,
    /// The name or id of it, as it was entered.
    pub which: Field,
}

/// The tokens of a channel.
#[derive(Debug, Template)]
#[template(path = "tokens.html")]
pub struct TokensPage {
    page: PageHead,
    it: TokensView,
    lines: Vec<Line>,
    more_groups: usize,
}

/// A line of the timeline.
#[derive(Debug)]
struct Line {
    name: Html,
    drawing: Html,
    words: Html,
}

/// Maximum number of groups in the timeline, and of bars of one.
const LINES: usize = 20;
const BARS: usize = 6;

impl TokensPage {
    /// The page.
    #[must_use]
    pub fn new(page: PageHead, it: TokensView) -> Self {
        let (lines, more_groups) = lines(&page.frame, &it);
        let which = ("w-which", page.frame.t().tokens.which, &it.which);
        Self { page: page.checked([which]), it, lines, more_groups }
    }

    /// The channel.
    #[must_use]
    pub fn channel_id(&self) -> ChannelId {
        self.it.channel
    }

    /// The scopes of a bulk revocation: the value in the form and the words.
    fn scopes(&self) -> [(&'static str, &'static str); 4] {
        let t = &self.page.frame.t().tokens;
        [("group", t.of_group), ("kind", t.of_kind), ("key", t.of_key), ("all", t.of_channel)]
    }

    fn count_html(&self, count: &KindCount) -> Html {
        let t = &self.page.frame.t().tokens;
        let kinds: Vec<_> = count.kinds.iter().map(|it| it.name()).collect();
        let kinds = Html::text(&kinds.join(t.and));
        let (cap, when) = match count.cap {
            Ok(cap) => cap,
            Err(of) => {
                let (not, why) = (Html::text(t.not_available), Html::text((t.only_for)(of)));
                return crate::html!(
                    "<div class=\"count\"><h2 class=\"quiet\">{}</h2><b>{}</b><p>{}</p></div>",
                    kinds,
                    not,
                    why
                );
            }
        };
        let drawing = tablets(count.active, cap, &(t.of_cap)(count.active, cap));
        let warn = if count.active * 10 >= cap * 9 && cap > 1 { " warn" } else { "" };
        let mut words = (t.full)(cap, when);
        if let Some(at) = count.previous {
            words = (t.previous)(&self.page.frame.times().relative(at));
        }
        let (of, words) = (Html::text(&(t.of)(cap)), Html::text(&words));
        crate::html!(
            "<div class=\"count{}\"><h2 class=\"quiet\">{}</h2><b class=\"num\">{} <span>{}</span></b>{}<p>{}</p></div>",
            Html::text(warn),
            kinds,
            count.active,
            of,
            drawing,
            words
        )
    }

    fn dates(&self) -> Html {
        let (frame, times) = (&self.page.frame, self.page.frame.times());
        Axis::around(frame.now).dates(frame.t().tokens.today, |at| times.date(at))
    }

    fn table(&self) -> Html {
        let frame = &self.page.frame;
        let table = HtmlTable {
            caption: (frame.t().tokens.caption)(Bdi(&self.it.name)),
            columns: ShownToken::columns(frame, self.page.acts.take),
            rows: self.it.rows.iter().map(|it| it.row(frame, self.page.acts.take)).collect(),
        };
        table.html()
    }

    fn is_empty(&self) -> bool {
        let filter = &self.it.filter;
        self.it.rows.is_empty() && !filter.is_set() && filter.after.is_none()
    }

    fn kinds(&self) -> Vec<(&'static str, bool)> {
        let stored = Kind::all().filter(|it| it.is_stored());
        stored.map(|it| (it.name(), self.it.filter.kind == Some(it))).collect()
    }

    fn groups(&self) -> Vec<(String, bool)> {
        let of = &self.it.filter.group;
        self.it.groups.iter().map(|it| (it.to_string(), of.as_ref() == Some(it))).collect()
    }

    /// The keys; also one that is deleted, while it is filtered by.
    fn keys(&self) -> Vec<(String, bool)> {
        let of = self.it.filter.key;
        let deleted = of.filter(|it| !self.it.keys.contains(it));
        let all = self.it.keys.iter().copied().chain(deleted);
        all.map(|it| (it.to_string(), of == Some(it))).collect()
    }

    fn states(&self) -> Vec<(&'static str, &'static str, bool)> {
        let t = &self.page.frame.t().token;
        let one = |(it, value)| (value, (t.state_name)(it), self.it.filter.state == Some(it));
        [
            (TokenState::Active, "active"),
            (TokenState::Suspended, "suspended"),
            (TokenState::Expired, "expired"),
            (TokenState::Revoked, "revoked"),
        ]
        .map(one)
        .to_vec()
    }

    fn first_href(&self) -> String {
        format!("/console/channels/{}/tokens", self.it.channel)
    }

    fn next_href(&self) -> Option<String> {
        let filter = &self.it.filter;
        let mut href = format!("{}?after={}", self.first_href(), self.it.next.as_ref()?);
        let state = self.states().into_iter().find(|it| it.2).map(|it| it.0);
        let parts = [
            ("kind", filter.kind.map(|it| it.name().to_owned())),
            ("group", filter.group.as_ref().map(Group::to_string)),
            ("key", filter.key.map(|it| it.to_string())),
            ("state", state.map(str::to_owned)),
        ];
        for (name, value) in parts {
            if let Some(value) = value {
                href = format!("{href}&{name}={value}");
            }
        }
        Some(href)
    }

    fn commands(&self) -> Html {
        let (t, channel) = (self.page.frame.t(), self.it.channel);
        let lines = [
            format!("tegata token list --channel {channel}"),
            format!("tegata token revoke --channel {channel} --group GROUP --dry-run"),
        ];
        commands(t.common.command_line, &lines)
    }

    fn first_token(&self) -> Html {
        let line = format!(
            "tegata token issue --channel {} --kind short-lived --secret-file channel.secret",
            self.it.channel
        );
        commands(self.page.frame.t().tokens.first_token, &[line])
    }
}

/// The lines of the timeline, the next expiry first, and how many groups were left out.
fn lines(frame: &Frame, it: &TokensView) -> (Vec<Line>, usize) {
    let axis = Axis::around(frame.now);
    let mut groups: BTreeMap<(Option<&Group>, bool), Vec<&ShownToken>> = BTreeMap::new();
    for token in it.lately.iter().filter(|it| axis.shows(&it.bar())) {
        let long_lived = token.kind == Kind::LongLived;
        groups.entry((token.group.as_ref(), long_lived)).or_default().push(token);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    for (_, tokens) in &mut groups {
        tokens.sort_by_key(|it| (it.issued, it.id.0));
    }
    let next = |tokens: &[&ShownToken]| {
        let active = tokens.iter().filter(|it| it.is_usable());
        active.map(|it| it.expiry().map_or(i64::MAX, |at| at.0)).min()
    };
    groups.sort_by_key(|(_, tokens)| next(tokens).unwrap_or(i64::MAX));
    let more = groups.len().saturating_sub(LINES);
    groups.truncate(LINES);
    let lines = groups.iter().map(|((group, long), of)| line(frame, it, *group, *long, of));
    (lines.collect(), more)
}

fn line(
    frame: &Frame,
    it: &TokensView,
    group: Option<&Group>,
    long_lived: bool,
    tokens: &[&ShownToken],
) -> Line {
    let t = frame.t();
    let name = match group {
        Some(group) => group.as_str(),
        None if long_lived => t.tokens.long_lived,
        None => t.token.no_group,
    };
    let all: Vec<String> = tokens.iter().take(BARS).map(|it| it.words(frame)).collect();
    let active: Vec<_> = tokens.iter().filter(|it| it.is_usable()).collect();
    let count = (t.token.active_tokens)(active.len());
    let what = format!("{count}{}{}", t.token.semicolon, all.join(t.token.semicolon));
    let bars: Vec<_> = tokens.iter().take(BARS).map(|it| it.bar()).collect();
    let drawing = timeline(Axis::around(frame.now), &bars, &(t.token.described)(name, &what));
    let name = crate::html!("{}", Bdi(name));
    let name = match group {
        Some(group) => link(&format!("/console/channels/{}/groups/{group}", it.channel), &name),
        None => name,
    };
    Line { name, drawing, words: Html::text(&short(frame, &active)) }
}

/// What matters most about the active tokens of a group.
fn short(frame: &Frame, active: &[&&ShownToken]) -> String {
    let (t, times) = (frame.t(), frame.times());
    let Some(first) = active.iter().min_by_key(|it| it.expiry().map_or(i64::MAX, |at| at.0)) else {
        return t.tokens.no_active.to_owned();
    };
    let expiry = first.expiry().map(|at| times.relative(at));
    match (active.len(), expiry) {
        (_, None) => t.token.no_expiry.to_owned(),
        (1, Some(when)) if first.is_due(frame.now) => {
            format!("{}{}{}", (t.token.expires_at)(&when), t.token.comma, t.tokens.no_replacement)
        }
        (1, Some(when)) => (t.token.expires_at)(&when),
        (2, Some(when)) if first.used.is_some() && active.iter().any(|it| it.used.is_none()) => {
            format!("{}{}{}", t.tokens.older_in_use, t.token.comma, (t.token.expires_at)(&when))
        }
        (count, Some(when)) => {
            format!("{}{}{}", (t.token.tokens)(count), t.token.comma, (t.tokens.first)(&when))
        }
    }
}

/// Uses of a token from one address within one minute.
#[derive(Debug, Clone, Copy)]
pub struct ShownUse {
    /// The address; none: several that are not listed singly.
    pub source: Option<IpAddr>,
    /// The start of the minute.
    pub minute: UnixTime,
    /// How many uses.
    pub count: u32,
}

/// One token.
#[derive(Debug, Template)]
#[template(path = "token.html")]
pub struct TokenPage {
    page: PageHead,
    token: ShownToken,
    contact: Option<String>,
    uses: Vec<ShownUse>,
    others: Vec<ShownToken>,
}

impl TokenPage {
    /// The page of a token, with its recent uses and the other active tokens of its group.
    #[must_use]
    pub fn new(
        page: PageHead,
        token: ShownToken,
        contact: Option<String>,
        uses: Vec<ShownUse>,
        others: Vec<ShownToken>,
    ) -> Self {
        Self { page, token, contact, uses, others }
    }

    fn facts(&self) -> Html {
        let (frame, it) = (&self.page.frame, &self.token);
        let (t, times) = (&frame.t().token, frame.times());
        let mut facts = vec![
            (t.state, it.state_html(frame)),
            (t.kind, Html::text(it.kind.name())),
            (t.group, it.group_html(frame)),
        ];
        if it.group.is_some() {
            let contact = self.contact.as_deref();
            let none = || Html::text(t.no_contact);
            facts.push((t.contact, contact.map_or_else(none, |it| crate::html!("{}", Bdi(it)))));
        }
        facts.push((t.assertion_key, it.key_html(frame)));
        facts.push((t.issued, times.both(it.issued)));
        let expires = it.expiry().map_or_else(|| Html::text(t.never), |at| times.both(at));
        facts.push((t.expires, expires));
        let used = it.used.map_or_else(|| Html::text(t.never), |at| times.both(at));
        facts.push((t.last_used, used));
        if let Some((_, at)) = it.revocation {
            facts.push((t.revoked, times.both(at)));
            let none = || Html::text(t.none);
            facts.push((t.actor, it.actor_html().unwrap_or_else(none)));
            let reason = it.reason.as_deref();
            facts.push((t.reason, reason.map_or_else(none, |it| crate::html!("{}", Bdi(it)))));
        }
        pairs(&facts)
    }

    fn uses_table(&self) -> Html {
        uses_table(&self.page.frame, &self.uses)
    }

    fn no_others(&self) -> &'static str {
        let t = &self.page.frame.t().token;
        if self.token.group.is_some() { t.no_others } else { t.no_others_without }
    }

    fn others_table(&self) -> Html {
        let frame = &self.page.frame;
        let table = HtmlTable {
            caption: Html::text(self.token.others_heading(frame)),
            columns: ShownToken::columns(frame, false),
            rows: self.others.iter().map(|it| it.row(frame, false)).collect(),
        };
        table.html()
    }

    fn all_href(&self) -> String {
        format!("/console/channels/{}/tokens", self.token.channel)
    }

    fn commands(&self) -> Html {
        let (channel, id) = (self.token.channel, self.token.id);
        let mut lines = vec![format!("tegata token show --channel {channel} {id}")];
        if self.token.is_usable() {
            lines.push(format!("tegata token revoke --channel {channel} --token-id {id}"));
        }
        commands(self.page.frame.t().common.command_line, &lines)
    }
}

/// The recent uses of a token.
#[must_use]
pub fn uses_table(frame: &Frame, uses: &[ShownUse]) -> Html {
    let (t, times) = (&frame.t().token, frame.times());
    let row = |it: &ShownUse| Row {
        past: false,
        cells: vec![
            Html::text(&it.source.map_or(t.other_sources.to_owned(), |it| it.to_string())),
            times.cell(it.minute),
            crate::html!("{}", it.count),
        ],
    };
    let table = HtmlTable {
        caption: Html::text(t.uses),
        columns: vec![column(t.source), narrow(t.minute), narrow(t.count)],
        rows: uses.iter().map(row).collect(),
    };
    table.html()
}
