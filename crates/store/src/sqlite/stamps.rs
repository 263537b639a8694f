//! Times of last use of tokens, assertion keys and secrets.

use super::writer::{Tx, write};
use crate::Result;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params};
use tegata_policy::acts::{Stamp, StampPlace, Stamped};
use tegata_token::time::UnixTime;

/// Reads the times of last use that are stored of what these uses name.
pub(super) fn stamped(conn: &Connection, stamps: &[Stamp]) -> rusqlite::Result<Vec<Stamped>> {
    let query = |sql: &str| conn.prepare_cached(sql);
    // A row of a token is in one of two indexes, and each statement names its own.
    let mut live = query(
        "SELECT number, last_used_at FROM token WHERE channel = ?1 AND serial = ?2 AND past = 0",
    )?;
    let mut past = query(
        "SELECT number, last_used_at FROM token WHERE channel = ?1 AND serial = ?2 AND past = 1",
    )?;
    let mut key = query("SELECT 0, last_used_at FROM assertion_key WHERE id = ?1")?;
    let mut secret = query("SELECT 0, secret_used_at FROM channel WHERE id = ?1 AND secret = ?2")?;
    let mut previous = query(
        "SELECT 0, previous_secret_used_at FROM channel WHERE id = ?1 AND previous_secret = ?2",
    )?;
    let mut found = Vec::with_capacity(stamps.len());
    for stamp in stamps {
        match stamp {
            Stamp::Token(channel, serial, at) => {
                let name = (channel.number(), serial.0);
                let row = match time(&mut live, name)? {
                    None => time(&mut past, name)?,
                    row => row,
                };
                let row = row.map(|(row, before)| (StampPlace::Token(row), before, *at));
                found.extend(row);
            }
            Stamp::AssertionKey(id, at) => {
                let row = time(&mut key, [id.0])?;
                found.extend(row.map(|(_, before)| (StampPlace::AssertionKey(*id), before, *at)));
            }
            Stamp::Secret(channel, hash, at) => {
                let name = (channel.number(), hash.to_stored());
                let row = time(&mut secret, name)?;
                found.extend(row.map(|(_, before)| (StampPlace::Secret(*channel), before, *at)));
                let row = time(&mut previous, name)?;
                let place = StampPlace::PreviousSecret(*channel);
                found.extend(row.map(|(_, before)| (place, before, *at)));
            }
        }
    }
    Ok(found.into_iter().map(|(place, before, at)| Stamped { place, before, at }).collect())
}

/// The row's number, and the time that it has.
fn time(
    query: &mut CachedStatement<'_>,
    name: impl Params,
) -> rusqlite::Result<Option<(i64, Option<UnixTime>)>> {
    let row = query.query_row(name, |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?)));
    Ok(row.optional()?.map(|(row, at)| (row, at.map(UnixTime))))
}

/// Writes a time of last use.
pub(super) fn apply(tx: &Tx<'_>, place: StampPlace, at: UnixTime) -> Result<()> {
    match place {
        StampPlace::Token(row) => {
            write(tx, "UPDATE token SET last_used_at = ?2 WHERE number = ?1", (row, at.0))
        }
        StampPlace::AssertionKey(id) => {
            write(tx, "UPDATE assertion_key SET last_used_at = ?2 WHERE id = ?1", (id.0, at.0))
        }
        StampPlace::Secret(id) => {
            let sql = "UPDATE channel SET secret_used_at = ?2 WHERE id = ?1";
            write(tx, sql, (id.number(), at.0))
        }
        StampPlace::PreviousSecret(id) => {
            let sql = "UPDATE channel SET previous_secret_used_at = ?2 WHERE id = ?1";
            write(tx, sql, (id.number(), at.0))
        }
    }
    .map(drop)
}
