//! Finds rows that may be old enough to be deleted, and deletes them. Which are is decided
//! by `tegata_policy::acts`.

use super::{
    audit, rows, uses,
    writer::{Tx, write},
};
use crate::{
    Result, RowId,
    columns::{jobs, tokens},
};
use rusqlite::{Connection, OptionalExtension};
use tegata_policy::acts::{Old, SweptToken, UpkeepRows, Write};
use tegata_token::time::UnixTime;

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
        if rows::times(row, tokens::ANY_KEY)?.over_at() < before {
            over.push(number);
        }
        (last, seen) = (Some(number), seen + 1);
    }
    Ok((over, last.filter(|_| seen == most)))
}

/// Reads rows that may be old enough.
pub(super) fn old(conn: &Connection, old: &Old, found: &mut UpkeepRows) -> rusqlite::Result<()> {
    match old {
        Old::LogAndAssertions { most } => {
            let sql = "SELECT number, at FROM change_log ORDER BY number LIMIT ?1";
            let mut query = conn.prepare_cached(sql)?;
            let log = query.query_map([most], |row| Ok((row.get(0)?, UnixTime(row.get(1)?))))?;
            found.log = log.collect::<rusqlite::Result<_>>()?;
            let sql = "SELECT channel, fingerprint, expires_at FROM assertion_used
                       ORDER BY expires_at LIMIT ?1";
            found.assertions = rows::list(conn, sql, [most], |row| jobs::used_assertion(row))?;
        }
        Old::Tokens { rows, .. } => found.tokens = swept(conn, rows)?,
        Old::Uses { before, most } => found.last_uses = uses::old(conn, *before, *most)?,
        Old::Audit { kept_from, most } => {
            found.checkpoint = audit::last_checkpoint(conn)?;
            found.events = audit::events_below(conn, *kept_from, *most)?;
        }
    }
    Ok(())
}

fn swept(conn: &Connection, numbers: &[RowId]) -> rusqlite::Result<Vec<SweptToken>> {
    let mut query = conn.prepare_cached("SELECT * FROM token WHERE number = ?1")?;
    let mut found = Vec::with_capacity(numbers.len());
    for &number in numbers {
        let token = query.query_row([number], |row| tokens::swept(row));
        found.extend(token.optional()?);
    }
    Ok(found)
}

/// Deletes old rows.
pub(super) fn apply(tx: &Tx<'_>, it: &Write) -> Result<()> {
    match it {
        Write::LogDropped { through } => {
            write(tx, "DELETE FROM change_log WHERE number <= ?1", [through]).map(drop)
        }
        Write::AssertionsDropped(gone) => gone.iter().try_for_each(|(channel, fingerprint)| {
            let sql = "DELETE FROM assertion_used WHERE channel = ?1 AND fingerprint = ?2";
            write(tx, sql, (channel.number(), fingerprint)).map(drop)
        }),
        Write::TokenDropped { row, .. } => {
            uses::delete(tx, *row)?;
            write(tx, "DELETE FROM token WHERE number = ?1", [row]).map(drop)
        }
        Write::AuditDropped { through } => {
            // A receipt is kept as long as the event of its act.
            let sql = "DELETE FROM receipt WHERE at <= (SELECT at FROM audit WHERE id = ?1)";
            write(tx, sql, [through])?;
            write(tx, "DELETE FROM audit WHERE id <= ?1", [through]).map(drop)
        }
        _ => Ok(()),
    }
}
