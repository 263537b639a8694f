//! Runs acts, and waits for what their answers promise.

use super::{
    Plant, PostgresStore,
    connect::Client,
    failed::Failed,
    job::{PATIENCE, Place, job},
    questions::dry,
    readers::ask,
    rows::{int, list},
    seen::Seen,
    sql::values,
};
use crate::{
    Error, Result, Revoked, RowId, TRACES, WouldTake,
    columns::{Columns, channel_id},
    engine::Engine,
    taking::Taken,
};
use futures_util::future::join_all;
use std::{sync::atomic::Ordering, time::Duration};
use tegata_policy::acts::{Act, ContinueProviderRevocation, Issuer, ProviderProgress};
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
/// How many channels of a provider are revoked in one transaction: each takes a round trip, and
/// all other commits wait for them.
const TOGETHER: usize = 8;

impl Engine for PostgresStore {
    fn form(&self) -> &Issuer {
        &self.form
    }

    async fn run_at<A>(&self, at: UnixTime, act: A) -> Result<(A::Output, UnixTime, Position)>
    where
        A: Act<Output: Send> + Send + 'static,
    {
        let (value, place) = self.commit(at, act).await?;
        self.wait_for(place).await?;
        Ok((value, place.now, place.position))
    }

    async fn decide<A>(&self, at: UnixTime, act: A, most: usize) -> Result<WouldTake>
    where
        A: Act<Output: Taken> + Send + Sync + 'static,
    {
        ask!(self Request, |db, act| dry::decide(&db, at, act, most))
    }

    async fn forgettable(&self, most: usize, before: UnixTime) -> Result<Vec<ChannelId>> {
        ask!(self List, |db| forgettable(&db, most, before))
    }

    /// Some of them in one transaction.
    async fn continue_job(
        &self,
        job: RowId,
        most: usize,
        now: UnixTime,
    ) -> Result<(Revoked, bool)> {
        let (mut last, mut left) = (None, most);
        while left > 0 && !last.is_some_and(|(it, _): (ProviderProgress, Place)| it.done) {
            let next = ask!(self Request, |db| next_channels(&db, job, left.min(TOGETHER)))?;
            // They lock the same row, so they run in this order.
            let channels = if next.is_empty() { vec![None] } else { next };
            let acts = channels.into_iter().map(|channel| {
                let act = ContinueProviderRevocation { job, channel };
                self.commit(now, act)
            });
            for done in join_all(acts).await {
                match done {
                    Ok(it) => {
                        last = Some(it);
                        left -= 1;
                    }
                    // Another one went on with the job since the read, or a channel was deleted.
                    Err(Error::Conflict(_)) => {}
                    Err(error) => return Err(error),
                }
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
}

impl PostgresStore {
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
                self.everywhere(place.position, place.rounds).await;
            } else if place.changed {
                self.shared.applied(place.position).await;
            }
        };
        let most = if self.plant == Some(Plant::EndlessWait) { Duration::MAX } else { SILENCE };
        let _ = tokio::time::timeout(most, waits).await;
        let concerns_memory = place.changed || place.narrowed;
        if concerns_memory && self.shared.has() < place.position {
            let why = "it is done, but this server could not read it back";
            return Err(Error::Unavailable(why.into()));
        }
        Ok(())
    }

    /// Waits until every server has acknowledged a position, which was committed when so many
    /// rounds had begun.
    async fn everywhere(&self, position: Position, rounds: u64) {
        let _waiting = self.shared.waits.begin(position);
        let mut seen = self.shared.watch();
        // What is read after the commit has the servers that there were at it.
        let is_done =
            |it: &Seen| it.round > rounds && it.failed.is_none() && it.is_everywhere(position);
        let mut pause = LOOK;
        // Before they say that they have it, a look at their rows finds nothing.
        let mut looks = !self.shared.hears.load(Ordering::SeqCst);
        loop {
            if looks && let Err(why) = self.shared.after_now().await {
                tracing::debug!(%why, "the other servers' positions are not known");
            }
            if is_done(&seen.borrow()) {
                return;
            }
            // They may have said so before this act waited, or while their rows were read.
            self.shared.look_if_all_have(position);
            if self.shared.hears.load(Ordering::SeqCst) {
                pause = LONGEST_LOOK;
            }
            // They say when they have acknowledged; if that is not heard, they are asked. It fails
            // when the store is closed.
            if tokio::time::timeout(pause, seen.wait_for(is_done)).await.is_ok() {
                return;
            }
            looks = true;
            pause = (pause * 2).min(LONGEST_LOOK);
        }
    }

    /// Waits until what memory has up to `position` is in force on every server. What memory has
    /// had for longer than any lease is: then nothing is read.
    pub(super) async fn wait_in_force(&self, position: Position) {
        let rounds = self.shared.rounds();
        if self.shared.has_had(position, SILENCE) {
            return;
        }
        let _ = tokio::time::timeout(SILENCE, self.everywhere(position, rounds)).await;
    }

    /// Gives memory a receipt that began with a commit without changes.
    async fn announce_receipt(&self, at: Position) {
        if let Ok(Some(receipt)) = crate::Store::receipt(self, at).await {
            self.shared.announce(receipt);
            let _ = self.shared.after_now().await;
        }
    }
}

async fn forgettable(
    db: &Client,
    most: usize,
    before: UnixTime,
) -> std::result::Result<Vec<ChannelId>, Failed> {
    let sql = "SELECT channel FROM channel_revocations
               WHERE first_until <= $1 ORDER BY first_until LIMIT $2";
    list(db, sql, values![before.0, int(most)], |row| row.value("channel")).await
}

/// The next channels of a revocation of a provider's tokens, in their order.
async fn next_channels(
    db: &Client,
    job: RowId,
    most: usize,
) -> std::result::Result<Vec<Option<ChannelId>>, Failed> {
    let sql =
        "SELECT id FROM provider_revocation job JOIN channel ON channel.provider = job.provider
                   AND revocations_before <= job.through AND id > done_to AND state <> 'deleted'
               WHERE job.number = $1 ORDER BY id LIMIT $2";
    list(db, sql, values![job, int(most)], |row| Ok(Some(channel_id(row.value("id")?)?))).await
}
