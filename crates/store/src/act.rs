//! Results of questions, and the data of background jobs.

use std::{collections::BTreeMap, num::NonZeroU32};
use tegata_policy::{
    acts::{RevocationCause, SigningKeyRow, TokenState, VerifierRow},
    channel::{Channel, GroupSettings},
    idle::Idle,
    secret::HashedSecret,
};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, Position, ProviderId, Serial, TokenId, VerifierId},
    kind::Kind,
    time::UnixTime,
    view::View,
};

/// Everything that a server holds in memory.
#[derive(Debug, Clone)]
pub struct State {
    /// The revocation view, at the end of the log.
    pub view: View,
    /// All signing keys, revoked ones included.
    pub signing_keys: Vec<SigningKeyRow>,
    /// The ids of all channels, deleted ones included.
    pub channels: Vec<ChannelId>,
    /// The verification rate of each channel that has set one.
    pub verify_rates: Vec<(ChannelId, NonZeroU32)>,
    /// The verifiers that are not deleted.
    pub verifiers: Vec<VerifierRow>,
    /// People, their sessions and personal tokens.
    pub people: crate::PeopleState,
    /// The highest time that the store has written.
    pub written_at: UnixTime,
    /// How far the development clock was moved, in seconds.
    pub clock_offset: i64,
}

/// A revocation of all tokens of a provider that is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderRevocation {
    /// The id of the job.
    pub job: crate::RowId,
    /// The provider.
    pub provider: ProviderId,
    /// How many stored tokens it has revoked.
    pub revoked: usize,
    /// How many channels are left.
    pub channels_left: usize,
}

/// A stored token, as lists show it.
#[derive(Debug, Clone)]
pub struct TokenRow {
    /// Its id.
    pub id: TokenId,
    /// Its serial.
    pub serial: Serial,
    /// Its kind.
    pub kind: Kind,
    /// Its group.
    pub group: Option<Group>,
    /// The assertion key that it was issued for.
    pub assertion_key: Option<AssertionKeyId>,
    /// Its state.
    pub state: TokenState,
    /// When it was issued.
    pub issued_at: UnixTime,
    /// When it expires, or is revoked by a reissue with delay.
    pub expires_at: UnixTime,
    /// When it was last used, as far as recorded.
    pub last_used_at: Option<UnixTime>,
    /// Whether a newer one is used instead. Uses are not all stored yet: the store leaves
    /// [`Idle::No`].
    pub idle: Idle,
    /// The cause and time of its revocation.
    pub revocation: Option<(RevocationCause, UnixTime)>,
    /// The token that evicted or replaced it.
    pub replaced_by: Option<Serial>,
    /// The audit event of the act that revoked it, if there is one.
    pub revoked_act: Option<i64>,
    /// The actor that revoked it; none if it was evicted.
    pub revoked_by: Option<String>,
    /// The reason of its revocation, if one was given.
    pub reason: Option<String>,
}

/// An assertion key of any channel, as lists show it.
#[derive(Debug, Clone)]
pub struct KeyRow {
    /// Its `kid`.
    pub id: AssertionKeyId,
    /// Its channel.
    pub channel: ChannelId,
    /// The name of its channel.
    pub channel_name: String,
    /// The group that it is bound to.
    pub group: Option<Group>,
    /// When it was registered.
    pub created_at: UnixTime,
    /// When it was last used, as far as recorded.
    pub last_used_at: Option<UnixTime>,
}

/// A group, as lists show it.
#[derive(Debug, Clone)]
pub struct GroupRow {
    /// Its name.
    pub group: Group,
    /// Its own settings.
    pub settings: GroupSettings,
    /// How many active stored tokens it has.
    pub active_tokens: usize,
    /// How many assertion keys are bound to it.
    pub assertion_keys: usize,
}

impl GroupRow {
    /// The groups of a channel at `now` that has these active tokens, by name.
    #[must_use]
    pub fn all<'a>(
        channel: &Channel,
        active: impl IntoIterator<Item = &'a TokenRow>,
        now: UnixTime,
    ) -> Vec<Self> {
        let new = |group: &Group| Self {
            group: group.clone(),
            settings: channel.groups.get(group).cloned().unwrap_or_default(),
            active_tokens: 0,
            assertion_keys: 0,
        };
        let mut all: BTreeMap<Group, Self> =
            channel.groups.keys().map(|group| (group.clone(), new(group))).collect();
        for group in channel.assertion_keys.iter().filter_map(|it| it.group.as_ref()) {
            all.entry(group.clone()).or_insert_with(|| new(group)).assertion_keys += 1;
        }
        for (group, _) in channel.used_groups.iter().filter(|(_, until)| **until > now) {
            all.entry(group.clone()).or_insert_with(|| new(group));
        }
        for group in active.into_iter().filter_map(|token| token.group.as_ref()) {
            all.entry(group.clone()).or_insert_with(|| new(group)).active_tokens += 1;
        }
        all.into_values().collect()
    }
}

/// One audit event.
#[derive(Debug, Clone)]
pub struct AuditRow {
    /// Its id.
    pub id: i64,
    /// The time.
    pub at: UnixTime,
    /// The actor.
    pub actor: String,
    /// The client's address, if the request came over the network.
    pub source: Option<String>,
    /// What: a noun and a verb, such as `channel.suspend`.
    pub act: String,
    /// The provider that it concerns.
    pub provider: Option<ProviderId>,
    /// The channel that it concerns.
    pub channel: Option<ChannelId>,
    /// Further detail, as a JSON object; never a secret.
    pub detail: serde_json::Value,
    /// The position in the change log, if the act logged a change.
    pub position: Option<Position>,
}

/// What a channel holds that can expire or be unused.
#[derive(Debug, Clone)]
pub struct Holding {
    /// The channel.
    pub channel: Channel,
    /// Its active stored tokens, newest first.
    pub tokens: Vec<TokenRow>,
    /// When each of its assertion keys was last used, as far as recorded.
    pub keys_used: BTreeMap<AssertionKeyId, UnixTime>,
    /// When each of its secrets was last used, in the channel's order.
    pub secrets_used: Vec<Option<UnixTime>>,
}

/// A warning that is due.
#[derive(Debug, Clone)]
pub struct DueWarning {
    /// Its number.
    pub number: crate::RowId,
    /// Its name.
    pub name: String,
    /// What to send.
    pub body: String,
    /// How often it was sent without success.
    pub attempts: u32,
    /// From then on it is out of date.
    pub keep_until: UnixTime,
}

/// A verifier to be created.
#[derive(Debug, Clone)]
pub struct NewVerifier {
    /// A fresh random id.
    pub id: VerifierId,
    /// Its display name.
    pub name: String,
    /// The only provider whose tokens it may verify; `None`: all.
    pub provider: Option<ProviderId>,
    /// The longest staleness that its instances may use, in milliseconds.
    pub max_staleness: u32,
    /// Whether its instances may accept tokens by a stale view.
    pub allow: bool,
    /// The hash of its token.
    pub token: HashedSecret,
}

/// A stored token whose use was reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedToken {
    /// Its channel.
    pub channel: ChannelId,
    /// Its id.
    pub id: TokenId,
    /// Its serial.
    pub serial: Serial,
    /// When it was revoked, if it was.
    pub revoked_at: Option<UnixTime>,
}

/// A running server that shares a store with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaRow {
    /// The random id of its start.
    pub id: [u8; 16],
    /// Whether it is this process.
    pub own: bool,
    /// When it was registered, by the database's clock.
    pub registered_at: UnixTime,
    /// How often it has renewed its lease.
    pub beat: u64,
    /// It has applied the log up to here.
    pub position: Position,
    /// The newest kind of change that it knows.
    pub speaks: u32,
    /// Where it listens, if it has said so.
    pub address: Option<String>,
}
