//! Warnings about leaked tokens. No search finds them: the report of the leak queues them.

use super::{KEPT, WarnedToken};
use tegata_policy::channel::{Channel, OnLeak};
use tegata_store::NewWarning;
use tegata_token::{claims::Claims, time::UnixTime};

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

    /// The warning, to be delivered once in an hour for each token, and once more if the reporter
    /// `is_signed`, that is, authenticated: the thief of a token can report it first.
    #[must_use]
    pub fn to_send(&self, of: &Channel, is_signed: bool, render: RenderLeak) -> NewWarning {
        let (hour, signed) = (self.since.0.div_euclid(3_600), u8::from(is_signed));
        let name = format!("{}/{}/{}/{hour}-{signed}", Self::KIND, of.id, self.token.id);
        NewWarning { name, body: render(self, of), keep_until: self.since.plus(KEPT) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::channels::tests::any_channel;
    use tegata_token::{
        id::{Serial, SigningKeyId, TokenId},
        kind::Kind,
    };

    #[test]
    fn a_flagged_leak_is_sent_once_in_an_hour_and_again_if_its_reporter_is_authenticated() {
        let of = any_channel(7, 1);
        let claims = Claims {
            id: TokenId([1; 16]),
            provider: of.provider,
            channel: of.id,
            kind: Kind::V21,
            group: None,
            serial: Serial(1),
            key: SigningKeyId([2; 8]),
            assertion_key: None,
            issued_at: UnixTime(0),
            expires_at: UnixTime(90_000),
        };
        let name = |at: i64, is_signed| {
            let it = LeakWarning::new(&claims, OnLeak::Flag, None, UnixTime(at));
            it.to_send(&of, is_signed, |_, _| String::new()).name
        };
        assert_eq!(name(3_600, false), name(7_199, false));
        assert_ne!(name(3_600, false), name(7_200, false));
        assert_ne!(name(3_600, false), name(3_600, true));
    }
}
