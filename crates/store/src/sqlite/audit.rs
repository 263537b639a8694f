//! Rows and checkpoints of the audit. The content of a checkpoint is not decided here.

use super::{
    rows::{bytes, unavailable},
    writer::{self, Tx},
};
use crate::{
    AuditHead, Batch, Event, Result, WrappedKey,
    audit::{AuditReport, AuditVerifier, Checkpoint, PART, RawAuditRow, Walk},
    columns::audit as columns,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::path::Path;
use tegata_policy::acts::AuditRecord;
use tegata_token::{
    id::{ChannelId, ProviderId},
    time::UnixTime,
};

/// Writes the audit row of an act, in the act's own transaction.
pub(super) fn write(tx: &Tx<'_>, record: &AuditRecord) -> Result<()> {
    let AuditRecord { by, event: Event { event, provider, channel } } = record;
    let sql =
        "INSERT INTO audit (at, actor, source, act, provider, channel, detail, epoch, position)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let position = tx.position();
    tx.conn
        .prepare_cached(sql)
        .and_then(|mut insert| {
            insert.execute(params![
                tx.now.0,
                by.actor,
                by.source,
                event.act().name(),
                provider.map(ProviderId::number),
                channel.map(ChannelId::number),
                columns::detail(record),
                position.map(|it| it.epoch),
                position.map(|it| it.number),
            ])
        })
        .map(drop)
        .map_err(unavailable)
}

/// The id that the current act's audit event will have: one act writes one event, last of
/// all, and acts run one at a time.
pub(super) const NEXT_ACT: &str = "(SELECT coalesce(max(id), 0) + 1 FROM audit)";

fn raw_row(row: &Row<'_>) -> rusqlite::Result<RawAuditRow> {
    columns::raw_row(row)
}

fn checkpoint(row: &Row<'_>) -> rusqlite::Result<Checkpoint> {
    columns::checkpoint(row)
}

/// The last checkpoint.
pub(super) fn last_checkpoint(conn: &Connection) -> rusqlite::Result<Option<Checkpoint>> {
    let sql = "SELECT * FROM audit_checkpoint ORDER BY number DESC LIMIT 1";
    conn.prepare_cached(sql)?.query_row([], checkpoint).optional()
}

pub(super) fn head(conn: &mut Connection) -> rusqlite::Result<AuditHead> {
    let tx = conn.transaction()?;
    let last = last_checkpoint(&tx)?;
    let behind = last.as_ref().map_or(i64::MIN, |it| it.last);
    let sql = "SELECT count(*), min(at) FROM audit WHERE id > ?1";
    let (pending, oldest) = tx.prepare_cached(sql)?.query_row([behind], |row| {
        Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.map(UnixTime)))
    })?;
    let epoch = tx.query_row("SELECT epoch FROM authority", [], |row| row.get(0))?;
    Ok(AuditHead { last, pending, oldest, epoch })
}

/// The rows with ids above `after`, up to `last`.
fn between(
    conn: &Connection,
    after: i64,
    last: i64,
    most: usize,
) -> rusqlite::Result<Vec<RawAuditRow>> {
    let sql = "SELECT * FROM audit WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3";
    let mut query = conn.prepare_cached(sql)?;
    let found = query.query_map((after, last, most), raw_row)?;
    found.collect()
}

pub(super) fn batch(
    conn: &mut Connection,
    (number, last): (u64, i64),
    most: usize,
) -> rusqlite::Result<Batch> {
    let tx = conn.transaction()?;
    let sql = "SELECT * FROM audit_checkpoint WHERE number > ?1 ORDER BY number LIMIT 1";
    let checkpoint = tx.prepare_cached(sql)?.query_row([number], checkpoint).optional()?;
    let rows = between(&tx, last, checkpoint.as_ref().map_or(i64::MAX, |it| it.last), most)?;
    Ok(Batch { checkpoint, rows })
}

/// Writes a checkpoint.
pub(super) fn insert_checkpoint(tx: &Tx<'_>, it: &Checkpoint) -> Result<()> {
    let sql = "INSERT INTO audit_checkpoint VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let values = params![
        it.number,
        it.epoch,
        it.first,
        it.last,
        it.events,
        it.kept_from,
        it.at.0,
        columns::blob(&it.chain),
        columns::blob(&it.signature),
    ];
    writer::insert(tx, sql, values)
}

/// The number of the last checkpoint, of those from `from` on, that is older than
/// `before`.
pub(super) fn expired(
    conn: &Connection,
    from: u64,
    before: UnixTime,
) -> rusqlite::Result<Option<u64>> {
    // Checkpoints are in the order of their times: the clock of a store never goes back.
    let sql = "SELECT max(number) FROM (SELECT number, at FROM audit_checkpoint
               WHERE number >= ?1 ORDER BY number LIMIT 1000) WHERE at < ?2";
    conn.prepare_cached(sql)?.query_row((from, before.0), |row| row.get(0))
}

/// The ids of the oldest events of checkpoints below `kept_from`.
pub(super) fn events_below(
    conn: &Connection,
    kept_from: u64,
    most: usize,
) -> rusqlite::Result<Vec<i64>> {
    let sql = "SELECT id FROM audit WHERE id <= (SELECT last FROM audit_checkpoint
                   WHERE number < ?1 ORDER BY number DESC LIMIT 1) ORDER BY id LIMIT ?2";
    let mut query = conn.prepare_cached(sql)?;
    query.query_map((kept_from, most), |row| row.get(0))?.collect()
}

pub(super) fn key(conn: &Connection) -> rusqlite::Result<Option<([u8; 32], WrappedKey)>> {
    let sql = "SELECT public, wrapped FROM audit_key";
    let found = conn
        .prepare_cached(sql)?
        .query_row([], |row| Ok((bytes(row.get(0)?)?, WrappedKey(row.get(1)?))));
    found.optional()
}

pub(super) fn set_key(tx: &Tx<'_>, public: [u8; 32], wrapped: &WrappedKey) -> Result<()> {
    let sql = "INSERT INTO audit_key VALUES (1, ?1, ?2)";
    writer::insert(tx, sql, params![public, wrapped.0])
}

/// Deletes all checkpoints and the key, so that a new key signs checkpoints of all rows:
/// the private half of the old key is lost.
pub(super) fn begin_anew(tx: &Tx<'_>) -> Result<()> {
    writer::write(tx, "DELETE FROM audit_checkpoint", [])?;
    writer::write(tx, "DELETE FROM audit_key", []).map(drop)
}

/// Passes the next part to a verification.
pub(super) fn walk_on(conn: &mut Connection, walk: &mut Walk) {
    if let Some(behind) = walk.behind() {
        walk.take(batch(conn, behind, PART));
    }
}

/// The audit of a store that may be in use; it is only read.
pub struct AuditFile(Connection);

impl AuditFile {
    /// Opens the store at `path` to read its audit.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub fn open(path: &Path) -> Result<Self> {
        super::look::read_only(path).map(Self).map_err(unavailable)
    }

    /// The key that signs checkpoints: its public half and its wrapped private half.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub fn key(&self) -> Result<Option<([u8; 32], WrappedKey)>> {
        key(&self.0).map_err(unavailable)
    }

    /// The newest checkpoint, and the events that wait for one.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub fn head(&mut self) -> Result<AuditHead> {
        head(&mut self.0).map_err(unavailable)
    }

    /// The id of the newest event; 0 if there is none.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub fn newest_event(&self) -> Result<i64> {
        let sql = "SELECT coalesce(max(id), 0) FROM audit";
        self.0.query_row(sql, [], |row| row.get(0)).map_err(unavailable)
    }

    /// Passes the whole audit to a verifier; returns its report.
    #[must_use]
    pub fn verify(mut self, verifier: AuditVerifier) -> AuditReport {
        let mut walk = Walk::new(verifier);
        while walk.behind().is_some() {
            walk_on(&mut self.0, &mut walk);
        }
        walk.report()
    }
}
