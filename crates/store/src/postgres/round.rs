//! What a round of the follower reads, in one round trip.

use super::{
    connect::Client,
    failed::Failed,
    journal,
    replicas::{APPLIED, REPLICA, replica},
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
    /// Whether a server has marked it as older than what it had seen.
    pub went_back: bool,
    pub is_standby: bool,
    /// The database's clock.
    pub clock: UnixTime,
    pub changes: Vec<(u64, UnixTime, Change)>,
    pub receipts: Vec<ReceiptRow>,
    pub lines: Vec<JournalLine>,
    /// What it has read of the servers; `None`: the log alone was read.
    pub servers: Option<Servers>,
}

/// What servers know of each other.
pub(super) struct Servers {
    pub root_token: Option<RootTokenHash>,
    pub replicas: Vec<ReplicaRow>,
}

/// What is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The log, which is known to have grown.
    Log,
    /// The log, which is known to have grown, and the rows of the servers.
    LogAndServers,
    /// The rows of the servers, and the log if it has grown.
    Servers,
}

/// What came after a position.
#[derive(Default)]
struct After {
    changes: Vec<(u64, UnixTime, Change)>,
    receipts: Vec<ReceiptRow>,
    lines: Vec<JournalLine>,
}

/// Reads what came after `applied`; if the log is known to have grown, in one round trip. The head
/// is read first, so the log may reach beyond it; receipts and lines are read after the log, so
/// those of its changes are there.
pub(super) async fn read(
    db: &Client,
    applied: Position,
    journal: bool,
    wanted: Wanted,
) -> Result<Read, Failed> {
    let (read, after) = match wanted {
        Wanted::Log => try_join(head(db), after(db, applied, journal)).await?,
        Wanted::LogAndServers => try_join(front(db), after(db, applied, journal)).await?,
        Wanted::Servers => {
            let front = front(db).await?;
            let after = match front.head == applied {
                true => After::default(),
                false => after(db, applied, journal).await?,
            };
            (front, after)
        }
    };
    let After { changes, receipts, lines } = after;
    Ok(Read { changes, receipts, lines, ..read })
}

// Its one row is named by its key: a plan for the many that dead rows make the planner expect would
// be compiled first, for longer than all else takes.
const HEAD: &str = "a.epoch, a.position, a.log_from, a.audit, a.written_at, a.went_back,
    extract(epoch FROM clock_timestamp())::bigint AS clock, pg_is_in_recovery() AS is_standby";

async fn head(db: &Client) -> Result<Read, Failed> {
    let sql = format!("SELECT {HEAD} FROM authority a WHERE a.id = 1");
    head_of(&db.query_typed_one(&sql, values![]).await?)
}

/// The head of the log, and the rows of the servers.
async fn front(db: &Client) -> Result<Read, Failed> {
    let sql = format!(
        "SELECT {HEAD}, (SELECT hash FROM root_token WHERE ended_at IS NULL) AS root_token, {REPLICA}
         FROM authority a LEFT JOIN replica r ON true {APPLIED} WHERE a.id = 1"
    );
    let rows = db.query_typed(&sql, values![]).await?;
    let none = || Failed::row("the authority has none");
    let row = rows.first().ok_or_else(none)?;
    let root_token = row.optional("root_token")?.map(bytes).transpose()?.map(RootTokenHash);
    let servers = rows.iter().filter(|row| row.blob("id").is_ok_and(|id| id.is_some()));
    let mut replicas = servers.map(replica).collect::<Result<Vec<_>, _>>()?;
    replicas.sort_by_key(|it| (it.registered_at, it.id));
    Ok(Read { servers: Some(Servers { root_token, replicas }), ..head_of(row)? })
}

fn head_of(row: &Row) -> Result<Read, Failed> {
    Ok(Read {
        head: Position { epoch: row.value("epoch")?, number: row.value("position")? },
        log_from: row.value("log_from")?,
        audit: row.value("audit")?,
        written_at: row.value("written_at")?,
        went_back: row.value("went_back")?,
        is_standby: row.value("is_standby")?,
        clock: row.value("clock")?,
        changes: Vec::new(),
        receipts: Vec::new(),
        lines: Vec::new(),
        servers: None,
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
