//! Rows beside those of a channel, for the acts of background jobs.

use tegata_token::id::{ChannelId, ProviderId};

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
