//! Parameters and data of acts.

use super::{audit_event::AuditEvent, expected::ExpectedSettings};
use crate::{
    channel::{ChannelLimits, GroupSettings, OnLeak},
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

/// Who acts, from where, when and why: for the audit event.
#[derive(Debug, Clone)]
pub struct By {
    /// The actor's name: `administrator`, `channel 1234567890`, `tegata`.
    pub actor: String,
    /// The client's address, if the request came over the network.
    pub source: Option<String>,
    /// The reason, if one was given.
    pub reason: Option<String>,
    /// The time.
    pub at: UnixTime,
    /// The settings of the object on which the actor decided.
    pub expected: ExpectedSettings,
    /// The id of the request, if it came over the network.
    pub request_id: Option<String>,
}

/// Who did an act and why, as the rows of revoked tokens and the revocation journal
/// record it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// The actor's name.
    pub actor: String,
    /// The client's address, if the request came over the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The reason, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<&By> for Author {
    fn from(By { actor, source, reason, .. }: &By) -> Self {
        Self { actor: actor.clone(), source: source.clone(), reason: reason.clone() }
    }
}

impl Author {
    /// The same at a time, for the audit event.
    #[must_use]
    pub fn at(&self, at: UnixTime) -> By {
        let Self { actor, source, reason } = self.clone();
        By { actor, source, reason, at, expected: ExpectedSettings::default(), request_id: None }
    }
}

/// The organisation that owns channels.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Its id.
    pub id: ProviderId,
    /// Its display name.
    pub name: String,
    /// When it was created.
    pub created_at: UnixTime,
}

/// A channel to be created.
#[derive(Debug, Clone)]
pub struct NewChannel {
    /// A fresh random id.
    pub id: ChannelId,
    /// The provider that will own it.
    pub provider: ProviderId,
    /// Its display name.
    pub name: String,
    /// Its type.
    pub channel_type: ChannelType,
    /// The hash of its secret.
    pub secret: HashedSecret,
}

/// Changes of a channel; `None` leaves a setting unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelPatch {
    /// A new name.
    pub name: Option<String>,
    /// Other token rules. Revokes nothing by itself.
    pub rules: Option<TokenRules>,
    /// Suspended, resumed or deleted.
    pub state: Option<ChannelState>,
    /// How many active tokens of a kind a group may have.
    pub group_cap: Option<usize>,
    /// What happens to a further issue.
    pub group_when_full: Option<WhenFull>,
    /// Whether assertions must name this server as `aud`.
    pub own_audience_only: Option<bool>,
    /// Whether each assertion is accepted only once.
    pub single_use_assertions: Option<bool>,
    /// What a report of a leaked token does.
    pub on_leak: Option<OnLeak>,
    /// Its limits; the journal has an entry of its own for them.
    #[serde(skip)]
    pub limits: LimitsPatch,
}

/// Changes of a channel's limits; `None` leaves a limit unchanged, `Some(None)` resets it
/// to the server's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LimitsPatch {
    /// Short-lived tokens per second.
    pub issue_rate_short_lived: Option<Option<NonZeroU32>>,
    /// Requests per second of each other operation.
    pub issue_rate: Option<Option<NonZeroU32>>,
    /// Requests per second of each of LINE's two verifications.
    pub verify_rate: Option<Option<NonZeroU32>>,
    /// Tokens of one kind per window.
    pub surge_limit: Option<Option<u32>>,
    /// Length of the window.
    pub surge_window_seconds: Option<Option<NonZeroU32>>,
    /// Length of the cooldown.
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

/// Changes of a group's settings; `None` leaves a setting unchanged, `Some(None)` resets
/// it to the channel's rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupPatch {
    /// How many active tokens of a kind it may have.
    pub cap: Option<Option<usize>>,
    /// What happens to a further issue.
    pub when_full: Option<Option<WhenFull>>,
    /// Its contact, a free text.
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

/// Which of a channel's tokens to revoke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevocationTarget {
    /// One stored token.
    Stored {
        /// Its serial.
        serial: Serial,
    },
    /// One stored token that was presented, so that its id need not be read.
    Presented {
        /// Its serial.
        serial: Serial,
        /// Its id.
        id: TokenId,
    },
    /// One stateless token.
    Stateless {
        /// Its id.
        id: TokenId,
        /// Its expiry.
        expires_at: UnixTime,
    },
    /// All of a group.
    Group(Group),
    /// All of a kind.
    Kind(Kind),
    /// All that were issued for an assertion key, which may be deleted.
    AssertionKey(AssertionKeyId),
    /// All that were issued for the channel's secret.
    BySecret,
    /// All.
    All,
}

/// The cause of a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationCause {
    /// A request revoked it, alone or with others.
    Requested,
    /// A newer token evicted it under a cap.
    Evicted,
    /// It was long-lived and was replaced by a reissue.
    Reissued,
}

/// State of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenState {
    /// It is neither expired nor revoked.
    Active,
    /// It would be active, but its channel is suspended.
    Suspended,
    /// It has expired.
    Expired,
    /// It was revoked before its expiry.
    Revoked,
}

impl TokenState {
    /// The state in a channel that is in state `channel`. `self` is the state regardless
    /// of the channel's, as the store and its filters have it.
    #[must_use]
    pub fn in_channel(self, channel: ChannelState) -> Self {
        match (self, channel) {
            (Self::Active, ChannelState::Suspended) => Self::Suspended,
            (state, _) => state,
        }
    }

    /// The state regardless of the channel's that tokens in this state have; `None` if a
    /// channel in state `channel` has no token in this state.
    #[must_use]
    pub fn regardless_of(self, channel: ChannelState) -> Option<Self> {
        [Self::Active, Self::Expired, Self::Revoked]
            .into_iter()
            .find(|state| state.in_channel(channel) == self)
    }
}

/// A change of the authority's signing keys. The states of the other keys follow in the
/// same transaction: at any time exactly one key is active.
#[derive(Debug, Clone)]
pub enum SigningKeyChange {
    /// Adds a pending key; the very first key becomes active at once.
    Add(SigningKeyRow),
    /// Adds the very first key, which becomes active; it is
    /// [`Taken`](super::ActError::Taken) if a key is active already.
    AddFirst(SigningKeyRow),
    /// The pending key becomes active, the active one retires.
    Promote(SigningKeyId),
    /// The key is revoked, and all tokens that it signed become invalid. If it was
    /// active, the pending key becomes active, or else `successor`, a new key.
    Revoke {
        /// The signing key.
        key: SigningKeyId,
        /// The new key, used only if necessary.
        successor: SigningKeyRow,
    },
    /// As `Revoke`, of every key that is not revoked yet; `successor` becomes active.
    RevokeAll {
        /// The only active key from now on.
        successor: SigningKeyRow,
    },
}

/// An event that the audit must report although it changed nothing in the store: a
/// throttle that began, a certificate that was reloaded, a wrong administrator's token.
#[derive(Debug, Clone)]
pub struct Event {
    /// What happened.
    pub event: AuditEvent,
    /// The provider that it concerns.
    pub provider: Option<ProviderId>,
    /// The channel that it concerns.
    pub channel: Option<ChannelId>,
}

impl Event {
    /// An event that concerns no provider and no channel.
    #[must_use]
    pub fn of(event: AuditEvent) -> Self {
        Self { event, provider: None, channel: None }
    }
}

/// A signing key's wrapped private half. The store cannot decrypt it.
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
        f.write_str("WrappedKey")
    }
}

/// Identifies a root administrator's token without revealing it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RootTokenHash(pub [u8; 32]);

impl std::fmt::Debug for RootTokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootTokenHash")
    }
}

impl Serialize for RootTokenHash {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        WrappedKey(self.0.to_vec()).serialize(to)
    }
}

impl<'de> Deserialize<'de> for RootTokenHash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = WrappedKey::deserialize(from)?.0;
        let bytes = bytes.try_into().map_err(|_| serde::de::Error::custom("not 32 bytes"))?;
        Ok(Self(bytes))
    }
}

/// The root administrator's tokens that servers which share a store have had.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RootTokens {
    /// The one in force.
    pub in_force: Option<RootTokenHash>,
    /// Those that were replaced, and when.
    pub ended: Vec<(RootTokenHash, UnixTime)>,
}

impl RootTokens {
    /// Whether the token was in force before.
    #[must_use]
    pub fn has_ended(&self, token: RootTokenHash) -> bool {
        self.ended.iter().any(|(ended, _)| *ended == token)
    }
}

/// A signing key as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SigningKeyRow {
    /// Its `kid`.
    pub id: SigningKeyId,
    /// Its public half.
    pub public: [u8; 32],
    /// Its private half, wrapped.
    pub wrapped: WrappedKey,
    /// Its state.
    pub state: KeyState,
    /// When it was created.
    pub created_at: UnixTime,
    /// When it entered its present state.
    pub changed_at: UnixTime,
}
