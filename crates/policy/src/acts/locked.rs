//! What an act is decided on: read under the lock, all of it in one transaction.

use super::{
    ActError,
    stored::{StoredToken, Times},
    things::SigningKeyRow,
};
use crate::{admit::Live, channel::Channel, denied::Denied};
use std::sync::Arc;
use tegata_token::{
    id::{ChannelId, ProviderId, Serial, SigningKeyId, TokenId},
    key::KeyState,
    time::UnixTime,
    view::{ChannelRevocations, ChannelState, Scope},
};

/// What must be read for an act. The signing keys always are.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// The channel that the act is about: its counters are read and locked.
    pub channel: Option<ChannelId>,
    /// Its settings are not needed if their revision is still this one.
    pub unless_revision: Option<u64>,
    /// Which of its tokens' rows.
    pub tokens: Tokens,
    /// What the view says of it.
    pub revocations: bool,
    /// The token that was issued under this idempotency key.
    pub issued_under: Option<[u8; 32]>,
    /// Whether the assertion of this fingerprint was used. Not read of a channel that
    /// takes assertions more than once.
    pub assertion: Option<[u8; 32]>,
    /// Whether the channel takes each assertion once, by the settings of
    /// `unless_revision`.
    pub single_use: bool,
    /// The id of the stored token at this place, whether it is active or not.
    pub named: Option<Serial>,
    /// What is remembered of the group or the assertion key of this scope.
    pub scope: Option<Scope>,
    /// Whether there is this provider.
    pub provider: Option<ProviderId>,
    /// The audit's key, by its public half.
    pub audit_key: bool,
    /// How far the development clock was moved.
    pub clock: bool,
}

/// Which rows of a channel's tokens an act needs: those whose life was not yet seen to
/// be over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tokens {
    /// None.
    #[default]
    None,
    /// All, without their assertion keys.
    Counted,
    /// All, with their assertion keys.
    WithKeys,
}

impl Needs {
    /// The channel's settings, and nothing else.
    #[must_use]
    pub fn channel(id: ChannelId) -> Self {
        Self { channel: Some(id), ..Self::default() }
    }
}

/// What was read. What an act did not ask for is empty.
#[derive(Debug, Clone, Default)]
pub struct Locked {
    /// The channel's counters; `None`: there is no such channel.
    pub count: Option<Count>,
    /// Its settings.
    pub channel: Option<Arc<Channel>>,
    /// Its tokens' rows, oldest first.
    pub tokens: Arc<Vec<StoredToken>>,
    /// What the view says of it.
    pub revocations: Arc<ChannelRevocations>,
    /// The token issued under the idempotency key.
    pub before: Option<Before>,
    /// Whether the assertion was used.
    pub assertion_used: bool,
    /// The id of the token that was named.
    pub named: Option<TokenId>,
    /// What is remembered of the scope.
    pub remembered: Remembered,
    /// Whether there is the provider.
    pub provider: bool,
    /// The signing keys, oldest first.
    pub keys: Arc<[StoredKey]>,
    /// The audit key's public half.
    pub audit_key: Option<[u8; 32]>,
    /// How far the development clock was moved, in seconds.
    pub clock_offset: i64,
}

/// What is remembered of a group or an assertion key that its channel may have no longer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Whether the row of a stored token names it.
    pub by_tokens: bool,
    /// Until when it is remembered beyond that.
    pub until: Option<UnixTime>,
}

impl Remembered {
    /// Whether it can have issued a token that is alive at `now`.
    #[must_use]
    pub fn is_known(self, now: UnixTime) -> bool {
        self.by_tokens || self.until.is_some_and(|until| until > now)
    }
}

/// A channel's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The last place taken.
    pub serial: Serial,
    /// Counts changes of what the channel's requests are judged by.
    pub revision: u64,
}

/// A signing key and its row.
#[derive(Debug, Clone)]
pub struct StoredKey {
    /// The row's number.
    pub row: i64,
    /// The key.
    pub key: SigningKeyRow,
}

impl StoredKey {
    /// The state of the key in that row of `keys`, and since when; tokens of a key
    /// without a row are invalid.
    #[must_use]
    pub fn state_of(keys: &[Self], row: i64) -> (KeyState, UnixTime) {
        let found = keys.iter().find(|it| it.row == row);
        found.map_or((KeyState::Revoked, UnixTime(0)), |it| (it.key.state, it.key.changed_at))
    }
}

/// A token that was issued under an idempotency key.
#[derive(Debug, Clone)]
pub struct Before {
    /// What a retry must have the same.
    pub parameters: String,
    /// Whether it is active.
    pub times: Times,
    /// The token's id.
    pub id: TokenId,
    /// Its place in the channel's count.
    pub serial: Serial,
    /// The key that signs it.
    pub key: SigningKeyId,
    /// The public address that its JWS form names.
    pub issuer: Arc<str>,
    /// Of a reissue: until when the token before it lives.
    pub previous_until: Option<UnixTime>,
}

impl Locked {
    /// The channel's settings, if it is there and not deleted.
    ///
    /// # Errors
    /// [`ActError::NotFound`].
    pub fn existing(&self) -> Result<&Channel, ActError> {
        let channel = self.channel.as_deref();
        channel.filter(|it| it.state != ChannelState::Deleted).ok_or(ActError::NotFound("channel"))
    }

    /// The channel's counters.
    ///
    /// # Errors
    /// [`Denied::UnknownChannel`].
    pub fn count(&self) -> Result<Count, ActError> {
        self.count.ok_or(ActError::Denied(Denied::UnknownChannel))
    }

    /// The channel's tokens that are active at `now`, oldest first.
    pub fn active(&self, now: UnixTime) -> impl Iterator<Item = &StoredToken> {
        self.tokens.iter().filter(move |token| token.is_active(now))
    }

    /// What the caps count of them.
    #[must_use]
    pub fn live(&self, now: UnixTime) -> Vec<Live> {
        self.active(now).map(StoredToken::live).collect()
    }

    /// The token at that place, if it is active at `now`.
    #[must_use]
    pub fn active_at(&self, serial: Serial, now: UnixTime) -> Option<&StoredToken> {
        let place = self.tokens.binary_search_by_key(&serial, |token| token.serial).ok()?;
        self.tokens.get(place).filter(|token| token.is_active(now))
    }

    /// The signing key in that state.
    #[must_use]
    pub fn key_in(&self, state: KeyState) -> Option<&StoredKey> {
        self.keys.iter().find(|it| it.key.state == state)
    }
}
