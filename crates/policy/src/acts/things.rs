//! The things that acts are made of: who does what to what.

use super::audit_event::AuditEvent;
use crate::{
    channel::{ChannelLimits, GroupSettings},
    rules::{ChannelType, TokenRules, WhenFull},
    secret::HashedSecret,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::num::NonZeroU32;
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, ProviderId, Serial, SigningKeyId, TokenId},
    key::KeyState,
    kind::Kind,
    time::UnixTime,
    view::ChannelState,
};

/// Who does something, from where, and when: what the audit row says.
#[derive(Debug, Clone)]
pub struct By {
    /// A name that people know: `administrator`, `channel 1234567890`, `tegata`.
    pub actor: String,
    /// The address that it came from, if from the network.
    pub source: Option<String>,
    /// Why, if they said.
    pub reason: Option<String>,
    /// When.
    pub at: UnixTime,
}

/// The organisation that owns channels.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Its id.
    pub id: ProviderId,
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created_at: UnixTime,
}

/// A channel to be made.
#[derive(Debug, Clone)]
pub struct NewChannel {
    /// A fresh random id.
    pub id: ChannelId,
    /// Whose it will be.
    pub provider: ProviderId,
    /// What people will call it.
    pub name: String,
    /// Its type.
    pub channel_type: ChannelType,
    /// The hash of its secret.
    pub secret: HashedSecret,
}

/// Changes of a channel; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelPatch {
    /// A new name.
    pub name: Option<String>,
    /// Another law. Ends nothing by itself.
    pub rules: Option<TokenRules>,
    /// Suspended, resumed or deleted.
    pub state: Option<ChannelState>,
    /// How many live tokens of a kind a group may have.
    pub group_cap: Option<usize>,
    /// What the next one does.
    pub group_when_full: Option<WhenFull>,
    /// Assertions must be meant for this server.
    pub own_audience_only: Option<bool>,
    /// Each assertion is taken once.
    pub single_use_assertions: Option<bool>,
    /// How fast it may be used; the journal has a line of its own for it.
    #[serde(skip)]
    pub limits: LimitsPatch,
}

/// Changes of a channel's limits; what is `None` stays, what is `Some(None)` goes
/// back to the server's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LimitsPatch {
    /// Short-lived tokens a second.
    pub issue_rate_short_lived: Option<Option<NonZeroU32>>,
    /// Of each other operation, a second.
    pub issue_rate: Option<Option<NonZeroU32>>,
    /// Of each of the checks, a second.
    pub verify_rate: Option<Option<NonZeroU32>>,
    /// Issues of a kind in a window.
    pub surge_limit: Option<Option<u32>>,
    /// The window.
    pub surge_window_seconds: Option<Option<NonZeroU32>>,
    /// The rest.
    pub surge_cooldown_seconds: Option<Option<NonZeroU32>>,
}

impl LimitsPatch {
    /// The limits with the changes made.
    #[must_use]
    pub fn applied_to(self, old: ChannelLimits) -> ChannelLimits {
        ChannelLimits {
            issue_rate_short_lived: self
                .issue_rate_short_lived
                .unwrap_or(old.issue_rate_short_lived),
            issue_rate: self.issue_rate.unwrap_or(old.issue_rate),
            verify_rate: self.verify_rate.unwrap_or(old.verify_rate),
            surge_limit: self.surge_limit.unwrap_or(old.surge_limit),
            surge_window_seconds: self.surge_window_seconds.unwrap_or(old.surge_window_seconds),
            surge_cooldown_seconds: self
                .surge_cooldown_seconds
                .unwrap_or(old.surge_cooldown_seconds),
        }
    }
}

impl From<ChannelLimits> for LimitsPatch {
    fn from(new: ChannelLimits) -> Self {
        let ChannelLimits {
            issue_rate_short_lived,
            issue_rate,
            verify_rate,
            surge_limit,
            surge_window_seconds,
            surge_cooldown_seconds,
        } = new;
        Self {
            issue_rate_short_lived: Some(issue_rate_short_lived),
            issue_rate: Some(issue_rate),
            verify_rate: Some(verify_rate),
            surge_limit: Some(surge_limit),
            surge_window_seconds: Some(surge_window_seconds),
            surge_cooldown_seconds: Some(surge_cooldown_seconds),
        }
    }
}

/// Changes of a group's settings; what is `None` stays, what is `Some(None)` goes
/// back to the channel's rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupPatch {
    /// How many live tokens of a kind it may have.
    pub cap: Option<Option<usize>>,
    /// What the next one does.
    pub when_full: Option<Option<WhenFull>>,
    /// Whom to tell of what concerns it.
    pub contact: Option<Option<String>>,
}

impl GroupPatch {
    /// The settings with the changes made.
    #[must_use]
    pub fn applied_to(&self, old: GroupSettings) -> GroupSettings {
        GroupSettings {
            cap: self.cap.unwrap_or(old.cap),
            when_full: self.when_full.unwrap_or(old.when_full),
            contact: self.contact.clone().unwrap_or(old.contact),
        }
    }
}

impl From<GroupSettings> for GroupPatch {
    fn from(new: GroupSettings) -> Self {
        Self { cap: Some(new.cap), when_full: Some(new.when_full), contact: Some(new.contact) }
    }
}

/// Which of a channel's tokens to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevocationTarget {
    /// One stored token.
    Stored {
        /// Its place in the channel's count.
        serial: Serial,
    },
    /// One stateless token.
    Stateless {
        /// Its id.
        id: TokenId,
        /// When it would have expired.
        expires_at: UnixTime,
    },
    /// All of a group.
    Group(Group),
    /// All of a kind.
    Kind(Kind),
    /// All that was asked for with an assertion key, registered still or not.
    AssertionKey(AssertionKeyId),
    /// All.
    All,
}

/// How a token's life ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationCause {
    /// Somebody revoked it, alone or with others.
    Requested,
    /// A newer one took its place under a cap.
    Evicted,
    /// It was a long-lived token and was reissued.
    Reissued,
}

/// Whether a stored token lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenState {
    /// It does.
    Active,
    /// Its time is over.
    Expired,
    /// It was ended before its time.
    Revoked,
}

/// What to do with the authority's signing keys. The states of the others follow
/// in the same transaction: at any time exactly one key is active.
#[derive(Debug, Clone)]
pub enum SigningKeyChange {
    /// A new key that will sign later; the very first one signs at once.
    Add(SigningKeyRow),
    /// The coming key becomes active, the active one retires.
    Promote(SigningKeyId),
    /// Nothing that the key signed is valid any more. Should it be the active
    /// one, the coming key follows it, or else `successor`, a new key.
    Remove {
        /// Which.
        key: SigningKeyId,
        /// Used only if needed.
        successor: SigningKeyRow,
    },
    /// As `Remove`, of every key that is not removed yet; `successor` signs.
    RemoveAll {
        /// The only key from now on.
        successor: SigningKeyRow,
    },
}

/// Something that the audit must tell although nothing of the store changed: a
/// throttle that began, a certificate that was reloaded, a wrong administrator's token.
#[derive(Debug, Clone)]
pub struct Event {
    /// What happened.
    pub event: AuditEvent,
    /// About whose things.
    pub provider: Option<ProviderId>,
    /// About which channel.
    pub channel: Option<ChannelId>,
}

impl Event {
    /// An event that concerns no provider and no channel.
    #[must_use]
    pub fn of(event: AuditEvent) -> Self {
        Self { event, provider: None, channel: None }
    }
}

/// A signing key's private half, encrypted by whoever made it. The store cannot
/// read it.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey(pub Vec<u8>);

impl Serialize for WrappedKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for WrappedKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        URL_SAFE_NO_PAD.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

impl std::fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed")
    }
}

/// A signing key as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SigningKeyRow {
    /// Its `kid`.
    pub id: SigningKeyId,
    /// Its public half.
    pub public: [u8; 32],
    /// Its private half.
    pub wrapped: WrappedKey,
    /// What it is good for.
    pub state: KeyState,
    /// When it was made.
    pub created_at: UnixTime,
    /// When it came into its present state.
    pub changed_at: UnixTime,
}
