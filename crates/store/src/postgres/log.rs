//! The authority's row, which gives changes their positions and audit events their numbers,
//! and the lines of the log.

use super::{
    connect::Client,
    failed::Failed,
    rows::int,
    sql::values,
    statements::{Statements, keep, rows},
};
use crate::columns::{Columns, Damaged, channels, from_json, json};
use tegata_policy::acts::{Change, StoredKey};
use tegata_token::{
    id::{ChannelId, ProviderId},
    time::UnixTime,
};
use tokio_postgres::Row;

/// The head of the log, as a transaction sees it.
pub(super) struct Head {
    pub epoch: u64,
    pub position: u64,
    pub audit: i64,
    pub written_at: UnixTime,
}

fn number(it: i64) -> Result<u64, Failed> {
    u64::try_from(it).map_err(Failed::row)
}

/// Reads the head, and the signing keys, oldest first; if it is to `lock` the authority's row,
/// that is the last lock. The keys are those from before it waited for that.
pub(super) async fn head(db: &Client, lock: bool) -> Result<(Head, Vec<StoredKey>), Failed> {
    let lock = if lock { "FOR UPDATE OF a" } else { "" };
    let keys = channels::SIGNING_KEY;
    let sql = format!(
        "SELECT a.epoch, a.position, a.audit, a.written_at, k.*
         FROM authority a LEFT JOIN ({keys}) k ON true WHERE a.id = 1 ORDER BY k.number {lock}"
    );
    let rows = db.query_typed(&sql, values![]).await?;
    let row = rows.first().ok_or_else(|| Failed::row("the authority has none"))?;
    let head = Head {
        epoch: row.value("epoch")?,
        position: row.value("position")?,
        audit: row.value("audit")?,
        written_at: row.value("written_at")?,
    };
    let is_key = |row: &&Row| row.integer("number").is_ok_and(|it| it.is_some());
    let keys = rows.iter().filter(is_key).map(channels::signing_key).collect::<Result<_, _>>()?;
    Ok((head, keys))
}

/// The last position, the last audit number, and the highest time written.
pub(super) type Advanced = (u64, i64, UnixTime);

/// Takes a range of positions and of audit numbers, and so the last lock; returns the last
/// of each, and the highest time written.
pub(super) async fn advance(
    db: &Client,
    changes: usize,
    events: usize,
    at: UnixTime,
) -> Result<Advanced, Failed> {
    let sql = "UPDATE authority SET position = position + $1, audit = audit + $2,
                   written_at = greatest(written_at, $3)
               RETURNING position, audit, written_at";
    let row = db.query_typed_one(sql, values![int(changes), int(events), at.0]).await?;
    Ok((number(row.try_get(0)?)?, row.try_get(1)?, UnixTime(row.try_get(2)?)))
}

/// The same, of a row that this transaction has locked: what it returns is known.
pub(super) fn advance_held(to: &mut Statements<'_>, changes: usize, events: usize, at: UnixTime) {
    let sql = "UPDATE authority SET position = position + $1, audit = audit + $2,
                   written_at = greatest(written_at, $3)";
    to.add_to("authority", sql, keep![int(changes), int(events), at.0]);
}

/// The lines of the log.
#[derive(Default)]
pub(super) struct Log(Vec<Line>);

struct Line {
    number: i64,
    at: i64,
    provider: Option<i64>,
    channel: Option<i64>,
    change: String,
}

impl Log {
    pub fn add(&mut self, number: u64, at: UnixTime, change: &Change) {
        let (provider, channel) = change.about();
        self.0.push(Line {
            number: int(number),
            at: at.0,
            provider: provider.map(ProviderId::number).map(int),
            channel: channel.map(ChannelId::number).map(int),
            change: json(change),
        });
    }

    /// The changes, as one who reads the lines finds them.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn changes(&self) -> Result<Vec<Change>, Damaged> {
        self.0.iter().map(|it| from_json(&it.change)).collect()
    }

    /// The statement that writes them.
    pub fn write<'a>(&'a self, to: &mut Statements<'a>) {
        let sql = "INSERT INTO change_log (number, at, provider, channel, change)
                   SELECT * FROM ROWS AS u";
        let lines: Vec<&Line> = self.0.iter().collect();
        let rows = rows(&lines)
            .with(|it| it.number)
            .with(|it| it.at)
            .with(|it| it.provider)
            .with(|it| it.channel)
            .with(|it| it.change.as_str());
        to.add_rows("change_log", sql, rows);
    }
}
