//! Warnings about leaked tokens. No search finds them: the report of the leak queues them.

use super::{KEPT, WarnedToken};
use tegata_policy::channel::{Channel, OnLeak};
use tegata_store::NewWarning;
use tegata_token::{
    claims::Claims,
    time::{DAY, UnixTime},
};

/// A warning about a token that was found where others can read it.
#[derive(Debug, Clone)]
pub struct LeakWarning {
    /// The token; its uses are not looked up.
    pub token: WarnedToken,
    /// What the channel prescribes, and what was done.
    pub on_leak: OnLeak,
    /// Where it was found, if the reporter is authenticated and names the place.
    pub found_at: Option<String>,
    /// When it was reported.
    pub since: UnixTime,
}

/// Renders such a warning as the JSON that a webhook receives.
pub type RenderLeak = fn(&LeakWarning, &Channel) -> String;

impl LeakWarning {
    /// The name of the type, as webhooks spell it.
    pub const KIND: &'static str = "token.leaked";

    /// The warning about the token with these claims.
    #[must_use]
    pub fn new(
        claims: &Claims,
        on_leak: OnLeak,
        found_at: Option<String>,
        since: UnixTime,
    ) -> Self {
        let token = WarnedToken {
            id: claims.id,
            serial: claims.serial,
            kind: claims.kind,
            group: claims.group.as_ref().map(|group| group.as_str().to_owned()),
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            last_used_at: None,
        };
        Self { token, on_leak, found_at, since }
    }

    /// What to do, for people.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self.on_leak {
            OnLeak::Revoke => {
                "it was found where others can read it, and is revoked; give its client a new one, \
                 and remove it from where it was found"
            }
            OnLeak::Flag => {
                "it was found where others can read it, and is still active; give its client a new \
                 one, then revoke this one"
            }
        }
    }

    /// The warning, to be delivered once: repeated reports of a token queue no other.
    #[must_use]
    pub fn to_send(&self, of: &Channel, render: RenderLeak) -> NewWarning {
        let name = format!("{}/{}/{}/0", Self::KIND, of.id, self.token.id);
        let keep_until = self.since.plus(400 * DAY).plus(KEPT);
        NewWarning { name, body: render(self, of), keep_until }
    }
}
