//! Runs acts, and waits for what their answers promise.

use super::{
    PostgresStore,
    connect::Client,
    failed::Failed,
    job::{PATIENCE, Place, job},
    questions::dry,
    readers::ask,
    rows::{self, int, list},
    sql::values,
};
use crate::{
    Error, Result, Revoked, RowId, TRACES, Taking, WouldTake,
    columns::{Columns, channel_id},
    taking::Taken,
};
use std::time::Duration;
use tegata_policy::acts::{Act, ContinueProviderRevocation, Forget, REVOCATIONS_KEPT};
use tegata_token::{
    id::{ChannelId, Position},
    time::UnixTime,
};
use tracing::Instrument;

/// How long an act waits, from when its commit was known, for servers that do not say that
/// they have it: by then their leases have run out, whatever became of them.
const SILENCE: Duration = Duration::from_millis(2_300);
/// The first and the longest pause between two looks at what other servers have, if none says
/// that it has acknowledged.
const LOOK: Duration = Duration::from_millis(5);
const LONGEST_LOOK: Duration = Duration::from_millis(40);

impl PostgresStore {
    /// Runs an act whose rules are the policy's; returns its value, its time, and the
    /// position of its last change, when memory has it.
    pub(super) async fn run_at<A>(
        &self,
        at: UnixTime,
        act: A,
    ) -> Result<(A::Output, UnixTime, Position)>
    where
        A: Act<Output: Send> + Send + 'static,
    {
        let (value, place) = self.commit(at, act).await?;
        self.wait_for(place).await?;
        Ok((value, place.now, place.position))
    }

    /// Runs an act as [`PostgresStore::run_at`] does.
    pub(super) async fn run<A>(&self, at: UnixTime, act: A) -> Result<(A::Output, Position)>
    where
        A: Act<Output: Send> + Send + 'static,
    {
        self.run_at(at, act).await.map(|(value, _, position)| (value, position))
    }

    /// Runs an act up to its commit.
    async fn commit<A>(&self, at: UnixTime, act: A) -> Result<(A::Output, Place)>
    where
        A: Act<Output: Send> + Send + 'static,
    {
        if let Some(why) = self.shared.why_stopped() {
            return Err(Error::Unavailable(why));
        }
        let (job, answer) = job(at, act);
        self.shared.queue.push(job)?;
        let span = tracing::info_span!(target: TRACES, "commit");
        // The act may still be done later: its outcome is unknown.
        let slow = |_| Error::Unavailable("the database takes too long".into());
        let answer = tokio::time::timeout(PATIENCE, answer).instrument(span);
        let gone = |_| Error::Unavailable("the store is not used any more; see the log".into());
        answer.await.map_err(slow)?.map_err(gone)?
    }

    /// Waits until memory has an act's changes, and the memory of every other server, if it
    /// took something away. A server that does not say so has lost its lease by the end.
    ///
    /// # Errors
    /// This server's own memory does not have them.
    async fn wait_for(&self, place: Place) -> Result<()> {
        let waits = async {
            if place.narrowed {
                self.everywhere(place.position).await;
            } else if place.changed {
                self.shared.applied(place.position).await;
            }
        };
        let _ = tokio::time::timeout(SILENCE, waits).await;
        if place.changed && self.shared.seen().applied < place.position {
            let why = "it is done, but this server could not read it back";
            return Err(Error::Unavailable(why.into()));
        }
        Ok(())
    }

    /// Waits until every server has acknowledged a position.
    async fn everywhere(&self, position: Position) {
        let _waiting = self.shared.waits.begin();
        let (mut pause, mut listed) = (LOOK, false);
        loop {
            // What is read after this call has the servers that there were at the commit.
            match self.shared.after_now().await {
                Ok(seen) if seen.is_everywhere(position) => return,
                Ok(_) => listed = true,
                Err(why) => tracing::debug!(%why, "the other servers' positions are not known"),
            }
            let mut rounds = self.shared.watch();
            let acknowledged = async {
                if listed {
                    // Fails when the store is closed.
                    let _ = rounds.wait_for(|it| it.is_everywhere(position)).await;
                } else {
                    std::future::pending().await
                }
            };
            // They say when they have acknowledged; if that is not heard, they are asked.
            if tokio::time::timeout(pause, acknowledged).await.is_ok() {
                return;
            }
            pause = (pause * 2).min(LONGEST_LOOK);
        }
    }

    /// Runs any act that takes something away.
    pub(super) async fn run_any(&self, act: Taking) -> Result<Revoked> {
        match act {
            Taking::Revoke(act) => self.run_taking(act.by.at, act).await,
            Taking::Channel(act) => self.run_taking(act.by.at, act).await,
            Taking::Secret(act) => self.run_taking(act.by.at, act).await,
            Taking::PreviousSecret(act) => self.run_taking(act.by.at, act).await,
            Taking::AssertionKey(act) => self.run_taking(act.by.at, act).await,
            Taking::Group(act) => self.run_taking(act.by.at, act).await,
            Taking::Provider(act) => self.run_taking(act.by.at, act).await,
        }
    }

    /// Runs an act that takes something away, and returns how many tokens.
    async fn run_taking<A>(&self, at: UnixTime, act: A) -> Result<Revoked>
    where
        A: Act<Output = usize> + Send + 'static,
    {
        let (tokens, at, position) = self.run_at(at, act).await?;
        Ok(Revoked { tokens, position, at })
    }

    /// Decides an act without its effects: returns how many tokens it would revoke, and the
    /// newest `most` of them that are stored.
    pub(super) async fn decide<A>(&self, at: UnixTime, act: A, most: usize) -> Result<WouldTake>
    where
        A: Act<Output: Taken> + Send + Sync + 'static,
    {
        ask!(self Request, |db, act| dry::decide(&db, at, act, most))
    }

    /// Drops revocations that cover no unexpired token; returns how many it dropped.
    pub(super) async fn forget_due(&self, channels: usize, now: UnixTime) -> Result<usize> {
        let due = ask!(self List, |db| due(&db, channels, now))?;
        let acts = due.into_iter().map(|channel| self.run(now, Forget { channel }));
        let gone = futures_util::future::try_join_all(acts).await?;
        Ok(gone.into_iter().map(|(gone, _)| gone).sum())
    }

    /// Goes on with a revocation of a provider's tokens: at most `most` channels, a
    /// transaction each.
    pub(super) async fn continue_job(
        &self,
        job: RowId,
        most: usize,
        now: UnixTime,
    ) -> Result<(Revoked, bool)> {
        let mut last = None;
        for _ in 0..most {
            let next = ask!(self Request, |db| next_channel(&db, job))?;
            let act = ContinueProviderRevocation { job, channel: next };
            let (progress, place) = self.commit(now, act).await?;
            last = Some((progress, place));
            if progress.done {
                break;
            }
        }
        let (progress, place) = last.ok_or(Error::Conflict("no channel may be revoked at once"))?;
        // All changes before it are in memory with the last one.
        self.wait_for(Place { narrowed: true, changed: true, ..place }).await?;
        let before = Position { number: progress.position, ..place.position };
        let position = if place.changed { place.position } else { before };
        if progress.done {
            self.announce_receipt(position).await;
        }
        Ok((Revoked { tokens: progress.revoked, position, at: place.now }, progress.done))
    }

    /// Gives memory a receipt that began with a commit without changes.
    async fn announce_receipt(&self, at: Position) {
        if let Ok(Some(receipt)) = crate::Store::receipt(self, at).await {
            self.shared.announce(receipt);
            let _ = self.shared.after_now().await;
        }
    }
}

/// The channels whose revocations may cover no unexpired token any more.
async fn due(
    db: &Client,
    channels: usize,
    now: UnixTime,
) -> std::result::Result<Vec<ChannelId>, Failed> {
    let sql = "SELECT channel FROM channel_revocations
               WHERE first_until <= $1 ORDER BY first_until LIMIT $2";
    let before = now.plus(-REVOCATIONS_KEPT).0;
    list(db, sql, values![before, int(channels)], |row| Ok(channel_id(row.value("channel")?)?))
        .await
}

/// The next channel of a revocation of a provider's tokens.
async fn next_channel(db: &Client, job: RowId) -> std::result::Result<Option<ChannelId>, Failed> {
    let sql = "SELECT (SELECT min(id) FROM channel WHERE provider = job.provider
                   AND number <= job.through AND id > job.done_to AND state <> 'deleted') AS next
               FROM provider_revocation job WHERE number = $1";
    let found = rows::one(db, sql, values![job], |row| {
        Ok(row.optional::<u64>("next")?.map(channel_id).transpose()?)
    })
    .await?;
    Ok(found.flatten())
}
