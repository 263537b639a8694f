//! The things that acts are made of: who does what to which rows.

use crate::{
    SigningKeyRow,
    audit::{Seal, SealedRow},
    audit_event::AuditEvent,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, num::NonZeroU32};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, Position, ProviderId, Serial, SigningKeyId, TokenId},
    law::{ChannelType, Kind, Law, WhenFull},
    policy::{Channel, ChannelLimits, ChannelState, GroupSettings},
    secret::HashedSecret,
    time::UnixTime,
    view::View,
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

/// All that a server holds in memory.
#[derive(Debug, Clone)]
pub struct State {
    /// What was ended early, at the log's end.
    pub view: View,
    /// All signing keys, removed ones too.
    pub signing_keys: Vec<SigningKeyRow>,
    /// Every channel's id, those of deleted ones too.
    pub channels: Vec<ChannelId>,
    /// How fast the tokens of channels may be checked that have set it.
    pub check_rates: Vec<(ChannelId, NonZeroU32)>,
    /// The highest time that the store has written.
    pub written_at: UnixTime,
    /// How far the development clock was moved, in seconds.
    pub clock_offset: i64,
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

/// The end of all tokens of a provider, under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderEnd {
    /// Its name.
    pub job: crate::RowId,
    /// Whose tokens end.
    pub provider: ProviderId,
    /// So many stored tokens have ended.
    pub ended: usize,
    /// So many channels are still to come.
    pub channels_left: usize,
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
    pub law: Option<Law>,
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
    pub check_rate: Option<Option<NonZeroU32>>,
    /// Issues of a kind in a window.
    pub storm_issues: Option<Option<u32>>,
    /// The window.
    pub storm_window_seconds: Option<Option<NonZeroU32>>,
    /// The rest.
    pub storm_rest_seconds: Option<Option<NonZeroU32>>,
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
            check_rate: self.check_rate.unwrap_or(old.check_rate),
            storm_issues: self.storm_issues.unwrap_or(old.storm_issues),
            storm_window_seconds: self.storm_window_seconds.unwrap_or(old.storm_window_seconds),
            storm_rest_seconds: self.storm_rest_seconds.unwrap_or(old.storm_rest_seconds),
        }
    }
}

impl From<ChannelLimits> for LimitsPatch {
    fn from(new: ChannelLimits) -> Self {
        let ChannelLimits {
            issue_rate_short_lived,
            issue_rate,
            check_rate,
            storm_issues,
            storm_window_seconds,
            storm_rest_seconds,
        } = new;
        Self {
            issue_rate_short_lived: Some(issue_rate_short_lived),
            issue_rate: Some(issue_rate),
            check_rate: Some(check_rate),
            storm_issues: Some(storm_issues),
            storm_window_seconds: Some(storm_window_seconds),
            storm_rest_seconds: Some(storm_rest_seconds),
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
pub enum Ending {
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
pub enum EndedBy {
    /// Somebody revoked it, alone or with others.
    Revoked,
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
    Ended,
}

/// A stored token, as lists show it.
#[derive(Debug, Clone)]
pub struct TokenRow {
    /// Its own name.
    pub id: TokenId,
    /// Its place in the channel's count.
    pub serial: Serial,
    /// Its kind.
    pub kind: Kind,
    /// Its group.
    pub group: Option<Group>,
    /// The assertion key that it was asked for with.
    pub assertion_key: Option<AssertionKeyId>,
    /// Whether it lives.
    pub state: TokenState,
    /// When it was issued.
    pub issued_at: UnixTime,
    /// When it expires, or will be ended by a reissue with delay.
    pub expires_at: UnixTime,
    /// When it was last used, as far as has been noted.
    pub last_used_at: Option<UnixTime>,
    /// How it ended early, and when.
    pub ended: Option<(EndedBy, UnixTime)>,
    /// The token that pushed it out or replaced it.
    pub ended_for: Option<Serial>,
    /// The audit event of the act that ended it, where there is one.
    pub ended_act: Option<i64>,
}

/// A group, as lists show it.
#[derive(Debug, Clone)]
pub struct GroupRow {
    /// Its name.
    pub group: Group,
    /// What it has set for itself.
    pub settings: GroupSettings,
    /// How many live stored tokens it has.
    pub live_tokens: usize,
    /// How many assertion keys are bound to it.
    pub assertion_keys: usize,
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

/// How far the audit is sealed.
#[derive(Debug, Clone)]
pub struct AuditHead {
    /// The last seal.
    pub last: Option<Seal>,
    /// How many events wait for one.
    pub unsealed: usize,
    /// When the first of them happened.
    pub oldest: Option<UnixTime>,
    /// The store's life.
    pub epoch: u64,
}

/// A seal and the rows up to it.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The seal; `None` behind the last one.
    pub seal: Option<Seal>,
    /// The rows.
    pub rows: Vec<SealedRow>,
}

/// One audit event.
#[derive(Debug, Clone)]
pub struct AuditRow {
    /// Its place.
    pub id: i64,
    /// When.
    pub at: UnixTime,
    /// Who.
    pub actor: String,
    /// From where.
    pub source: Option<String>,
    /// What: a noun and a verb, such as `channel.suspend`.
    pub act: String,
    /// To whose things.
    pub provider: Option<ProviderId>,
    /// To which channel.
    pub channel: Option<ChannelId>,
    /// What else there is to say, as a JSON object; never a secret.
    pub detail: serde_json::Value,
    /// Where in the log, if the act wrote to it.
    pub position: Option<Position>,
}

/// What a channel holds that can end, or lie unused.
#[derive(Debug, Clone)]
pub struct Holding {
    /// The channel.
    pub channel: Channel,
    /// Its live stored tokens, newest first.
    pub tokens: Vec<TokenRow>,
    /// When each of its assertion keys was last used, as far as has been noted.
    pub keys_used: BTreeMap<AssertionKeyId, UnixTime>,
    /// When each of its secrets was, in the channel's order.
    pub secrets_used: Vec<Option<UnixTime>>,
}

/// A warning to be put on its way.
#[derive(Debug, Clone)]
pub struct NewWarning {
    /// What it warns of, and how long before: nobody is told twice of one name.
    pub name: String,
    /// What to send, as JSON; never a secret.
    pub body: String,
    /// From then on it matters to nobody.
    pub keep_until: UnixTime,
}

/// A warning whose time to be sent has come.
#[derive(Debug, Clone)]
pub struct DueWarning {
    /// Its place.
    pub number: crate::RowId,
    /// Its name.
    pub name: String,
    /// What to send.
    pub body: String,
    /// How often it was tried.
    pub attempts: u32,
    /// From then on it matters to nobody.
    pub keep_until: UnixTime,
}
