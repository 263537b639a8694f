//! Rows of revocations of all tokens of a provider. How they go on is decided by
//! `tegata_policy::acts`.

use super::{
    rows,
    writer::{Tx, write},
};
use crate::{ProviderRevocation, Result, RowId, columns::jobs};
use rusqlite::{Connection, OptionalExtension, params};
use tegata_policy::acts::{ProviderJob, UpkeepRows, Write};
use tegata_token::id::ProviderId;

/// Reads what a new job begins with. Each job has events in the audit, so no number is used twice: who
/// goes on with a job that another one has ended must not meet a later job.
pub(super) fn new_job(conn: &Connection) -> rusqlite::Result<UpkeepRows> {
    let sql = "SELECT max((SELECT coalesce(max(number), 0) FROM provider_revocation),
                          (SELECT coalesce(max(id), 0) FROM audit)) + 1";
    let next_job = conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    Ok(UpkeepRows { next_job, ..UpkeepRows::default() })
}

/// Reads a job.
pub(super) fn job(conn: &Connection, job: RowId) -> rusqlite::Result<Option<ProviderJob>> {
    let sql = "SELECT job.*, (SELECT min(id) FROM channel WHERE provider = job.provider
                   AND revocations_before <= job.through AND id > job.done_to AND state <> 'deleted') AS next
               FROM provider_revocation job WHERE number = ?1";
    conn.prepare_cached(sql)?.query_row([job], |row| jobs::provider_job(row)).optional()
}

/// Writes an effect on a job, of an act with `changes` changes.
pub(super) fn apply(tx: &Tx<'_>, changes: usize, it: &Write) -> Result<()> {
    match it {
        Write::ProviderJob(new) => {
            let sql = "INSERT INTO provider_revocation
                           (number, provider, through, actor, source, reason, position)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let (provider, by) = (new.provider.number(), (&new.actor, &new.source, &new.reason));
            let position = tx.position_after(changes).number;
            write(tx, sql, params![new.number, provider, new.through, by.0, by.1, by.2, position])?;
            let sql = "UPDATE provider SET revocations = ?2 + 1 WHERE id = ?1";
            write(tx, sql, params![provider, new.through])
        }
        Write::ProviderJobAt { job, done_to, revoked } => {
            let sql = "UPDATE provider_revocation SET done_to = ?2, revoked = ?3, position = ?4
                       WHERE number = ?1";
            write(tx, sql, (job, done_to.number(), revoked, tx.position_after(changes).number))
        }
        Write::ProviderJobDone(job) => {
            write(tx, "DELETE FROM provider_revocation WHERE number = ?1", [job])
        }
        _ => Ok(0),
    }
    .map(drop)
}

/// The oldest job of a provider.
pub(super) fn oldest(conn: &Connection, provider: ProviderId) -> rusqlite::Result<Option<RowId>> {
    let sql = "SELECT min(number) FROM provider_revocation WHERE provider = ?1";
    conn.prepare_cached(sql)?.query_row([provider.number()], |row| row.get(0))
}

pub(super) fn all(conn: &Connection) -> rusqlite::Result<Vec<ProviderRevocation>> {
    let sql = "SELECT number, provider, revoked, (SELECT count(*) FROM channel
                   WHERE provider = job.provider AND revocations_before <= job.through AND id > job.done_to
                       AND state <> 'deleted') AS channels_left
               FROM provider_revocation job ORDER BY number";
    rows::list(conn, sql, [], |row| jobs::running(row))
}
