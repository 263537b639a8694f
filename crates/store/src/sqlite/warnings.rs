//! What channels hold that can expire or be unused, and the queue of warnings. Which
//! warnings are due is not decided here.

use super::{
    read, rows,
    writer::{Tx, write},
};
use crate::{
    DueWarning, Holding, Page, Result, RowId, TokenFilter, TokenState, answers, columns::jobs,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::BTreeMap;
use tegata_policy::{
    acts::{QueuedWarning, Write},
    channel::Channel,
};
use tegata_token::{
    id::{AssertionKeyId, ChannelId},
    time::UnixTime,
    view::ChannelState,
};

pub(super) fn holdings(
    conn: &mut Connection,
    after: Option<ChannelId>,
    most: usize,
    now: UnixTime,
) -> rusqlite::Result<Vec<Holding>> {
    let tx = conn.transaction()?;
    let sql =
        format!("{} WHERE c.id > ?1 AND c.state = 'active' ORDER BY c.id LIMIT ?2", rows::CHANNEL);
    let mut query = tx.prepare_cached(&sql)?;
    let found = query.query_map((after.map_or(0, ChannelId::number), most), |row| {
        held_by(&tx, rows::channel(&tx, row)?, now)
    })?;
    found.collect()
}

pub(super) fn holding(
    conn: &mut Connection,
    id: ChannelId,
    now: UnixTime,
) -> rusqlite::Result<Option<Holding>> {
    let tx = conn.transaction()?;
    let channel = rows::channel_by_id(&tx, id)?;
    let channel = channel.filter(|channel| channel.state != ChannelState::Deleted);
    channel.map(|channel| held_by(&tx, channel, now)).transpose()
}

fn held_by(conn: &Connection, channel: Channel, now: UnixTime) -> rusqlite::Result<Holding> {
    let filter = TokenFilter { state: Some(TokenState::Active), ..TokenFilter::default() };
    let page = Page { before: None, most: answers::MOST_ACTIVE };
    let tokens = read::tokens(conn, channel.id, &filter, page, now)?;
    let sql = "SELECT id, last_used_at FROM assertion_key
               WHERE channel = ?1 AND last_used_at IS NOT NULL";
    let mut query = conn.prepare_cached(sql)?;
    let used = query.query_map([channel.id.number()], |row| {
        Ok((AssertionKeyId(rows::bytes(row.get("id")?)?), UnixTime(row.get("last_used_at")?)))
    })?;
    let sql = "SELECT secret_used_at, previous_secret_used_at FROM channel WHERE id = ?1";
    let secrets_used = conn.prepare_cached(sql)?.query_row([channel.id.number()], |row| {
        let at = |column: usize| row.get::<_, Option<i64>>(column);
        Ok([at(0)?, at(1)?].map(|at| at.map(UnixTime)))
    })?;
    Ok(Holding {
        secrets_used: secrets_used.into_iter().take(channel.secrets.len()).collect(),
        tokens: tokens.into_iter().map(|(_, token)| token).collect(),
        keys_used: used.collect::<rusqlite::Result<BTreeMap<_, _>>>()?,
        channel,
    })
}

pub(super) fn due(
    conn: &Connection,
    most: usize,
    now: UnixTime,
) -> rusqlite::Result<Vec<DueWarning>> {
    let sql = "SELECT number, name, body, attempts, keep_until FROM warning
               WHERE next_at <= ?1 ORDER BY next_at, number LIMIT ?2";
    rows::list(conn, sql, (now.0, most), |row| jobs::due(row))
}

/// Reads the warnings with these names, and those that are out of date first.
pub(super) fn queued(conn: &Connection, names: &[String]) -> rusqlite::Result<Vec<QueuedWarning>> {
    let sql = format!("{QUEUED} ORDER BY keep_until LIMIT 100");
    let mut oldest = conn.prepare_cached(&sql)?;
    let mut found = oldest.query_map([], queued_row)?.collect::<rusqlite::Result<Vec<_>>>()?;
    let sql = format!("{QUEUED} WHERE name = ?1");
    let mut named = conn.prepare_cached(&sql)?;
    for name in names {
        found.extend(named.query_row([name], queued_row).optional()?);
    }
    Ok(found)
}

/// Reads one warning.
pub(super) fn queued_one(
    conn: &Connection,
    number: RowId,
) -> rusqlite::Result<Option<QueuedWarning>> {
    let sql = format!("{QUEUED} WHERE number = ?1");
    conn.prepare_cached(&sql)?.query_row([number], queued_row).optional()
}

const QUEUED: &str = "SELECT number, name, keep_until, attempts FROM warning";

fn queued_row(row: &Row<'_>) -> rusqlite::Result<QueuedWarning> {
    jobs::queued(row)
}

/// Writes an effect on a warning.
pub(super) fn apply(tx: &Tx<'_>, it: &Write) -> Result<()> {
    match it {
        Write::Warning { new, next } => {
            let sql = "INSERT INTO warning (name, body, keep_until, next_at)
                       VALUES (?1, ?2, ?3, ?4)";
            write(tx, sql, params![new.name, new.body, new.keep_until.0, next.0])
        }
        Write::WarningTried { number, attempts, next } => {
            let sql = "UPDATE warning SET attempts = ?2, next_at = ?3 WHERE number = ?1";
            write(tx, sql, (number, attempts, next.map(|next| next.0)))
        }
        Write::WarningDropped(number) => {
            write(tx, "DELETE FROM warning WHERE number = ?1", [number])
        }
        _ => Ok(0),
    }
    .map(drop)
}
