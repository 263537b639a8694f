//! A stored token as in its row, and the only code that decides whether it is active. A
//! database may use an index to read fewer rows; it never decides.

use super::things::{RevocationCause, TokenState};
use crate::admit::Live;
use tegata_token::{
    id::{AssertionKeyId, Group, Serial},
    key::KeyState,
    kind::Kind,
    time::UnixTime,
};

/// A row of a stored token, as acts need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredToken {
    /// The row's number.
    pub row: i64,
    /// Its serial.
    pub serial: Serial,
    /// Its kind.
    pub kind: Kind,
    /// Its group.
    pub group: Option<Group>,
    /// The assertion key that it was issued for; read only for acts that need it.
    pub assertion_key: Option<AssertionKeyId>,
    /// What decides whether it is active.
    pub times: Times,
}

/// What decides whether a stored token is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// When it was issued.
    pub issued_at: UnixTime,
    /// Its expiry, as signed.
    pub expires_at: UnixTime,
    /// An earlier revocation that is already scheduled.
    pub ends_at: Option<UnixTime>,
    /// The cause and time of its own revocation.
    pub revocation: Option<(RevocationCause, UnixTime)>,
    /// The state of the key that signed it.
    pub key: KeyState,
    /// Since when the key is in that state.
    pub key_since: UnixTime,
}

/// The revocation of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenRevocation {
    /// The cause.
    pub by: RevocationCause,
    /// The time.
    pub at: UnixTime,
    /// Whether its signing key was revoked, and not the token itself.
    pub by_key: bool,
}

impl Times {
    /// The cause and time of the token's own revocation, if it happened by `now`.
    #[must_use]
    pub fn own_revocation(&self, now: UnixTime) -> Option<(RevocationCause, UnixTime)> {
        let later = || {
            let came = |at: &UnixTime| *at <= now && *at < self.expires_at;
            self.ends_at.filter(came).map(|at| (RevocationCause::Reissued, at))
        };
        self.revocation.or_else(later)
    }

    /// The earliest revocation before the token's expiry: its own, or its signing key's.
    #[must_use]
    pub fn revocation(&self, now: UnixTime) -> Option<TokenRevocation> {
        let own =
            self.own_revocation(now).map(|(by, at)| TokenRevocation { by, at, by_key: false });
        let in_time = self.key_since < self.expires_at || now < self.expires_at;
        let by_key = (!self.key.good_for(self.issued_at) && in_time).then_some(TokenRevocation {
            by: RevocationCause::Requested,
            at: self.key_since,
            by_key: true,
        });
        match (own, by_key) {
            (Some(own), Some(by_key)) if by_key.at < own.at => Some(by_key),
            (own, by_key) => own.or(by_key),
        }
    }

    /// The token's state at `now`, regardless of its channel's.
    #[must_use]
    pub fn state(&self, now: UnixTime) -> TokenState {
        if self.revocation(now).is_some() {
            TokenState::Revoked
        } else if now >= self.expires_at {
            TokenState::Expired
        } else {
            TokenState::Active
        }
    }

    /// Whether the token is active at `now`, regardless of its channel's state.
    #[must_use]
    pub fn is_active(&self, now: UnixTime) -> bool {
        self.state(now) == TokenState::Active
    }

    /// When the token is revoked or expires, as far as is known now; its signing key is
    /// not considered.
    #[must_use]
    pub fn over_at(&self) -> UnixTime {
        let end = self.ends_at.map_or(self.expires_at, |at| at.min(self.expires_at));
        self.revocation.map_or(end, |(_, at)| at)
    }
}

impl StoredToken {
    /// Whether it is active at `now`, regardless of its channel's state.
    #[must_use]
    pub fn is_active(&self, now: UnixTime) -> bool {
        self.times.is_active(now)
    }

    /// The token in the form that the caps count.
    #[must_use]
    pub fn live(&self) -> Live {
        Live {
            kind: self.kind,
            serial: self.serial,
            group: self.group.clone(),
            expires_at: self.times.expires_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_000);

    fn times() -> Times {
        Times {
            issued_at: UnixTime(0),
            expires_at: UnixTime(2_000),
            ends_at: None,
            revocation: None,
            key: KeyState::Active,
            key_since: UnixTime(0),
        }
    }

    #[test]
    fn a_token_is_active_until_it_expires() {
        assert_eq!(times().state(NOW), TokenState::Active);
        assert_eq!(times().state(UnixTime(1_999)), TokenState::Active);
        assert_eq!(times().state(UnixTime(2_000)), TokenState::Expired);
    }

    #[test]
    fn a_scheduled_revocation_counts_from_its_time_on_and_only_before_expiry() {
        let delayed = Times { ends_at: Some(NOW), ..times() };
        assert_eq!(delayed.state(UnixTime(999)), TokenState::Active);
        let revocation = TokenRevocation { by: RevocationCause::Reissued, at: NOW, by_key: false };
        assert_eq!(delayed.revocation(NOW), Some(revocation));
        let too_late = Times { ends_at: Some(UnixTime(2_500)), ..times() };
        assert_eq!(too_late.state(UnixTime(3_000)), TokenState::Expired);
    }

    #[test]
    fn a_revoked_key_revokes_its_tokens_and_a_limited_one_only_later_ones() {
        let revoked = Times { key: KeyState::Revoked, key_since: UnixTime(500), ..times() };
        let by_key =
            TokenRevocation { by: RevocationCause::Requested, at: UnixTime(500), by_key: true };
        assert_eq!(revoked.revocation(NOW), Some(by_key));
        let before = |before| KeyState::Retired { issued_before: Some(UnixTime(before)) };
        assert_eq!(Times { key: before(1), ..times() }.state(NOW), TokenState::Active);
        assert_eq!(Times { key: before(0), ..times() }.state(NOW), TokenState::Revoked);
        let after_expiry = Times { key_since: UnixTime(2_500), ..revoked };
        assert_eq!(after_expiry.state(UnixTime(3_000)), TokenState::Expired);
    }

    #[test]
    fn of_two_revocations_the_earlier_is_reported() {
        let own = (RevocationCause::Requested, UnixTime(300));
        let both = Times {
            revocation: Some(own),
            key: KeyState::Revoked,
            key_since: UnixTime(500),
            ..times()
        };
        assert!(!both.revocation(NOW).unwrap().by_key);
        assert!(Times { key_since: UnixTime(200), ..both }.revocation(NOW).unwrap().by_key);
        assert_eq!(both.over_at(), UnixTime(300));
    }
}
