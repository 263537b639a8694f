//! What SQLite does for an act: its writer loads, decides, applies and commits; a dry run is
//! decided on a reader's connection.

use super::{
    SqliteStore, apply, load, provider_revocation, read,
    rows::{self, unavailable},
    writer::Tx,
};
use crate::{
    Error, Result, Revoked, RowId, WouldTake, columns::Columns, engine::Engine, taking::Taken,
};
use rusqlite::Connection;
use tegata_policy::acts::{Act, ContinueProviderRevocation, Issuer};
use tegata_token::{
    id::{ChannelId, Position},
    time::UnixTime,
};

impl Engine for SqliteStore {
    fn form(&self) -> &Issuer {
        &self.form
    }

    async fn run_at<A>(&self, at: UnixTime, act: A) -> Result<(A::Output, UnixTime, Position)>
    where
        A: Act<Output: Send> + Send + 'static,
    {
        let act = move |tx: &mut Tx<'_>| apply::run(tx, &act).map(|done| (done, tx.now));
        let ((done, at), position) = self.writer.act(at, act).await?;
        Ok((done, at, position))
    }

    async fn decide<A>(&self, at: UnixTime, act: A, most: usize) -> Result<WouldTake>
    where
        A: Act<Output: Taken> + Send + Sync + 'static,
    {
        self.read(move |conn| {
            let tx = conn.transaction().map_err(unavailable)?;
            let now = at.max(read::written_at(&tx).map_err(unavailable)?);
            let keys = rows::signing_keys(&tx).map_err(unavailable)?.into();
            let locked = load::load(&tx, &keys, &act.needs(), None).map_err(unavailable)?;
            let (output, effects) = act.decide(&locked, now)?;
            let numbers = effects.taken.iter().rev().copied().take(most);
            let rows = read::rows_of(&tx, numbers, now).map_err(unavailable)?;
            Ok(WouldTake { tokens: output.tokens(), rows })
        })
        .await
    }

    async fn forgettable(&self, most: usize, before: UnixTime) -> Result<Vec<ChannelId>> {
        self.list(move |conn| forgettable(conn, most, before).map_err(unavailable)).await
    }

    /// All steps in one commit.
    async fn continue_job(
        &self,
        job: RowId,
        most: usize,
        now: UnixTime,
    ) -> Result<(Revoked, bool)> {
        let act = move |tx: &mut Tx<'_>| continue_provider(tx, job, most);
        self.writer.act(now, act).await.map(|(done, _)| done)
    }
}

fn forgettable(
    conn: &Connection,
    most: usize,
    before: UnixTime,
) -> rusqlite::Result<Vec<ChannelId>> {
    let sql = "SELECT channel FROM channel_revocations
               WHERE first_until <= ?1 ORDER BY first_until LIMIT ?2";
    rows::list(conn, sql, (before.0, most), |row| row.value("channel"))
}

/// Goes on with a job: at most `most` channels.
fn continue_provider(tx: &mut Tx<'_>, number: RowId, most: usize) -> Result<(Revoked, bool)> {
    let mut progress = None;
    for _ in 0..most {
        let next: Option<ChannelId> =
            provider_revocation::job(tx.conn, number).map_err(unavailable)?.and_then(|it| it.next);
        let now = apply::run(tx, &ContinueProviderRevocation { job: number, channel: next })?;
        progress = Some(now);
        if now.done {
            break;
        }
    }
    let progress = progress.ok_or(Error::Conflict("no channel may be revoked at once"))?;
    let before = Position { number: progress.position, ..tx.head() };
    let position = tx.position().unwrap_or(before);
    Ok((Revoked { tokens: progress.revoked, position, at: tx.now }, progress.done))
}
