//! Requests with an `Idempotency-Key`, and their responses.

use super::writer::{Tx, insert, write};
use crate::{Result, columns::jobs};
use rusqlite::{Connection, OptionalExtension, Row, params};
use tegata_policy::acts::{RememberedRequest, Write};

/// Reads the request that is remembered under this key, and the oldest ones.
pub(super) fn load(conn: &Connection, key: [u8; 32]) -> rusqlite::Result<Vec<RememberedRequest>> {
    let sql = "SELECT * FROM request ORDER BY until LIMIT ?1";
    let mut oldest = conn.prepare_cached(sql)?;
    let mut found =
        oldest.query_map([jobs::OLD_REQUESTS], request)?.collect::<rusqlite::Result<Vec<_>>>()?;
    let sql = "SELECT * FROM request WHERE key = ?1";
    found.extend(conn.prepare_cached(sql)?.query_row([key], request).optional()?);
    Ok(found)
}

fn request(row: &Row<'_>) -> rusqlite::Result<RememberedRequest> {
    jobs::request(row)
}

/// Writes an effect on a request.
pub(super) fn apply(tx: &Tx<'_>, it: &Write) -> Result<()> {
    match it {
        Write::Request(new) => {
            let sql = "INSERT INTO request (key, parameters, until) VALUES (?1, ?2, ?3)";
            insert(tx, sql, (new.key, new.parameters, new.until.0))
        }
        Write::RequestAnswered(key, response) => {
            let sql = "UPDATE request SET response = ?2 WHERE key = ?1";
            write(tx, sql, params![key, response.0]).map(drop)
        }
        Write::RequestForgotten(key) => {
            write(tx, "DELETE FROM request WHERE key = ?1", [key]).map(drop)
        }
        _ => Ok(()),
    }
}
