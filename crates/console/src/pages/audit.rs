//! Who did what.

use super::PageHead;
use crate::html::{Bdi, Html};
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
        match &line.name {
            Some(name) => {
                crate::html!("{}<span class=\"sub\">{}</span>", Bdi(name), Bdi(&line.actor))
            }
            None => crate::html!("{}", Bdi(&line.actor)),
        }
    }

    fn is_act(&self, act: &str) -> bool {
        self.it.act == act
    }

    fn verified(&self, it: &Verification) -> String {
        (self.page.frame.t().audit.counts)(it.events, it.checkpoints, it.pending)
    }
}
