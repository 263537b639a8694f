//! Who did what.

use super::PageHead;
use crate::{
    frame::Frame,
    html::{Bdi, Code, Html, Id},
    pieces::{joined, link, pairs},
};
use askama::Template;
use tegata_token::{
    id::{ChannelId, ProviderId},
    time::UnixTime,
};

/// An audit event.
#[derive(Debug, Clone)]
pub struct AuditLine {
    /// Its number.
    pub id: i64,
    /// When it was.
    pub at: UnixTime,
    /// The actor, as the audit names it.
    pub actor: String,
    /// The actor's display name, of a person.
    pub name: Option<String>,
    /// Where the request came from.
    pub source: Option<String>,
    /// The act.
    pub act: String,
    /// The channel that it concerns.
    pub channel: Option<ChannelId>,
    /// The provider that it concerns.
    pub provider: Option<ProviderId>,
    /// The reason that was given.
    pub reason: Option<String>,
    /// Further details: names and values.
    pub detail: Vec<(String, String)>,
}

impl AuditLine {
    /// What was done by whom, of what, why and when.
    pub(super) fn facts(&self, frame: &Frame) -> Html {
        let (t, times) = (frame.t(), frame.times());
        let mut facts = vec![(t.common.action, crate::html!("{}", Code(&self.act)))];
        if let Some(channel) = self.channel {
            let href = format!("/console/channels/{channel}");
            facts.push((t.common.channel, link(&href, &crate::html!("{}", Id(channel)))));
        }
        if let Some(provider) = self.provider {
            let href = format!("/console/providers/{provider}");
            facts.push((t.common.provider, link(&href, &crate::html!("{}", Id(provider)))));
        }
        facts.push((t.audit.actor, self.actor_html()));
        let reason = self.reason.as_deref();
        let none = || Html::text(t.common.none);
        facts.push((t.token.reason, reason.map_or_else(none, |it| crate::html!("{}", Bdi(it)))));
        facts.push((t.audit.time, times.both(self.at)));
        let detail = self.detail.iter().map(|(name, value)| {
            crate::html!("<span class=\"sub\">{} {}</span>", Code(name), Bdi(value))
        });
        let detail: Vec<_> = detail.collect();
        if !detail.is_empty() {
            facts.push((t.audit.details, joined(&detail)));
        }
        pairs(&facts)
    }

    /// The audit, limited to such events.
    pub(super) fn in_audit(&self) -> String {
        let channel = self.channel.map(|it| format!("&channel={it}"));
        format!("/console/audit?act={}{}", self.act, channel.unwrap_or_default())
    }

    fn actor_html(&self) -> Html {
        named_actor(self.name.as_deref(), &self.actor)
    }
}

/// An actor, with the display name of a person.
pub(super) fn named_actor(name: Option<&str>, actor: &str) -> Html {
    match name {
        Some(name) => crate::html!("{}<span class=\"sub\">{}</span>", Bdi(name), Bdi(actor)),
        None => crate::html!("{}", Bdi(actor)),
    }
}

/// The result of verifying the audit.
#[derive(Debug, Clone)]
pub struct Verification {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// The number of events.
    pub events: u64,
    /// The number of checkpoints.
    pub checkpoints: u64,
    /// The number of events that no checkpoint covers yet.
    pub pending: u64,
    /// What is wrong.
    pub problems: Vec<String>,
    /// What proves nothing but should be read.
    pub notices: Vec<String>,
    /// The public key, in hex digits.
    pub key: String,
}

/// What the page shows.
#[derive(Debug, Clone, Default)]
pub struct AuditView {
    /// The address of the page.
    pub here: String,
    /// The events, newest first.
    pub events: Vec<AuditLine>,
    /// The page after them.
    pub next: Option<String>,
    /// Whether the page can be limited to a channel.
    pub filters_channel: bool,
    /// The channel that it is limited to, as it was entered.
    pub channel: String,
    /// The act that it is limited to.
    pub act: String,
    /// The actor that it is limited to.
    pub actor: String,
    /// The names of all acts.
    pub acts: Vec<&'static str>,
    /// Whether the person may verify the audit.
    pub verifies: bool,
    /// The result of the verification that was asked for.
    pub verification: Option<Verification>,
    /// The same on the command line.
    pub commands: Vec<String>,
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "audit.html")]
pub struct AuditPage {
    page: PageHead,
    it: AuditView,
}

impl AuditPage {
    /// The page.
    #[must_use]
    pub fn new(page: PageHead, it: AuditView) -> Self {
        Self { page, it }
    }

    fn actor(&self, line: &AuditLine) -> Html {
        line.actor_html()
    }

    fn is_act(&self, act: &str) -> bool {
        self.it.act == act
    }

    fn verified(&self, it: &Verification) -> String {
        (self.page.frame.t().audit.counts)(it.events, it.checkpoints, it.pending)
    }
}
