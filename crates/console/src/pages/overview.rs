//! What needs attention; providers and channels.

use super::{ChannelLine, PageHead};
use crate::{
    Frame, Section,
    html::{Bdi, Html},
};
use askama::Template;
use tegata_token::{
    id::{ChannelId, ProviderId},
    kind::Kind,
    time::UnixTime,
};

/// Something that needs attention in a channel.
#[derive(Debug, Clone)]
pub struct Alert {
    /// The channel.
    pub channel: ChannelId,
    /// Its name.
    pub name: String,
    /// The group that it concerns.
    pub group: Option<String>,
    /// Whom to contact about the group.
    pub contact: Option<String>,
    /// When the token or key was made.
    pub made_at: Option<UnixTime>,
    /// When it expires.
    pub expires_at: Option<UnixTime>,
    /// When it was last used.
    pub last_used_at: Option<UnixTime>,
    /// What it is.
    pub what: AlertKind,
}

/// What needs attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertKind {
    /// A token expires, and has no replacement.
    TokenExpires(Kind),
    /// A token was never used.
    TokenUnused(Kind),
    /// A token is used though there is a newer one.
    TokenReplaced(Kind),
    /// The previous secret expires.
    SecretExpires,
    /// An assertion key was never used.
    KeyUnused,
    /// So many tokens are active, of so many that may be.
    NearlyFull(Kind, usize, usize),
}

/// Something that needs attention in the authority itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnAlert {
    /// The signing key should have been replaced at this time.
    SigningKeyOverdue(UnixTime),
    /// The TLS certificate expires at this time.
    CertificateExpires(UnixTime),
    /// The newest backup was made at this time.
    BackupOld(UnixTime),
    /// At this time a verifier last knew more than the store.
    StoreWentBackwards(UnixTime),
}

impl OwnAlert {
    /// Whether the page of signing keys shows more.
    fn of_keys(&self) -> bool {
        matches!(self, Self::SigningKeyOverdue(_))
    }
}

/// A provider, as lists show it.
#[derive(Debug, Clone)]
pub struct ProviderLine {
    /// Its id.
    pub id: ProviderId,
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created_at: UnixTime,
    /// How many channels are left, while all its tokens are being revoked.
    pub channels_left: Option<usize>,
}

/// What the page shows.
#[derive(Debug, Clone, Default)]
pub struct Overview {
    /// What needs attention in the authority itself.
    pub own: Vec<OwnAlert>,
    /// What needs attention in channels, the most urgent first.
    pub alerts: Vec<Alert>,
    /// Whether there is more.
    pub more_alerts: bool,
    /// When the channels were searched for these, if that was earlier.
    pub searched: Option<UnixTime>,
    /// What was searched for.
    pub search: String,
    /// The providers that were found.
    pub providers: Vec<ProviderLine>,
    /// The page after them.
    pub providers_next: Option<String>,
    /// The channels that were found.
    pub channels: Vec<ChannelLine>,
    /// The page after them.
    pub channels_next: Option<String>,
    /// Parts that show the present: expiries and activity.
    pub live: Vec<Html>,
    /// Whether the person may create providers.
    pub creates: bool,
}

/// The first page after signing in.
#[derive(Debug, Template)]
#[template(path = "overview.html")]
pub struct OverviewPage {
    page: PageHead,
    it: Overview,
}

impl OverviewPage {
    /// The page.
    #[must_use]
    pub fn new(frame: Frame, it: Overview) -> Self {
        let t = &frame.t().overview;
        let mut lead = (t.alerts_lead)(it.own.len() + it.alerts.len(), it.more_alerts);
        if let Some(at) = it.searched {
            lead = format!("{lead} {}", (t.searched)(&frame.times().relative(at)));
        }
        let heading = t.title;
        Self { page: PageHead::new(frame, Some(Section::Overview), heading).lead(lead), it }
    }

    /// When an alert is due, in which colour.
    fn due(&self, alert: &Alert) -> (&'static str, String) {
        let now = self.page.frame.now;
        let at = alert.expires_at.filter(|it| *it > now).or(alert.last_used_at).or(alert.made_at);
        let relative = at.map_or_else(String::new, |at| self.page.frame.times().relative(at));
        let class = match alert.what {
            AlertKind::TokenExpires(_) | AlertKind::SecretExpires => {
                let soon = alert.expires_at.is_some_and(|at| at.since(now) < 86_400);
                if soon { "bad" } else { "warn" }
            }
            AlertKind::TokenReplaced(_) | AlertKind::NearlyFull(..) => "warn",
            AlertKind::TokenUnused(_) | AlertKind::KeyUnused => "",
        };
        (class, relative)
    }

    fn heading(&self, alert: &Alert) -> Html {
        let t = &self.page.frame.t().overview;
        let name = Bdi(&alert.name);
        match (alert.what, &alert.group) {
            (AlertKind::TokenExpires(kind), group) => {
                (t.token_expires)(kind, group.as_deref().map(Bdi), name)
            }
            (AlertKind::TokenUnused(kind), group) => {
                (t.token_unused)(kind, group.as_deref().map(Bdi), name)
            }
            (AlertKind::TokenReplaced(kind), group) => {
                (t.token_replaced)(kind, group.as_deref().map(Bdi), name)
            }
            (AlertKind::SecretExpires, _) => (t.secret_expires)(name),
            (AlertKind::KeyUnused, _) => (t.key_unused)(name),
            (AlertKind::NearlyFull(kind, ..), _) => (t.nearly_full)(kind, name),
        }
    }

    fn advice(&self, alert: &Alert) -> Html {
        let (t, times) = (&self.page.frame.t().overview, self.page.frame.times());
        let both = |at: Option<UnixTime>| at.map(|at| times.both(at)).unwrap_or_default();
        let text = match alert.what {
            AlertKind::TokenExpires(_) => {
                (t.token_expires_why)(both(alert.expires_at), times.used(alert.last_used_at))
            }
            AlertKind::TokenUnused(_) => (t.unused_why)(both(alert.made_at)),
            AlertKind::TokenReplaced(_) => {
                (t.token_replaced_why)(both(alert.expires_at), times.used(alert.last_used_at))
            }
            AlertKind::SecretExpires => (t.secret_expires_why)(both(alert.expires_at)),
            AlertKind::KeyUnused => (t.key_unused_why)(both(alert.made_at)),
            AlertKind::NearlyFull(_, active, cap) => (t.nearly_full_why)(active, cap).into(),
        };
        match &alert.contact {
            Some(contact) => crate::html!("{} {}", text, (t.contact)(Bdi(contact))),
            None => text,
        }
    }

    fn href(&self, alert: &Alert) -> String {
        let page = match (alert.what, &alert.group) {
            (AlertKind::SecretExpires | AlertKind::KeyUnused, _) => "",
            (
                AlertKind::TokenExpires(Kind::LongLived)
                | AlertKind::TokenUnused(Kind::LongLived)
                | AlertKind::TokenReplaced(Kind::LongLived),
                _,
            ) => "/messaging-api",
            _ => "/tokens",
        };
        format!("/console/channels/{}{page}", alert.channel)
    }

    /// Of an alert of the authority: when it is due, its heading, the next step.
    fn own(&self, alert: &OwnAlert) -> (String, &'static str, Html) {
        let (t, times) = (&self.page.frame.t().overview, self.page.frame.times());
        match *alert {
            OwnAlert::SigningKeyOverdue(at) => (
                times.relative(at),
                t.signing_key_overdue,
                (t.signing_key_overdue_why)(times.both(at)),
            ),
            OwnAlert::CertificateExpires(at) => (
                times.relative(at),
                t.certificate_expires,
                (t.certificate_expires_why)(times.both(at)),
            ),
            OwnAlert::BackupOld(at) => {
                (times.relative(at), t.backup_old, (t.backup_old_why)(times.both(at)))
            }
            OwnAlert::StoreWentBackwards(at) => {
                (times.relative(at), t.went_backwards, (t.went_backwards_why)(times.both(at)))
            }
        }
    }

    fn progress(&self, left: &usize) -> String {
        (self.page.frame.t().overview.revoking)(*left)
    }

    fn is_first_run(&self) -> bool {
        self.it.creates && self.it.search.is_empty() && self.it.providers.is_empty()
    }
}
