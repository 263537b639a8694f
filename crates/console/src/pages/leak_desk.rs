//! The leak desk: whose a leaked token is, who uses it, and what to revoke.

use super::{
    FoundToken, PageHead,
    shown_token::{ShownToken, revoke_href},
    tokens::{ShownUse, uses_table},
};
use crate::{
    forms::Field,
    frame::{Frame, Section},
    html::{Bdi, Html, Id},
    pieces::{Column, HtmlTable, Row, button, buttons, column, commands, joined, link, pairs, sub},
};
use askama::Template;
use tegata_token::kind::Kind;

/// A token of this server that was found in the text.
#[derive(Debug)]
pub struct LeakedToken {
    /// Its facts.
    pub token: ShownToken,
    /// The name of its channel; none: the channel was deleted.
    pub channel: Option<String>,
    /// The name of the provider.
    pub provider: Option<String>,
    /// Whom to contact about its group.
    pub contact: Option<String>,
    /// Why it is in its state, as a code.
    pub why: &'static str,
    /// From where it was used lately.
    pub uses: Vec<ShownUse>,
    /// The other active tokens of its group.
    pub others: Vec<ShownToken>,
    /// How many more there are.
    pub others_more: usize,
    /// How often it is in the text.
    pub times: usize,
    /// Whether the person may revoke it.
    pub revokes: bool,
}

/// What was found in a text.
#[derive(Debug, Default)]
pub struct Found {
    /// The tokens of this server.
    pub tokens: Vec<LeakedToken>,
    /// How many other tokens.
    pub foreign: usize,
    /// How many are of channels that the person sees, and whose tokens the person may not read.
    pub forbidden: usize,
    /// How many tokens were not looked up.
    pub more: usize,
    /// Whether there are other secrets.
    pub others: OtherSecrets,
    /// The length of the text, in characters.
    pub length: usize,
}

/// Which other secrets are in the text.
#[derive(Debug, Default, Clone, Copy)]
pub struct OtherSecrets {
    /// A root administrator's token.
    pub admin: bool,
    /// A verifier's token.
    pub verifier: bool,
    /// A person's.
    pub person: bool,
    /// A private key.
    pub key: bool,
    /// An archive, which was not searched.
    pub packed: bool,
}

/// What the desk shows.
#[derive(Debug)]
pub enum Desk {
    /// Nothing was looked up.
    Start,
    /// The text is too long.
    TooLong,
    /// This was found.
    Found(Found),
}

/// The leak desk.
#[derive(Debug, Template)]
#[template(path = "leak_desk.html")]
pub struct LeakDeskPage {
    page: PageHead,
    desk: Desk,
}

impl LeakDeskPage {
    /// The page.
    #[must_use]
    pub fn new(frame: Frame, desk: Desk) -> Self {
        let t = &frame.t().leak_desk;
        let text = match desk {
            Desk::TooLong => Field::default().wrong(t.too_long_why),
            Desk::Start | Desk::Found(_) => Field::default(),
        };
        let page = PageHead::new(frame, Some(Section::LeakDesk), t.title).lead(t.lead);
        Self { page: page.checked([("text", t.text, &text)]), desk }
    }

    fn found(&self) -> Option<&Found> {
        match &self.desk {
            Desk::Found(found) => Some(found),
            Desk::Start | Desk::TooLong => None,
        }
    }

    fn is_too_long(&self) -> bool {
        matches!(self.desk, Desk::TooLong)
    }

    /// The other tokens that can be revoked, for the pages that follow.
    fn rest(&self, one: &LeakedToken) -> Vec<FoundToken> {
        let all = self.found().map_or(&[][..], |it| &it.tokens).iter();
        let rest =
            all.filter(|it| it.revokes && it.token.is_usable() && it.token.id != one.token.id);
        rest.map(|it| {
            let expires = (it.token.kind == Kind::Stateless).then_some(it.token.expires);
            FoundToken { channel: it.token.channel, id: it.token.id, expires }
        })
        .collect()
    }

    fn has_tokens(&self) -> bool {
        self.found().is_some_and(|it| !it.tokens.is_empty())
    }

    fn others(&self, found: &Found) -> Vec<&'static str> {
        let (t, it) = (&self.page.frame.t().leak_desk, found.others);
        let all = [
            (it.admin, t.admin_token),
            (it.verifier, t.verifier_token),
            (it.person, t.person_token),
            (it.key, t.private_key),
            (it.packed, t.packed),
        ];
        all.into_iter().filter(|(is, _)| *is).map(|(_, text)| text).collect()
    }

    fn what_else(&self) -> Html {
        let frame = &self.page.frame;
        let t = &frame.t().leak_desk;
        let row = |(what, todo, href, text): &(
            &'static str,
            &'static str,
            &'static str,
            &'static str,
        )| Row {
            past: false,
            cells: vec![Html::text(what), Html::text(todo), button("slim", href, text, "")],
        };
        let table = HtmlTable {
            caption: Html::text(t.other),
            columns: vec![
                column(t.what),
                Column { name: t.what_to_do, class: "full" },
                buttons(frame.t().token.action),
            ],
            rows: t.rows.iter().map(row).collect(),
        };
        table.html()
    }

    fn commands(&self) -> Html {
        let lines = [
            "printf %s \"$TOKEN\" | tegata token explain -".to_owned(),
            "printf %s \"$TOKEN\" | tegata token revoke - --reason 'found in a log' --wait 30s"
                .to_owned(),
        ];
        commands(self.page.frame.t().common.command_line, &lines)
    }

    fn file_command(&self) -> Html {
        let t = &self.page.frame.t().leak_desk;
        commands(t.on_your_computer, &["tegata token inspect FILE".to_owned()])
    }
}

impl LeakedToken {
    /// Whether a verifier accepts it now.
    fn is_accepted(&self) -> bool {
        self.token.state == tegata_policy::acts::TokenState::Active
    }

    fn facts(&self, frame: &Frame) -> Html {
        let (it, t, times) = (&self.token, &frame.t().token, frame.times());
        let desk = &frame.t().leak_desk;
        let channel = match &self.channel {
            None => Html::text(desk.deleted_channel),
            Some(name) => link(
                &format!("/console/channels/{}/tokens", it.channel),
                &crate::html!("{}", Bdi(name)),
            ),
        };
        let group = it.group.as_ref().map(|_| (desk.in_group)(it.group_html(frame)));
        let provider = self.provider.as_deref().map(|it| (desk.of_provider)(Bdi(it)));
        let whose = [channel, group.unwrap_or_default(), provider.unwrap_or_default()];
        let id = match it.kind {
            Kind::Stateless => crate::html!("{}", Id(it.id)),
            _ => link(&it.href(), &crate::html!("{}", Id(it.id))),
        };
        let name = crate::html!("{}, {}", Html::text(it.kind.name()), id);
        let times_found = match self.times {
            0 | 1 => Html::default(),
            count => sub(&Html::text(&(desk.occurrences)(count))),
        };
        let mut facts = vec![
            (t.channel, joined(&whose)),
            (t.token, joined(&[name, times_found])),
            (t.assertion_key, it.key_html(frame)),
            (t.issued, times.both(it.issued)),
            (t.expires, it.expiry().map_or_else(|| Html::text(t.never), |at| times.both(at))),
            (t.last_used, self.used(frame)),
        ];
        let contact = self.contact.as_deref();
        facts.push((
            t.contact,
            contact.map_or_else(|| Html::text(t.no_contact), |it| crate::html!("{}", Bdi(it))),
        ));
        if let Some((_, at)) = it.revocation {
            facts.push((t.revoked, times.both(at)));
        }
        facts.extend(it.actor_html().map(|actor| (t.actor, actor)));
        let reason = it.reason.as_deref();
        facts.extend(reason.map(|it| (t.reason, crate::html!("{}", Bdi(it)))));
        pairs(&facts)
    }

    fn used(&self, frame: &Frame) -> Html {
        let (t, desk) = (&frame.t().token, &frame.t().leak_desk);
        match (self.token.kind, self.token.used) {
            (Kind::Stateless, _) => Html::text(desk.not_recorded),
            (_, None) => Html::text(t.never),
            (_, Some(at)) => {
                let when = Html::text(&frame.times().relative(at));
                crate::html!("<strong>{}</strong>{}", when, sub(&Html::text(desk.used_by)))
            }
        }
    }

    fn uses_html(&self, frame: &Frame) -> Html {
        uses_table(frame, &self.uses)
    }

    fn others_html(&self, frame: &Frame) -> Html {
        let table = HtmlTable {
            caption: Html::text(self.token.others_heading(frame)),
            columns: ShownToken::columns(frame, false),
            rows: self.others.iter().map(|it| it.row(frame, false)).collect(),
        };
        table.html()
    }

    /// Who breaks when it is revoked, and what they can use instead.
    fn affected(&self, frame: &Frame) -> Vec<Html> {
        let t = &frame.t().leak_desk;
        let channel = self.channel.as_deref().unwrap_or_default();
        let mut all = vec![match &self.token.group {
            Some(group) => (t.who_group)(Bdi(group.as_str())),
            None => (t.who_channel)(Bdi(channel)),
        }];
        let newer = self
            .others
            .iter()
            .filter(|it| it.issued > self.token.issued && it.kind == self.token.kind);
        let newer: Vec<_> = newer.collect();
        all.push(match newer.iter().find(|it| it.used.is_none()).or(newer.first()) {
            Some(it) if it.used.is_none() => (t.newer_unused)(Id(it.id)),
            Some(it) => (t.newer_used)(Id(it.id)),
            None => Html::text(t.no_newer),
        });
        if let Some(contact) = &self.contact {
            all.push((t.ask)(Bdi(contact)));
        }
        all
    }

    /// What can be revoked, the smallest scope first.
    fn scopes(&self, frame: &Frame, found: &[FoundToken]) -> Vec<Html> {
        let (t, it) = (&frame.t().leak_desk, &self.token);
        let mut all = Vec::new();
        let mut scope = |what: &str, which: &str, text: &str, hint: &str| {
            let href = revoke_href(it.channel, what, which);
            let href = FoundToken::in_address(&href, found);
            let hint = match hint {
                "" => Html::default(),
                hint => crate::html!(" <span class=\"hint\">{}</span>", Html::text(hint)),
            };
            all.push(joined(&[button("danger", &href, text, ""), hint]));
        };
        match it.kind {
            Kind::Stateless => {
                scope("stateless", &format!("{}.{}", it.id, it.expires.0), t.this, "")
            }
            _ => scope("token", &it.id.to_string(), t.this, ""),
        }
        if let Some(group) = &it.group {
            scope("group", group.as_str(), &(t.group)(group.as_str()), "");
        }
        if let Some(key) = it.key {
            scope("key", &key.to_string(), t.key, t.key_hint);
        }
        scope("kind", it.kind.name(), &(t.kind)(it.kind), "");
        scope("all", "", t.channel, t.channel_hint);
        all
    }

    fn suspend_href(&self, found: &[FoundToken]) -> String {
        let href = format!("/console/channels/{}/suspend", self.token.channel);
        FoundToken::in_address(&href, found)
    }
}
