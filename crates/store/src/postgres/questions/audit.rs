//! Rows and checkpoints of the audit.

use crate::{
    AuditHead, Batch, WrappedKey,
    audit::{AuditReport, AuditVerifier, Checkpoint, PART, Walk},
    columns::{Columns, audit as columns},
    postgres::{
        connect::Conn,
        failed::Failed,
        readers::{Asked, Readers},
        rows::{int, one},
        sql::values,
    },
};
use futures_util::future::try_join;
use std::sync::Arc;
use tegata_token::time::UnixTime;
use tokio_postgres::Client;

/// The last checkpoint.
pub(in crate::postgres) async fn last_checkpoint(
    db: &Client,
) -> Result<Option<Checkpoint>, Failed> {
    let sql = "SELECT * FROM audit_checkpoint ORDER BY number DESC LIMIT 1";
    one(db, sql, &[], columns::checkpoint).await
}

/// The last checkpoint, and the events that wait for the next one.
pub(in crate::postgres) async fn head(db: &Client) -> Result<AuditHead, Failed> {
    let sql = "SELECT epoch, pending, oldest FROM authority, LATERAL (
                   SELECT count(*) AS pending, min(at) AS oldest FROM audit
                   WHERE id > coalesce((SELECT max(last) FROM audit_checkpoint
                       WHERE number = (SELECT max(number) FROM audit_checkpoint)), $1)) waiting";
    let values = values![i64::MIN];
    let waiting = one(db, sql, values, |row| {
        Ok((row.value("epoch")?, row.value("pending")?, row.optional("oldest")?))
    });
    let (last, waiting) = try_join(last_checkpoint(db), waiting).await?;
    let (epoch, pending, oldest) = waiting.unwrap_or_default();
    Ok(AuditHead { last, pending, oldest, epoch })
}

/// The next checkpoint after the one with that number and last row, and its rows; if there is
/// none, the rows after the last one. The inner error: what the database holds cannot be
/// read.
pub(in crate::postgres) async fn batch(
    db: &Client,
    (after, last): (u64, i64),
    most: usize,
) -> Result<Result<Batch, Failed>, Failed> {
    let sql = "SELECT * FROM audit_checkpoint WHERE number > $1 ORDER BY number LIMIT 1";
    let found = db.query_typed_opt(sql, values![int(after)]).await?;
    let checkpoint = match found.as_ref().map(columns::checkpoint).transpose() {
        Ok(checkpoint) => checkpoint,
        Err(damaged) => return Ok(Err(damaged)),
    };
    let through = checkpoint.as_ref().map_or(i64::MAX, |it| it.last);
    let sql = "SELECT * FROM audit WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3";
    let rows = db.query_typed(sql, values![last, through, int(most)]).await?;
    let rows = rows.iter().map(columns::raw_row).collect::<Result<_, _>>();
    Ok(rows.map(|rows| Batch { checkpoint, rows }))
}

/// The number of the last checkpoint, of those from `from` on, that is older than `before`.
pub(in crate::postgres) async fn expired(
    db: &Client,
    from: u64,
    before: UnixTime,
) -> Result<Option<u64>, Failed> {
    // Checkpoints are in the order of their times: the clock of a store never goes back.
    let sql = "SELECT max(number) AS number FROM (SELECT number, at FROM audit_checkpoint
               WHERE number >= $1 ORDER BY number LIMIT 1000) AS first WHERE at < $2";
    let found = one(db, sql, values![int(from), before.0], |row| row.optional("number")).await;
    found.map(Option::flatten)
}

/// The key that signs checkpoints: its public half and its wrapped private half.
pub(in crate::postgres) async fn key(
    db: &Client,
) -> Result<Option<([u8; 32], WrappedKey)>, Failed> {
    let sql = "SELECT public, wrapped FROM audit_key";
    one(db, sql, &[], |row| Ok((row.value("public")?, row.value("wrapped")?))).await
}

/// Passes all checkpoints and rows to a verifier, in parts.
///
/// # Errors
/// [`Error::Unavailable`](crate::Error::Unavailable): the database does not answer, which
/// says nothing about the audit.
pub(in crate::postgres) async fn walk(
    readers: &Readers,
    verifier: AuditVerifier,
) -> crate::Result<AuditReport> {
    let mut walk = Walk::new(verifier);
    while let Some(behind) = walk.behind() {
        let question = |db: Arc<Conn>| async move { batch(&db, behind, PART).await };
        walk.take(readers.ask(Asked::Walk, question).await?.map_err(crate::Error::from));
    }
    Ok(walk.report())
}

/// The same on one connection.
pub(in crate::postgres) async fn walk_on(
    db: &Client,
    verifier: AuditVerifier,
) -> Result<AuditReport, Failed> {
    let mut walk = Walk::new(verifier);
    while let Some(behind) = walk.behind() {
        walk.take(batch(db, behind, PART).await?.map_err(crate::Error::from));
    }
    Ok(walk.report())
}
