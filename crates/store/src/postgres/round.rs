//! What a round of the follower reads, in one round trip.

use super::{connect::Client, failed::Failed, journal, replicas, rows::int, sql::values};
use crate::{
    Change, ReceiptRow, ReplicaRow, RootTokenHash,
    columns::{Columns, bytes, followers, from_json},
    journal::JournalLine,
};
use futures_util::future::try_join5;
use tegata_token::{id::Position, time::UnixTime};

/// Maximum number of changes that are read at once.
pub(super) const MOST: usize = 5_000;

/// What a round has read.
pub(super) struct Read {
    pub head: Position,
    pub log_from: u64,
    pub audit: i64,
    pub written_at: UnixTime,
    /// The database's clock.
    pub clock: UnixTime,
    pub root_token: Option<RootTokenHash>,
    pub changes: Vec<(u64, UnixTime, Change)>,
    pub receipts: Vec<ReceiptRow>,
    pub lines: Vec<JournalLine>,
    pub replicas: Vec<ReplicaRow>,
}

/// Reads what came after `applied`. The head is read first, so the log may reach beyond it;
/// receipts and lines are read after the log, so those of its changes are there.
pub(super) async fn read(db: &Client, applied: Position, journal: bool) -> Result<Read, Failed> {
    let head = async {
        let sql = "SELECT epoch, position, log_from, audit, written_at,
                       extract(epoch FROM clock_timestamp())::bigint AS clock,
                       (SELECT hash FROM root_token WHERE ended_at IS NULL) AS root_token
                   FROM authority";
        let row = db.query_typed_one(sql, values![]).await?;
        let root_token = row.optional("root_token")?.map(bytes).transpose()?.map(RootTokenHash);
        let head = Position { epoch: row.value("epoch")?, number: row.value("position")? };
        Ok::<_, Failed>((
            head,
            row.value("log_from")?,
            row.value("audit")?,
            row.value("written_at")?,
            row.value("clock")?,
            root_token,
        ))
    };
    let log = async {
        let sql = "SELECT number, at, change FROM change_log WHERE number > $1
                   ORDER BY number LIMIT $2";
        let rows = db.query_typed(sql, values![int(applied.number), int(MOST)]).await?;
        let change = |row: &tokio_postgres::Row| {
            let change: String = row.try_get("change")?;
            Ok::<_, Failed>((row.value("number")?, row.value("at")?, from_json(&change)?))
        };
        rows.iter().map(change).collect::<Result<Vec<_>, Failed>>()
    };
    let receipts = async {
        let sql = "SELECT * FROM receipt WHERE epoch = $1 AND position > $2 ORDER BY position";
        let rows = db.query_typed(sql, values![int(applied.epoch), int(applied.number)]).await?;
        rows.iter().map(followers::receipt).collect::<Result<Vec<_>, Failed>>()
    };
    let lines =
        async { if journal { journal::lines(db, applied.number).await } else { Ok(Vec::new()) } };
    let (head, changes, receipts, lines, replicas) =
        try_join5(head, log, receipts, lines, replicas::all(db)).await?;
    let (head, log_from, audit, written_at, clock, root_token) = head;
    Ok(Read {
        head,
        log_from,
        audit,
        written_at,
        clock,
        root_token,
        changes,
        receipts,
        lines,
        replicas,
    })
}
