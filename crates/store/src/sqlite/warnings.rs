//! What channels hold that can expire or be unused, and the queue of warnings. Which
//! warnings are due is not decided here.

use super::{read, rows};
use crate::{DueWarning, Holding, NewWarning, Page, RowId, TokenFilter, TokenState};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;
use tegata_policy::{channel::Channel, secret::HashedSecret};
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
    // The caps keep this list short.
    let tokens = read::tokens(conn, channel.id, &filter, Page { before: None, most: 1_000 }, now)?;
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

pub(super) fn stamp_keys(
    conn: &Connection,
    stamps: &[(AssertionKeyId, UnixTime)],
) -> rusqlite::Result<()> {
    let sql = "UPDATE assertion_key SET last_used_at = max(coalesce(last_used_at, 0), ?2)
               WHERE id = ?1";
    let mut update = conn.prepare_cached(sql)?;
    stamps.iter().try_for_each(|(key, at)| update.execute((key.0, at.0)).map(drop))
}

pub(super) fn stamp_secrets(
    conn: &Connection,
    stamps: &[(ChannelId, HashedSecret, UnixTime)],
) -> rusqlite::Result<()> {
    let update = |secret: &str| {
        let sql = format!(
            "UPDATE channel SET {secret}_used_at = max(coalesce({secret}_used_at, 0), ?3)
             WHERE id = ?1 AND {secret} = ?2"
        );
        conn.prepare_cached(&sql)
    };
    let (mut current, mut previous) = (update("secret")?, update("previous_secret")?);
    for (channel, secret, at) in stamps {
        let values = (channel.number(), secret.to_stored(), at.0);
        current.execute(values)?;
        previous.execute(values)?;
    }
    Ok(())
}

pub(super) fn queue(
    conn: &Connection,
    warnings: &[NewWarning],
    now: UnixTime,
) -> rusqlite::Result<usize> {
    conn.prepare_cached("DELETE FROM warning WHERE keep_until < ?1")?.execute([now.0])?;
    let sql = "INSERT OR IGNORE INTO warning (name, body, keep_until, next_at)
               VALUES (?1, ?2, ?3, ?4)";
    let mut insert = conn.prepare_cached(sql)?;
    let added =
        warnings.iter().map(|it| insert.execute(params![it.name, it.body, it.keep_until.0, now.0]));
    added.sum()
}

pub(super) fn due(
    conn: &Connection,
    most: usize,
    now: UnixTime,
) -> rusqlite::Result<Vec<DueWarning>> {
    let sql = "SELECT number, name, body, attempts, keep_until FROM warning
               WHERE next_at <= ?1 ORDER BY next_at, number LIMIT ?2";
    let mut query = conn.prepare_cached(sql)?;
    let found = query.query_map((now.0, most), |row| {
        Ok(DueWarning {
            number: row.get("number")?,
            name: row.get("name")?,
            body: row.get("body")?,
            attempts: row.get("attempts")?,
            keep_until: UnixTime(row.get("keep_until")?),
        })
    })?;
    found.collect()
}

pub(super) fn tried(
    conn: &Connection,
    number: RowId,
    next: Option<UnixTime>,
) -> rusqlite::Result<()> {
    let sql = "UPDATE warning SET attempts = attempts + 1, next_at = ?2 WHERE number = ?1";
    conn.prepare_cached(sql)?.execute((number, next.map(|next| next.0))).map(drop)
}
