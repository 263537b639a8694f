//! What every act that takes something away has in common: its options, its dry run and
//! its receipt.

use super::facade::{Admin, Result};
use crate::authority::receipt::{CommittedAct, Concerns, Receipt};
use std::time::Duration;
use tegata_policy::channel::Channel;
use tegata_store::{RevocationTarget, Taking, TokenRow, WouldTake};
use tegata_token::{id::ChannelId, kind::Kind, time::UnixTime};

/// How an act that takes something away is done.
#[derive(Debug, Clone, Default)]
pub struct ActOptions {
    /// The reason, for the audit, the rows of the tokens and the revocation journal.
    pub reason: Option<String>,
    /// For how long to wait until every verifier has acknowledged it.
    pub wait: Duration,
    /// Whether to do nothing, and to find out what it would take away.
    pub dry_run: bool,
}

impl ActOptions {
    /// The options of a dry run.
    #[must_use]
    pub fn rehearsal() -> Self {
        Self { dry_run: true, ..Self::default() }
    }
}

/// What an act took away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenAway {
    /// The number of active stored tokens that it made invalid; 1 for a stateless token
    /// that was given by its text.
    pub tokens: usize,
    /// Whether the scope includes stateless tokens; they have no rows, so `tokens` does
    /// not count them.
    pub stateless_too: bool,
    /// Which instances of verifiers have applied it.
    pub receipt: Receipt,
}

/// What an act would take away.
#[derive(Debug, Clone, Default)]
pub struct DryRun {
    /// As in [`TakenAway`].
    pub tokens: usize,
    /// As in [`TakenAway`].
    pub stateless_too: bool,
    /// Whether clients still use the previous secret, of an act that takes it away.
    pub previous_in_use: Option<bool>,
    /// The tokens, newest first, at most [`ROWS`]; with their channels if the act spans
    /// channels.
    pub rows: Vec<(Option<ChannelId>, TokenRow)>,
}

/// The result of an act that can be a dry run.
#[derive(Debug)]
pub enum Outcome<T> {
    /// It was done.
    Done(T, TakenAway),
    /// It was a dry run.
    DryRun(DryRun),
}

impl<T> Outcome<T> {
    /// The same with another result.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Done(done, taken) => Outcome::Done(change(done), taken),
            Self::DryRun(dry_run) => Outcome::DryRun(dry_run),
        }
    }
}

/// Maximum number of tokens that a dry run lists.
pub const ROWS: usize = 100;

impl DryRun {
    /// What would be taken from channels of any state.
    pub(super) fn of(would: WouldTake, stateless_too: bool) -> Self {
        let rows = would.rows.into_iter().map(|(channel, row)| (Some(channel), row)).collect();
        Self { tokens: would.tokens, stateless_too, previous_in_use: None, rows }
    }

    /// What would be taken from this channel.
    pub(super) fn of_channel(channel: &Channel, would: WouldTake, stateless_too: bool) -> Self {
        let mut found = Self::of(would, stateless_too);
        for (of, row) in &mut found.rows {
            row.state = row.state.in_channel(channel.state);
            *of = None;
        }
        found
    }
}

impl Admin {
    /// Does an act on a channel, or decides it alone. Returns the time of the act.
    pub(super) async fn take(
        &self,
        channel: &Channel,
        act: Taking,
        stateless_too: bool,
        options: &ActOptions,
    ) -> Result<Outcome<UnixTime>> {
        let store = self.authority.store();
        if options.dry_run {
            let would = store.would_take(act, ROWS).await;
            let would = self.named(channel.id, would).await?;
            return Ok(Outcome::DryRun(DryRun::of_channel(channel, would, stateless_too)));
        }
        let revoked = store.take(act).await;
        let revoked = self.named(channel.id, revoked).await?;
        let act = CommittedAct {
            position: revoked.position,
            effective_at: revoked.at,
            concerns: Concerns::Provider(channel.provider),
        };
        let taken = self.taken(revoked.tokens, act, stateless_too, options).await?;
        Ok(Outcome::Done(revoked.at, taken))
    }

    /// The result of an act that took `tokens` away, with its receipt.
    pub(super) async fn taken(
        &self,
        tokens: usize,
        act: CommittedAct,
        stateless_too: bool,
        options: &ActOptions,
    ) -> Result<TakenAway> {
        let receipt = self.authority.receipt(act, options.wait).await?;
        Ok(TakenAway { tokens, stateless_too, receipt })
    }

    /// The result of an act on a channel, whose error lists the names that exist.
    async fn named<T>(&self, channel: ChannelId, done: tegata_store::Result<T>) -> Result<T> {
        match done {
            Ok(done) => Ok(done),
            Err(error) => Err(self.naming(channel, error).await),
        }
    }
}

/// Whether the scope of a revocation includes stateless tokens.
pub(super) fn covers_stateless(tokens: &RevocationTarget) -> bool {
    match tokens {
        RevocationTarget::Stored { .. } | RevocationTarget::Stateless { .. } => false,
        RevocationTarget::Kind(kind) => *kind == Kind::Stateless,
        RevocationTarget::Group(_)
        | RevocationTarget::AssertionKey(_)
        | RevocationTarget::BySecret
        | RevocationTarget::All => true,
    }
}
