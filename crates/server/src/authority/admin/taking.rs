//! What every act that takes something away has in common: its dry run and its receipt.

use super::{
    created::CreatedKey,
    facade::{Admin, Result},
    options::ActOptions,
};
use crate::authority::receipt::{CommittedAct, Concerns, Receipt};
use tegata_policy::channel::Channel;
use tegata_store::{RevocationTarget, Taking, TokenRow, WouldTake};
use tegata_token::{id::ChannelId, kind::Kind, time::UnixTime};

/// What an act took away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenAway {
    /// The number of active stored tokens that it made invalid; 1 for a stateless token
    /// that was given by its text. `None`: those of a signing key that could not be counted in
    /// time, or of a provider if another server took the last step.
    pub tokens: Option<usize>,
    /// Whether the scope includes stateless tokens; they have no rows, so `tokens` does
    /// not count them.
    pub stateless_too: bool,
    /// Which instances of verifiers have applied it.
    pub receipt: Receipt,
}

/// What an act would take away.
#[derive(Debug, Clone, Default)]
pub struct DryRun {
    /// The number of active stored tokens that it would make invalid.
    pub tokens: usize,
    /// As in [`TakenAway`].
    pub stateless_too: bool,
    /// Whether clients still use the previous secret, of an act that takes it away.
    pub previous_in_use: Option<bool>,
    /// The assertion keys, of an act that takes away what an actor created.
    pub created_keys: Option<Vec<CreatedKey>>,
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

    /// The result, of an act that was no dry run.
    ///
    /// # Errors
    /// It was one.
    pub fn done(self) -> Result<(T, TakenAway)> {
        match self {
            Self::Done(done, taken) => Ok((done, taken)),
            Self::DryRun(_) => Err(tegata_store::Error::Conflict("it was a dry run").into()),
        }
    }

    /// What a dry run found.
    ///
    /// # Errors
    /// It was none.
    pub fn rehearsed(self) -> Result<DryRun> {
        match self {
            Self::DryRun(found) => Ok(found),
            Self::Done(..) => Err(tegata_store::Error::Conflict("it was no dry run").into()),
        }
    }
}

/// Maximum number of tokens that a dry run lists.
pub const ROWS: usize = 100;

impl Admin {
    /// What would be taken from channels of any state.
    pub(super) async fn would_take(
        &self,
        mut would: WouldTake,
        stateless_too: bool,
    ) -> Result<DryRun> {
        self.authority.note_idle_of_all(&mut would.rows).await?;
        let rows = would.rows.into_iter().map(|(channel, row)| (Some(channel), row)).collect();
        Ok(DryRun { tokens: would.tokens, stateless_too, rows, ..DryRun::default() })
    }

    /// What would be taken from this channel.
    pub(super) async fn would_take_of(
        &self,
        channel: &Channel,
        mut would: WouldTake,
        stateless_too: bool,
    ) -> Result<DryRun> {
        for (_, row) in &mut would.rows {
            row.state = row.state.in_channel(channel.state);
        }
        let mut found = self.would_take(would, stateless_too).await?;
        found.rows.iter_mut().for_each(|(of, _)| *of = None);
        Ok(found)
    }

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
            let found = self.would_take_of(channel, would, stateless_too).await?;
            return Ok(Outcome::DryRun(found));
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
        tokens: impl Into<Option<usize>>,
        act: CommittedAct,
        stateless_too: bool,
        options: &ActOptions,
    ) -> Result<TakenAway> {
        let receipt = self.authority.receipt(act, options.wait).await?;
        Ok(TakenAway { tokens: tokens.into(), stateless_too, receipt })
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
        RevocationTarget::Stored { .. }
        | RevocationTarget::Presented { .. }
        | RevocationTarget::Stateless { .. } => false,
        RevocationTarget::Kind(kind) => *kind == Kind::Stateless,
        RevocationTarget::Group(_)
        | RevocationTarget::AssertionKey(_)
        | RevocationTarget::BySecret
        | RevocationTarget::All => true,
    }
}
