//! Rows beside those of a channel, for the acts of background jobs.

use crate::secret::HashedSecret;
use std::sync::Arc;
use tegata_token::{
    id::{AssertionKeyId, ChannelId, ProviderId, Serial},
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
    /// Warnings with these names, and the ones that are out of date first.
    Warnings(Vec<String>),
    /// One warning.
    Warning(i64),
    /// The times of last use of what these uses name.
    Stamps(Arc<[Stamp]>),
}

/// What was read of them. What an act did not need is empty.
#[derive(Debug, Clone, Default)]
pub struct UpkeepRows {
    /// The number that the next revocation of a provider's tokens gets.
    pub next_job: i64,
    /// The number of the newest channel's row.
    pub newest_channel: i64,
    /// The revocation of a provider's tokens.
    pub job: Option<ProviderJob>,
    /// Warnings; one may be there twice.
    pub warnings: Vec<QueuedWarning>,
    /// The uses of what still exists.
    pub stamped: Vec<Stamped>,
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
    /// It concerns channels whose rows have at most this number.
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
