//! A token, as lists and pages show it: its facts without the token itself.

use super::audit::named_actor;
use crate::{
    draw::{Bar, SOON},
    frame::Frame,
    html::{Bdi, Html, Id},
    pieces::{Column, Row, button, buttons, column, joined, link, narrow, quiet, sub, tag},
};
use tegata_policy::{
    acts::{RevocationCause, TokenState},
    idle::Idle,
};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, TokenId},
    kind::Kind,
    time::UnixTime,
};

/// The state that a legend names.
pub const REVOKED: TokenState = TokenState::Revoked;

/// A token, without its text.
#[derive(Debug, Clone)]
pub struct ShownToken {
    /// Its channel.
    pub channel: ChannelId,
    /// Its id.
    pub id: TokenId,
    /// Its kind.
    pub kind: Kind,
    /// Its group.
    pub group: Option<Group>,
    /// The assertion key that it was issued with; none: the channel secret, or by an
    /// administrator.
    pub key: Option<AssertionKeyId>,
    /// Its state.
    pub state: TokenState,
    /// When it was issued.
    pub issued: UnixTime,
    /// When it expires, as its row has it.
    pub expires: UnixTime,
    /// When it was last used.
    pub used: Option<UnixTime>,
    /// The cause and time of its revocation.
    pub revocation: Option<(RevocationCause, UnixTime)>,
    /// The actor that revoked it.
    pub by: Option<String>,
    /// The display name of that actor, of a person.
    pub by_name: Option<String>,
    /// The reason of its revocation.
    pub reason: Option<String>,
    /// Whether it is idle: unused while a newer token of its group was used.
    pub idle: Idle,
}

/// Whether it is a long-lived token that was not replaced: its expiry in the row is a
/// hundred years away, and no page shows it.
pub(super) fn never_expires(kind: Kind, issued: UnixTime, expires: UnixTime) -> bool {
    kind == Kind::LongLived && expires.since(issued) >= kind.life().longest()
}

impl ShownToken {
    /// When it expires; none for the long-lived token of a channel.
    #[must_use]
    pub fn expiry(&self) -> Option<UnixTime> {
        (!never_expires(self.kind, self.issued, self.expires)).then_some(self.expires)
    }

    /// Whether it is a long-lived token that was reissued with a delay.
    #[must_use]
    pub fn is_previous(&self) -> bool {
        self.kind == Kind::LongLived && self.expiry().is_some()
    }

    /// Whether a verifier accepts it, or would if its channel were not suspended.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        matches!(self.state, TokenState::Active | TokenState::Suspended)
    }

    /// Whether it expires within three days.
    #[must_use]
    pub fn is_due(&self, now: UnixTime) -> bool {
        self.is_usable() && self.expiry().is_some_and(|at| at.since(now) < SOON)
    }

    /// Its bar in a timeline.
    #[must_use]
    pub fn bar(&self) -> Bar {
        let revoked = self.revocation.map(|(_, at)| at);
        Bar { issued: self.issued, expires: self.expiry(), used: self.used, revoked }
    }

    /// The heading of the other active tokens of its group, or of those without one, too.
    #[must_use]
    pub fn others_heading(&self, frame: &Frame) -> &'static str {
        let t = &frame.t().token;
        if self.group.is_some() { t.others } else { t.others_without }
    }

    /// The address of its page.
    #[must_use]
    pub fn href(&self) -> String {
        format!("/console/channels/{}/tokens/{}", self.channel, self.id)
    }

    /// The address where its revocation is reviewed.
    #[must_use]
    pub fn revoke_href(&self) -> String {
        revoke_href(self.channel, "token", &self.id.to_string())
    }

    /// Its state, with the cause and time of its revocation.
    #[must_use]
    pub fn state_html(&self, frame: &Frame) -> Html {
        let (t, times) = (&frame.t().token, frame.times());
        let class = match self.state {
            TokenState::Active if self.is_due(frame.now) || self.is_previous() => "warn",
            TokenState::Active => "ok",
            TokenState::Suspended => "warn",
            TokenState::Expired | TokenState::Revoked => "inactive",
        };
        let name = tag(class, (t.state_name)(self.state));
        let more = match (self.state, self.revocation) {
            (TokenState::Revoked, Some((cause, at))) => {
                sub(&Html::text(&(t.cause)(cause, &times.plain(at))))
            }
            _ if self.is_usable() && self.is_previous() => sub(&Html::text(t.previous)),
            _ => {
                let soon = self.is_due(frame.now).then(|| sub(&Html::text(t.expires_soon)));
                let idle = self.idle.since();
                let idle = idle.map(|at| sub(&Html::text(&(t.idle_since)(&times.relative(at)))));
                joined(&[soon.unwrap_or_default(), idle.unwrap_or_default()])
            }
        };
        joined(&[name, more])
    }

    /// When it expires, for a cell.
    #[must_use]
    pub fn expires_html(&self, frame: &Frame) -> Html {
        match self.expiry() {
            None => quiet(frame.t().token.never),
            Some(at) if self.is_usable() => frame.times().cell(at),
            Some(at) => frame.times().without_zone(at),
        }
    }

    /// When it was last used, for a cell.
    #[must_use]
    pub fn used_html(&self, frame: &Frame) -> Html {
        match self.used {
            None => quiet(frame.t().token.never),
            Some(at) => Html::text(&frame.times().relative(at)),
        }
    }

    /// Its group, as a link.
    #[must_use]
    pub fn group_html(&self, frame: &Frame) -> Html {
        match &self.group {
            None => quiet(frame.t().token.none),
            Some(group) => link(
                &format!("/console/channels/{}/groups/{group}", self.channel),
                &crate::html!("{}", Bdi(group.as_str())),
            ),
        }
    }

    /// The actor that revoked it.
    pub(super) fn actor_html(&self) -> Option<Html> {
        self.by.as_deref().map(|it| named_actor(self.by_name.as_deref(), it))
    }

    /// What it was issued with.
    #[must_use]
    pub fn key_html(&self, frame: &Frame) -> Html {
        match (self.key, self.kind) {
            (Some(key), _) => crate::html!("{}", Id(key)),
            (None, Kind::LongLived) => quiet(frame.t().token.none),
            (None, _) => Html::text(frame.t().token.by_secret),
        }
    }

    /// Its expiry and last use as parts of a sentence.
    #[must_use]
    pub fn words(&self, frame: &Frame) -> String {
        let (t, times) = (&frame.t().token, frame.times());
        if let Some((_, at)) = self.revocation.filter(|_| !self.is_usable()) {
            return (t.revoked_at)(&times.relative(at));
        }
        let expiry = match self.expiry() {
            None => t.no_expiry.to_owned(),
            Some(at) if at > frame.now => (t.expires_at)(&times.relative(at)),
            Some(at) => (t.expired_at)(&times.relative(at)),
        };
        let used = match self.used {
            None => t.never_used.to_owned(),
            Some(at) => (t.used_at)(&times.relative(at)),
        };
        format!("{expiry}{}{used}", t.comma)
    }

    /// The columns of a list of tokens.
    #[must_use]
    pub fn columns(frame: &Frame, with_button: bool) -> Vec<Column<'static>> {
        let t = &frame.t().token;
        let mut all = vec![
            column(t.token_id),
            column(t.state),
            narrow(t.kind),
            column(t.group),
            narrow(t.issued),
            narrow(t.expires),
            narrow(t.last_used),
            column(t.assertion_key),
        ];
        if with_button {
            all.push(buttons(t.action));
        }
        all
    }

    /// Its row in a list of tokens.
    #[must_use]
    pub fn row(&self, frame: &Frame, with_button: bool) -> Row {
        let t = &frame.t().token;
        let mut cells = vec![
            link(&self.href(), &crate::html!("{}", Id(self.id))),
            self.state_html(frame),
            Html::text(self.kind.name()),
            self.group_html(frame),
            frame.times().without_zone(self.issued),
            self.expires_html(frame),
            self.used_html(frame),
            self.key_html(frame),
        ];
        if with_button {
            cells.push(match self.is_usable() {
                true => button("danger slim", &self.revoke_href(), t.revoke, &self.id.to_string()),
                false => Html::default(),
            });
        }
        Row { past: !self.is_usable(), cells }
    }
}

/// The address where a revocation within a channel is reviewed.
#[must_use]
pub fn revoke_href(channel: ChannelId, what: &str, which: &str) -> String {
    format!("/console/channels/{channel}/revoke?what={what}&which={which}")
}
