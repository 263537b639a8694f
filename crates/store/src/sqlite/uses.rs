//! Recent uses of tokens, in one row for each token that was used.

use super::writer::{Tx, write};
use crate::{Result, UsedToken, columns::tokens as columns};
use rusqlite::{Connection, OptionalExtension, Row};
use std::collections::BTreeMap;
use tegata_policy::acts::{NotedUse, RecentUse, UsesOfRow};
use tegata_token::{
    id::{ChannelId, ProviderId, Serial, TokenId},
    time::{DAY, UnixTime},
};

/// Reads the uses that are stored of the tokens that were used.
pub(super) fn of_used(conn: &Connection, uses: &[NotedUse]) -> rusqlite::Result<Vec<UsesOfRow>> {
    let mut tokens = BTreeMap::<(ChannelId, Serial), Vec<RecentUse>>::new();
    for it in uses {
        tokens.entry((it.channel, it.serial)).or_default().push(it.used);
    }
    let mut found = Vec::with_capacity(tokens.len());
    for ((channel, serial), noted) in tokens {
        if let Some((row, before)) = of_token(conn, channel, serial)? {
            found.push(UsesOfRow { row, before, noted });
        }
    }
    Ok(found)
}

/// The number of a token's row, and the uses that are stored of it.
pub(super) fn of_token(
    conn: &Connection,
    channel: ChannelId,
    serial: Serial,
) -> rusqlite::Result<Option<(i64, Vec<RecentUse>)>> {
    // A row of a token is in one of two indexes, and each half names its own.
    let sql = "SELECT t.number, u.uses FROM (
                   SELECT number FROM token WHERE channel = ?1 AND serial = ?2 AND past = 0
                   UNION ALL
                   SELECT number FROM token WHERE channel = ?1 AND serial = ?2 AND past = 1) t
               LEFT JOIN token_use u ON u.token = t.number";
    let row = conn.prepare_cached(sql)?.query_row((channel.number(), serial.0), |row| {
        Ok((row.get(0)?, row.get::<_, Option<String>>(1)?))
    });
    let Some((row, text)) = row.optional()? else { return Ok(None) };
    Ok(Some((row, columns::read_uses(text)?)))
}

/// Rows whose newest use is on a day before that of `before`, at most `most`, each with the
/// end of that day.
pub(super) fn old(
    conn: &Connection,
    before: UnixTime,
    most: usize,
) -> rusqlite::Result<Vec<(i64, UnixTime)>> {
    let sql = "SELECT token, newest_day FROM token_use WHERE newest_day < ?1 LIMIT ?2";
    let mut query = conn.prepare_cached(sql)?;
    let found = query.query_map((before.0.div_euclid(DAY), most), |row| {
        let day: i64 = row.get(1)?;
        Ok((row.get(0)?, UnixTime((day + 1).saturating_mul(DAY))))
    })?;
    found.collect()
}

/// Writes the uses of a token, newest first.
pub(super) fn apply(tx: &Tx<'_>, row: i64, uses: &[RecentUse]) -> Result<()> {
    let Some(newest) = uses.first() else { return delete(tx, row) };
    let day = newest.minute.0.div_euclid(DAY);
    let text = columns::uses_text(uses);
    // The index of the days changes once a day.
    let sql = "UPDATE token_use SET uses = ?2 WHERE token = ?1 AND newest_day = ?3";
    if write(tx, sql, (row, &text, day))? == 0 {
        write(tx, "INSERT OR REPLACE INTO token_use VALUES (?1, ?3, ?2)", (row, &text, day))?;
    }
    Ok(())
}

/// Deletes the uses of a token.
pub(super) fn delete(tx: &Tx<'_>, row: i64) -> Result<()> {
    write(tx, "DELETE FROM token_use WHERE token = ?1", [row]).map(drop)
}

/// Maximum number of tokens of a report that are looked for among those that are not active.
const PAST: usize = 16;

/// The stored tokens among these; see [`Store::used_tokens`](crate::Store::used_tokens).
pub(super) fn tokens(
    conn: &Connection,
    tokens: &[(ChannelId, TokenId)],
    provider: Option<ProviderId>,
) -> rusqlite::Result<Vec<UsedToken>> {
    let of_provider = "(?3 IS NULL OR (SELECT provider FROM channel WHERE id = ?1) = ?3)";
    let mut live = conn.prepare_cached(&format!(
        "SELECT serial, NULL FROM token INDEXED BY token_live
         WHERE channel = ?1 AND id = ?2 AND past = 0 AND {of_provider}"
    ))?;
    let mut past = conn.prepare_cached(&format!(
        "SELECT serial, revoked_at FROM token INDEXED BY token_past
         WHERE channel = ?1 AND id = ?2 AND past = 1 AND revoked_at IS NOT NULL AND {of_provider}"
    ))?;
    let provider = provider.map(ProviderId::number);
    let (mut found, mut looked) = (Vec::new(), 0);
    for (channel, id) in tokens {
        let name = (channel.number(), id.0, provider);
        let read = |row: &Row<'_>| {
            let revoked_at = row.get::<_, Option<i64>>(1)?.map(UnixTime);
            Ok(UsedToken { channel: *channel, id: *id, serial: Serial(row.get(0)?), revoked_at })
        };
        let mut token = live.query_row(name, read).optional()?;
        if token.is_none() && looked < PAST {
            // No index has the id: the channel's rows are read.
            looked += 1;
            token = past.query_row(name, read).optional()?;
        }
        found.extend(token);
    }
    Ok(found)
}
