//! Rows beside those of a channel, for the acts of background jobs.

use super::{
    followers::{Instance, VerifierRow},
    person::{PersonRows, WhichPerson},
    stored::Times,
    things::{RootTokens, WrappedKey},
};
use crate::secret::HashedSecret;
// Addresses alone: this crate opens no sockets.
use core::net::IpAddr;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tegata_token::{
    feed::InstanceId,
    id::{AssertionKeyId, ChannelId, PersonId, ProviderId, Serial, VerifierId},
    time::UnixTime,
};

/// Which of these rows an act needs.
#[derive(Debug, Clone, Default)]
pub enum Upkeep {
    /// None.
    #[default]
    None,
    /// The numbers that a new revocation of a provider's tokens begins with.
    NewProviderJob,
    /// A revocation of a provider's tokens.
    ProviderJob(i64),
    /// The oldest revocation of this provider's tokens.
    OldestProviderJob(ProviderId),
    /// Warnings with these names, and the ones that are out of date first.
    Warnings(Vec<String>),
    /// One warning.
    Warning(i64),
    /// The times of last use of what these uses name.
    Stamps(Arc<[Stamp]>),
    /// The recent uses that are stored of the tokens in these.
    Uses(Arc<[NotedUse]>),
    /// Rows that may be old enough to be deleted.
    Old(Old),
    /// The last checkpoint of the audit.
    LastCheckpoint,
    /// A verifier, deleted or not.
    Verifier(VerifierId),
    /// A verifier, one of its instances, and how many it has.
    Instance(VerifierId, InstanceId),
    /// A verifier, and one or all of its instances.
    Instances(VerifierId, Option<InstanceId>),
    /// A person with sessions and personal tokens.
    Person(WhichPerson),
    /// The same, and which of the person's roles are in what is deleted.
    RolesOf(PersonId),
    /// All people who can sign in.
    People,
    /// The request that is remembered under this key, and those that were forgotten first.
    Request([u8; 32]),
    /// All root administrator's tokens that were in force.
    RootTokens,
}

/// Rows that may be old enough to be deleted.
#[derive(Debug, Clone)]
pub enum Old {
    /// The oldest changes of the log, and the used assertions that expired first: at most
    /// `most` of either.
    LogAndAssertions {
        /// The maximum number.
        most: usize,
    },
    /// These rows of tokens, if they were expired or revoked before `before`.
    Tokens {
        /// The rows.
        rows: Vec<i64>,
        /// The time.
        before: UnixTime,
    },
    /// Recent uses of tokens whose newest is older than `before`, of at most `most` tokens.
    Uses {
        /// The time.
        before: UnixTime,
        /// The maximum number.
        most: usize,
    },
    /// The oldest audit events, at most `most`, of checkpoints below `kept_from`; a
    /// stored checkpoint must have announced that.
    Audit {
        /// The first checkpoint whose events are kept.
        kept_from: u64,
        /// The maximum number.
        most: usize,
    },
}

/// What was read of them. What an act did not need is empty.
#[derive(Debug, Clone, Default)]
pub struct UpkeepRows {
    /// The number that the next revocation of a provider's tokens gets.
    pub next_job: i64,
    /// The revocation of a provider's tokens.
    pub job: Option<ProviderJob>,
    /// Warnings; one may be there twice.
    pub warnings: Vec<QueuedWarning>,
    /// The uses of what still exists.
    pub stamped: Vec<Stamped>,
    /// The rows of the tokens whose uses were noted.
    pub uses: Vec<UsesOfRow>,
    /// Rows of tokens, and a time that is after their newest use.
    pub last_uses: Vec<(i64, UnixTime)>,
    /// The oldest changes of the log: their numbers and times, in order.
    pub log: Vec<(u64, UnixTime)>,
    /// The used assertions that expired first.
    pub assertions: Vec<UsedAssertion>,
    /// Tokens that may be swept.
    pub tokens: Vec<SweptToken>,
    /// The ids of the oldest audit events of the checkpoints in question, in order.
    pub events: Vec<i64>,
    /// The last checkpoint of the audit.
    pub checkpoint: Option<Checkpoint>,
    /// The verifier.
    pub verifier: Option<VerifierRow>,
    /// Whether it is deleted.
    pub verifier_deleted: bool,
    /// Its instances that were asked for.
    pub instances: Vec<Instance>,
    /// How many instances it has that are not stopped.
    pub instance_count: usize,
    /// How many it has whose row is kept although they are stopped.
    pub stopped_count: usize,
    /// What was read about people.
    pub people: PersonRows,
    /// Requests that are remembered; one may be there twice.
    pub requests: Vec<RememberedRequest>,
    /// The root administrator's tokens.
    pub root_tokens: RootTokens,
}

/// An assertion that was used, of a channel that accepts each one once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedAssertion {
    /// The channel.
    pub channel: ChannelId,
    /// Identifies the assertion.
    pub fingerprint: [u8; 32],
    /// When it expires.
    pub expires_at: UnixTime,
}

/// A token that may be swept.
#[derive(Debug, Clone)]
pub struct SweptToken {
    /// Its row.
    pub row: i64,
    /// Its channel.
    pub channel: ChannelId,
    /// Its own times, whatever the state of its signing key.
    pub times: Times,
}

/// A request that is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RememberedRequest {
    /// Identifies it: a digest of actor, call and key.
    pub key: [u8; 32],
    /// A digest of its parameters.
    pub parameters: [u8; 32],
    /// Its response, encrypted with the master key; `None`: it is not known whether the
    /// request was carried out.
    pub response: Option<WrappedKey>,
    /// Until when it is remembered.
    pub until: UnixTime,
}

/// A checkpoint of the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Its number: 1, 2, 3 … without a gap.
    pub number: u64,
    /// The store's epoch when it was made.
    pub epoch: u64,
    /// The id of its first row.
    pub first: i64,
    /// The id of its last row.
    pub last: i64,
    /// How many rows it covers.
    pub events: u64,
    /// Rows of checkpoints below this one may have been deleted, since their retention
    /// was over.
    pub kept_from: u64,
    /// When it was made.
    pub at: UnixTime,
    /// SHA-256 over the previous chain value and the digests of its rows, in hex digits.
    pub chain: String,
    /// Ed25519 signature, in hex digits, over all of the above and the previous chain
    /// value.
    pub signature: String,
}

/// A warning that was queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedWarning {
    /// Its number.
    pub number: i64,
    /// Its name.
    pub name: String,
    /// From then on it is out of date.
    pub keep_until: UnixTime,
    /// How often it was sent without success.
    pub attempts: u32,
}

/// A revocation of a provider's tokens that is not complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderJob {
    /// Its number.
    pub number: i64,
    /// The provider.
    pub provider: ProviderId,
    /// How many of the provider were begun before it. It concerns the channels before which at most so
    /// many were: those that were there when it began.
    pub through: i64,
    /// Who requested it.
    pub actor: String,
    /// The client's address, if the request came over the network.
    pub source: Option<String>,
    /// The reason, if one was given.
    pub reason: Option<String>,
    /// How many stored tokens it has revoked.
    pub revoked: usize,
    /// The number of the position of its last change.
    pub position: u64,
    /// The next channel, in the order of their ids.
    pub next: Option<ChannelId>,
}

/// A warning to be queued.
#[derive(Debug, Clone)]
pub struct NewWarning {
    /// The subject and the lead time. A warning is sent once per name.
    pub name: String,
    /// What to send, as JSON; never a secret.
    pub body: String,
    /// From then on it is out of date.
    pub keep_until: UnixTime,
}

/// A use that was noted.
#[derive(Debug, Clone)]
pub enum Stamp {
    /// Of a stored token.
    Token(ChannelId, Serial, UnixTime),
    /// Of an assertion key.
    AssertionKey(AssertionKeyId, UnixTime),
    /// Of a channel's secret, the present or the previous one.
    Secret(ChannelId, HashedSecret, UnixTime),
}

/// Where a time of last use is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StampPlace {
    /// In this row of a token.
    Token(i64),
    /// In the row of an assertion key.
    AssertionKey(AssertionKeyId),
    /// In the row of the channel: of its present secret.
    Secret(ChannelId),
    /// In the row of the channel: of its previous secret.
    PreviousSecret(ChannelId),
}

/// A noted use with the place of its time, and the time that is stored there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamped {
    /// The place.
    pub place: StampPlace,
    /// The time that is stored.
    pub before: Option<UnixTime>,
    /// The time of the use.
    pub at: UnixTime,
}

/// Uses of a token from one address within one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecentUse {
    /// The address; `None` for all addresses beyond those that are listed singly.
    pub source: Option<IpAddr>,
    /// The start of the minute.
    pub minute: UnixTime,
    /// How many uses.
    pub count: u32,
}

impl RecentUse {
    /// One use.
    #[must_use]
    pub fn once(source: Option<IpAddr>, now: UnixTime) -> Self {
        Self::times(1, source, now)
    }

    /// Several uses within the minute of `now`.
    #[must_use]
    pub fn times(count: u32, source: Option<IpAddr>, now: UnixTime) -> Self {
        Self { source, minute: UnixTime(now.0 - now.0.rem_euclid(60)), count }
    }
}

/// Uses of a stored token that were noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotedUse {
    /// Its channel.
    pub channel: ChannelId,
    /// Its serial.
    pub serial: Serial,
    /// The uses.
    pub used: RecentUse,
}

/// The row of a token whose uses were noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsesOfRow {
    /// The row.
    pub row: i64,
    /// The uses that are stored.
    pub before: Vec<RecentUse>,
    /// The uses that were noted.
    pub noted: Vec<RecentUse>,
}
