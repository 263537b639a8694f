//! The authority's row, which gives changes their positions and audit events their numbers,
//! and the lines of the log.

use super::{connect::Client, failed::Failed, rows::int, sql::values};
use crate::columns::json;
use tegata_policy::acts::Change;
use tegata_token::{
    id::{ChannelId, ProviderId},
    time::UnixTime,
};

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

/// Reads the head; if it is to `lock` the row, that is the last lock.
pub(super) async fn head(db: &Client, lock: bool) -> Result<Head, Failed> {
    let sql = "SELECT epoch, position, audit, written_at FROM authority";
    let sql = if lock { format!("{sql} FOR UPDATE") } else { sql.to_owned() };
    let row = db.query_typed_one(&sql, values![]).await?;
    Ok(Head {
        epoch: number(row.try_get(0)?)?,
        position: number(row.try_get(1)?)?,
        audit: row.try_get(2)?,
        written_at: UnixTime(row.try_get(3)?),
    })
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

/// The lines of the log.
#[derive(Default)]
pub(super) struct Log {
    numbers: Vec<i64>,
    times: Vec<i64>,
    providers: Vec<Option<i64>>,
    channels: Vec<Option<i64>>,
    changes: Vec<String>,
}

impl Log {
    pub fn add(&mut self, number: u64, at: UnixTime, change: &Change) {
        let (provider, channel) = change.about();
        self.numbers.push(int(number));
        self.times.push(at.0);
        self.providers.push(provider.map(ProviderId::number).map(int));
        self.channels.push(channel.map(ChannelId::number).map(int));
        self.changes.push(json(change));
    }

    pub async fn write(&self, db: &Client) -> Result<(), Failed> {
        if self.numbers.is_empty() {
            return Ok(());
        }
        let sql = "INSERT INTO change_log (number, at, provider, channel, change)
                   SELECT * FROM unnest($1, $2, $3, $4, $5)";
        let values = values![self.numbers, self.times, self.providers, self.channels, self.changes];
        db.execute_typed(sql, values).await?;
        Ok(())
    }
}
