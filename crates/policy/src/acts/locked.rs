//! The state that an act is decided on: read under the lock, all in one transaction.

use super::{
    ActError,
    stored::{StoredToken, Times},
    things::SigningKeyRow,
    upkeep::{Upkeep, UpkeepRows},
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
    /// The channel that the act concerns: its counters are read and locked.
    pub channel: Option<ChannelId>,
    /// Its settings are not needed if their revision is still this one.
    pub unless_revision: Option<u64>,
    /// Whether its settings are needed without its assertion keys and groups.
    pub without_parts: bool,
    /// Which rows of its tokens.
    pub tokens: Tokens,
    /// Whether its revocations are read.
    pub revocations: bool,
    /// The token that was issued under this idempotency key.
    pub issued_under: Option<[u8; 32]>,
    /// The assertion with this fingerprint: whether it was used. Not read of a channel that
    /// accepts assertions more than once.
    pub assertion: Option<[u8; 32]>,
    /// Whether the channel accepts each assertion once, by the settings of
    /// `unless_revision`.
    pub single_use: bool,
    /// The stored token with this serial: its id, whether it is active or not.
    pub named: Option<Serial>,
    /// The scope whose group or assertion key is looked up among the remembered ones.
    pub scope: Option<Scope>,
    /// The provider that is read.
    pub provider: Option<ProviderId>,
    /// Whether that provider's channels are counted.
    pub count_channels: bool,
    /// Whether the public half of the audit's key is read.
    pub audit_key: bool,
    /// Whether the offset of the development clock is read.
    pub clock: bool,
    /// Rows beside those of a channel.
    pub upkeep: Upkeep,
}

/// Which rows of a channel's tokens an act needs, of those that are not marked as revoked
/// or expired.
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

/// A provider as acts need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedProvider {
    /// Its name.
    pub name: String,
    /// How many channels it has that are not deleted; counted only for acts that need it.
    pub channels: usize,
    /// How many revocations of all its tokens were begun.
    pub revocations: i64,
}

/// What was read. What an act did not need is empty.
#[derive(Debug, Clone, Default)]
pub struct Locked {
    /// The channel's counters; `None`: the channel does not exist.
    pub count: Option<Count>,
    /// Its settings.
    pub channel: Option<Arc<Channel>>,
    /// Its tokens' rows, oldest first.
    pub tokens: Arc<Vec<StoredToken>>,
    /// Its revocations.
    pub revocations: Arc<ChannelRevocations>,
    /// The token issued under the idempotency key.
    pub before: Option<Before>,
    /// Whether the assertion was used.
    pub assertion_used: bool,
    /// The id of the token that was named.
    pub named: Option<TokenId>,
    /// What is remembered of the scope's group or assertion key.
    pub remembered: Remembered,
    /// The provider, if it exists and is not deleted.
    pub provider: Option<LockedProvider>,
    /// The signing keys, oldest first.
    pub keys: Arc<[StoredKey]>,
    /// The audit key's public half.
    pub audit_key: Option<[u8; 32]>,
    /// The offset of the development clock, in seconds.
    pub clock_offset: i64,
    /// Rows beside those of a channel.
    pub upkeep: UpkeepRows,
}

/// What is remembered of a group or an assertion key that its channel may not have any
/// more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Whether the row of a stored token names it.
    pub by_tokens: bool,
    /// Until when it is remembered otherwise.
    pub until: Option<UnixTime>,
}

impl Remembered {
    /// Whether a token that belongs to it can be active at `now`.
    #[must_use]
    pub fn is_known(self, now: UnixTime) -> bool {
        self.by_tokens || self.until.is_some_and(|until| until > now)
    }
}

/// A channel's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The last serial used.
    pub serial: Serial,
    /// Counts the changes that matter to authorization.
    pub revision: u64,
}

/// A signing key and its row.
#[derive(Debug, Clone, PartialEq)]
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
    /// The parameters that a retry must repeat.
    pub parameters: String,
    /// Its times, which decide whether it is active.
    pub times: Times,
    /// The token's id.
    pub id: TokenId,
    /// Its serial.
    pub serial: Serial,
    /// The key that signs it.
    pub key: SigningKeyId,
    /// The public address that its JWS form names.
    pub issuer: Arc<str>,
    /// Of a reissue: until when the previous token is active.
    pub previous_until: Option<UnixTime>,
}

impl Locked {
    /// The channel's settings, if it exists and is not deleted.
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

    /// The active tokens, in the form that the caps count.
    #[must_use]
    pub fn live(&self, now: UnixTime) -> Vec<Live> {
        self.active(now).map(StoredToken::live).collect()
    }

    /// The token with that serial, if it is active at `now`.
    #[must_use]
    pub fn active_at(&self, serial: Serial, now: UnixTime) -> Option<&StoredToken> {
        let place = self.tokens.binary_search_by_key(&serial, |token| token.serial).ok()?;
        self.tokens.get(place).filter(|token| token.is_active(now))
    }

    /// The first signing key in that state.
    #[must_use]
    pub fn key_in(&self, state: KeyState) -> Option<&StoredKey> {
        self.keys.iter().find(|it| it.key.state == state)
    }
}
