//! Deleting the rows of tokens whose life has long been over. What the view says of
//! them stands elsewhere and stays, so none of them can live again by it.

use super::{rows::unavailable, writer::Tx};
use crate::{Result, RowId};
use rusqlite::Connection;
use tegata_token::time::UnixTime;

/// When a row's life is over: it was ended, or expires, or a reissue left it a delay.
const OVER: &str = "coalesce(ended_at, min(expires_at, coalesce(ends_at, expires_at)))";

/// Rows behind `after` to delete, and where to look on. Walks the table in its order,
/// a few rows at a time, so that no index has to be kept for it.
pub(super) fn find(
    conn: &Connection,
    after: RowId,
    before: UnixTime,
    most: usize,
) -> rusqlite::Result<(Vec<RowId>, Option<RowId>)> {
    let sql =
        format!("SELECT number, {OVER} < ?2 FROM token WHERE number > ?1 ORDER BY number LIMIT ?3");
    let mut query = conn.prepare_cached(&sql)?;
    let mut found = query.query((after, before.0, most))?;
    let (mut over, mut last, mut seen) = (Vec::new(), None, 0);
    while let Some(row) = found.next()? {
        let number = row.get(0)?;
        if row.get(1)? {
            over.push(number);
        }
        (last, seen) = (Some(number), seen + 1);
    }
    Ok((over, last.filter(|_| seen == most)))
}

pub(super) fn delete(tx: &Tx<'_>, tokens: &[RowId], before: UnixTime) -> Result<usize> {
    let sql = format!("DELETE FROM token WHERE number = ?1 AND {OVER} < ?2");
    let mut delete = tx.conn.prepare_cached(&sql).map_err(unavailable)?;
    let mut gone = 0;
    for number in tokens {
        gone += delete.execute((number, before.0)).map_err(unavailable)?;
    }
    Ok(gone)
}
