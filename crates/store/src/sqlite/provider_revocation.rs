//! Revokes all tokens of a provider: one cutoff per channel, in the order of their ids, a
//! few channels per transaction. The progress is in a row, so a process that finds the
//! row after a crash continues from there.

use super::{
    apply::run,
    read,
    rows::unavailable,
    writer::{Tx, write},
};
use crate::{
    By, Error, Event, ProviderRevocation, Result, RevocationTarget, Revoked, RowId,
    audit_event::{AuditEvent, ProviderJob},
    journal::JournalEntry,
};
use rusqlite::{Connection, OptionalExtension, params};
use tegata_policy::acts::Revoke;
use tegata_token::id::{Position, ProviderId};

pub(super) fn begin(tx: &mut Tx<'_>, provider: ProviderId, by: &By) -> Result<RowId> {
    if !read::has_provider(tx.conn, provider).map_err(unavailable)? {
        return Err(Error::NotFound("provider"));
    }
    // Channels that are created from now on are not included.
    let sql = "INSERT INTO provider_revocation (provider, through, actor, source, reason)
               SELECT ?1, coalesce(max(number), 0), ?2, ?3, ?4 FROM channel RETURNING number";
    let job = tx
        .conn
        .prepare_cached(sql)
        .and_then(|mut insert| {
            let values = params![provider.number(), by.actor, by.source, by.reason];
            insert.query_row(values, |row| row.get(0))
        })
        .map_err(unavailable)?;
    let By { actor, source, reason, .. } = by.clone();
    tx.log(Vec::new(), vec![JournalEntry::ProviderRevocation { provider, actor, source, reason }]);
    let event = AuditEvent::ProviderRevoke(ProviderJob { job });
    super::audit::write(tx, by, &Event { event, provider: Some(provider), channel: None })?;
    Ok(job)
}

/// Begins again a revocation that the journal says was begun; the next start completes
/// it. All channels that the store has now existed then.
pub(super) fn replay(tx: &mut Tx<'_>, provider: ProviderId, by: &By) -> Result<()> {
    match begin(tx, provider, by) {
        // A provider that the restored store lacks has no channels here.
        Ok(_) | Err(Error::NotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Drops a revocation that the journal says was complete.
pub(super) fn replay_done(tx: &Tx<'_>, provider: ProviderId) -> Result<()> {
    let sql = "DELETE FROM provider_revocation WHERE number =
                   (SELECT min(number) FROM provider_revocation WHERE provider = ?1)";
    write(tx, sql, [provider.number()]).map(drop)
}

pub(super) fn go_on(tx: &mut Tx<'_>, job: RowId, most: usize) -> Result<(Revoked, bool)> {
    let sql = "SELECT provider, through, done_to, revoked, position, actor, source, reason
               FROM provider_revocation WHERE number = ?1";
    let found = tx.conn.prepare_cached(sql).and_then(|mut query| {
        query
            .query_row([job], |row| {
                let by =
                    By { actor: row.get(5)?, source: row.get(6)?, reason: row.get(7)?, at: tx.now };
                let scope: (u64, i64, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok((scope, (row.get::<_, usize>(3)?, row.get::<_, u64>(4)?), by))
            })
            .optional()
    });
    let found = found.map_err(unavailable)?;
    let ((provider, through, mut done_to), (mut revoked, mut position), by) =
        found.ok_or(Error::NotFound("job"))?;
    let sql = "SELECT id FROM channel WHERE provider = ?1 AND number <= ?2 AND id > ?3
                   AND state <> 'deleted' ORDER BY id LIMIT ?4";
    let channels: Vec<u64> = tx
        .conn
        .prepare_cached(sql)
        .and_then(|mut query| {
            query.query_map((provider, through, done_to, most), |row| row.get(0))?.collect()
        })
        .map_err(unavailable)?;
    let done = channels.len() < most;
    for &number in &channels {
        let id = super::rows::channel_id(number).map_err(unavailable)?;
        revoked += run(tx, &Revoke { channel: id, target: RevocationTarget::All, by: by.clone() })?;
        done_to = number;
    }
    let here = tx.position();
    let epoch = here.map_or_else(|| tx.head().epoch, |it| it.epoch);
    position = here.map_or(position, |it| it.number);
    if done {
        write(tx, "DELETE FROM provider_revocation WHERE number = ?1", [job])?;
        let provider = super::rows::provider_id(provider).map_err(unavailable)?;
        tx.log(Vec::new(), vec![JournalEntry::ProviderEndDone { provider }]);
    } else {
        let sql = "UPDATE provider_revocation SET done_to = ?2, revoked = ?3, position = ?4
                   WHERE number = ?1";
        write(tx, sql, (job, done_to, revoked, position))?;
    }
    Ok((Revoked { tokens: revoked, position: Position { epoch, number: position } }, done))
}

pub(super) fn all(conn: &Connection) -> rusqlite::Result<Vec<ProviderRevocation>> {
    let sql = "SELECT number, provider, revoked, (SELECT count(*) FROM channel
                   WHERE provider = job.provider AND number <= job.through AND id > job.done_to
                       AND state <> 'deleted')
               FROM provider_revocation job ORDER BY number";
    let mut query = conn.prepare_cached(sql)?;
    let found = query.query_map([], |row| {
        let provider = super::rows::provider_id(row.get(1)?)?;
        Ok(ProviderRevocation {
            job: row.get(0)?,
            provider,
            revoked: row.get(2)?,
            channels_left: row.get(3)?,
        })
    })?;
    found.collect()
}
