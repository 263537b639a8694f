//! What a round of the follower reads, in one round trip.

use super::{
    connect::Client,
    failed::Failed,
    journal,
    replicas::{REPLICA, replica},
    rows::int,
    sql::values,
};
use crate::{
    Change, ReceiptRow, ReplicaRow, RootTokenHash,
    columns::{Columns, bytes, followers, from_json},
    journal::JournalLine,
};
use futures_util::future::{try_join, try_join3};
use tegata_token::{id::Position, time::UnixTime};
use tokio_postgres::Row;

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

/// The head of the log, and the rows of the servers.
struct Front {
    head: Position,
    log_from: u64,
    audit: i64,
    written_at: UnixTime,
    clock: UnixTime,
    root_token: Option<RootTokenHash>,
    replicas: Vec<ReplicaRow>,
}

/// What came after a position.
#[derive(Default)]
struct After {
    changes: Vec<(u64, UnixTime, Change)>,
    receipts: Vec<ReceiptRow>,
    lines: Vec<JournalLine>,
}

/// Reads what came after `applied`; if there is `news`, in one round trip, else only if the head
/// says that there is any. The head is read first, so the log may reach beyond it; receipts and
/// lines are read after the log, so those of its changes are there.
pub(super) async fn read(
    db: &Client,
    applied: Position,
    journal: bool,
    news: bool,
) -> Result<Read, Failed> {
    let (front, after) = if news {
        try_join(front(db), after(db, applied, journal)).await?
    } else {
        let front = front(db).await?;
        let after = match front.head == applied {
            true => After::default(),
            false => after(db, applied, journal).await?,
        };
        (front, after)
    };
    let Front { head, log_from, audit, written_at, clock, root_token, replicas } = front;
    let After { changes, receipts, lines } = after;
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

async fn front(db: &Client) -> Result<Front, Failed> {
    // Its one row is named by its key: a plan for the many that dead rows make the planner expect
    // would be compiled first, for longer than all else takes.
    let sql = format!(
        "SELECT a.epoch, a.position, a.log_from, a.audit, a.written_at,
             extract(epoch FROM clock_timestamp())::bigint AS clock,
             (SELECT hash FROM root_token WHERE ended_at IS NULL) AS root_token, {REPLICA}
         FROM authority a LEFT JOIN replica r ON true WHERE a.id = 1
         ORDER BY r.registered_at, r.id"
    );
    let rows = db.query_typed(&sql, values![]).await?;
    let none = || Failed::row("the authority has none");
    let row = rows.first().ok_or_else(none)?;
    let head = Position { epoch: row.value("epoch")?, number: row.value("position")? };
    let root_token = row.optional("root_token")?.map(bytes).transpose()?.map(RootTokenHash);
    let servers = rows.iter().filter(|row| row.blob("id").is_ok_and(|id| id.is_some()));
    Ok(Front {
        head,
        log_from: row.value("log_from")?,
        audit: row.value("audit")?,
        written_at: row.value("written_at")?,
        clock: row.value("clock")?,
        root_token,
        replicas: servers.map(replica).collect::<Result<_, Failed>>()?,
    })
}

async fn after(db: &Client, applied: Position, journal: bool) -> Result<After, Failed> {
    let log = async {
        let sql = "SELECT number, at, change FROM change_log WHERE number > $1
                   ORDER BY number LIMIT $2";
        let rows = db.query_typed(sql, values![int(applied.number), int(MOST)]).await?;
        let change = |row: &Row| {
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
    let (changes, receipts, lines) = try_join3(log, receipts, lines).await?;
    Ok(After { changes, receipts, lines })
}
