//! Deletes the rows of tokens that expired or were revoked long ago. The revocations in
//! the view are stored separately and stay, so no such token becomes active again.

use super::{load, rows::unavailable, writer::Tx};
use crate::{Result, RowId};
use rusqlite::{Connection, OptionalExtension};
use tegata_token::{key::KeyState, time::UnixTime};

/// A token's own expiry and revocation do not depend on its signing key.
const ANY_KEY: (KeyState, UnixTime) = (KeyState::Active, UnixTime(0));

/// Rows after `after` to delete, and the row to continue from. Reads the table in its own
/// order, a few rows at a time, so that it needs no index.
pub(super) fn find(
    conn: &Connection,
    after: RowId,
    before: UnixTime,
    most: usize,
) -> rusqlite::Result<(Vec<RowId>, Option<RowId>)> {
    let sql = "SELECT * FROM token WHERE number > ?1 ORDER BY number LIMIT ?2";
    let mut query = conn.prepare_cached(sql)?;
    let mut found = query.query((after, most))?;
    let (mut over, mut last, mut seen) = (Vec::new(), None, 0);
    while let Some(row) = found.next()? {
        let number = row.get("number")?;
        if load::times(row, ANY_KEY)?.over_at() < before {
            over.push(number);
        }
        (last, seen) = (Some(number), seen + 1);
    }
    Ok((over, last.filter(|_| seen == most)))
}

pub(super) fn delete(tx: &Tx<'_>, tokens: &[RowId], before: UnixTime) -> Result<usize> {
    delete_rows(tx.conn, tokens, before).map_err(unavailable)
}

fn delete_rows(conn: &Connection, tokens: &[RowId], before: UnixTime) -> rusqlite::Result<usize> {
    let mut look = conn.prepare_cached("SELECT * FROM token WHERE number = ?1")?;
    let mut delete = conn.prepare_cached("DELETE FROM token WHERE number = ?1")?;
    let mut gone = 0;
    for number in tokens {
        let times = look.query_row([number], |row| load::times(row, ANY_KEY)).optional()?;
        if times.is_some_and(|times| times.over_at() < before) {
            gone += delete.execute([number])?;
        }
    }
    Ok(gone)
}
