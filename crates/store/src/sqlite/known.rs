//! Rows of remembered groups and assertion keys. Which of them a request may name is
//! decided in `tegata_policy::acts`.

use super::writer::{Tx, write};
use crate::Result;
use rusqlite::{Connection, OptionalExtension, Params};
use tegata_policy::acts::Remembered;
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group},
    time::UnixTime,
    view::Scope,
};

/// What is remembered of the group or the assertion key of a scope.
pub(super) fn remembered(
    conn: &Connection,
    id: ChannelId,
    scope: &Scope,
) -> rusqlite::Result<Remembered> {
    let channel = id.number();
    match scope {
        Scope::Group { group } => {
            let name = (channel, group.as_str());
            // A row is in one of two indexes, and each half names its own.
            let sql = "SELECT 1 FROM token WHERE channel = ?1 AND grp = ?2 AND past = 0
                       UNION ALL SELECT 1 FROM token WHERE channel = ?1 AND grp = ?2 AND past = 1";
            let by_tokens = exists(conn, sql, name)?;
            let sql = "SELECT until FROM group_use WHERE channel = ?1 AND name = ?2";
            Ok(Remembered { by_tokens, until: until(conn, sql, name)? })
        }
        Scope::AssertionKey { key } => {
            let name = (channel, key.0);
            let sql = "SELECT 1 FROM token WHERE channel = ?1 AND assertion_key = ?2 AND past = 0
                       UNION ALL SELECT 1 FROM token
                       WHERE channel = ?1 AND assertion_key = ?2 AND past = 1";
            let by_tokens = exists(conn, sql, name)?;
            let sql = "SELECT until FROM deleted_key WHERE channel = ?1 AND id = ?2";
            Ok(Remembered { by_tokens, until: until(conn, sql, name)? })
        }
        Scope::Kind { .. } | Scope::KindGroup { .. } | Scope::Channel | Scope::Secret => {
            Ok(Remembered::default())
        }
    }
}

fn exists(conn: &Connection, sql: &str, values: impl Params) -> rusqlite::Result<bool> {
    conn.prepare_cached(sql)?.exists(values)
}

fn until(conn: &Connection, sql: &str, values: impl Params) -> rusqlite::Result<Option<UnixTime>> {
    conn.prepare_cached(sql)?.query_row(values, |row| row.get(0).map(UnixTime)).optional()
}

/// Remembers a group; a `deleted` one does not count against the maximum number.
pub(super) fn remember_group(
    tx: &Tx<'_>,
    id: ChannelId,
    group: &Group,
    until: UnixTime,
    deleted: bool,
) -> Result<()> {
    let stale = "DELETE FROM group_use WHERE channel = ?1 AND until <= ?2";
    write(tx, stale, (id.number(), tx.now.0))?;
    // One that is used again has no token from before its deletion.
    let sql = "INSERT INTO group_use VALUES (?1, ?2, ?3, ?4) ON CONFLICT (channel, name)
               DO UPDATE SET deleted = excluded.deleted, until =
                   CASE WHEN deleted AND NOT excluded.deleted THEN excluded.until
                        ELSE max(until, excluded.until) END";
    write(tx, sql, (id.number(), group.as_str(), until.0, deleted)).map(drop)
}

/// Deletes an assertion key, and remembers it until then; returns how many rows it
/// deleted.
pub(super) fn delete_key(
    tx: &Tx<'_>,
    id: ChannelId,
    key: AssertionKeyId,
    until: UnixTime,
) -> Result<usize> {
    let sql = "DELETE FROM assertion_key WHERE channel = ?1 AND id = ?2";
    let gone = write(tx, sql, (id.number(), key.0))?;
    write(tx, "DELETE FROM deleted_key WHERE until <= ?1", [tx.now.0])?;
    let sql = "INSERT OR REPLACE INTO deleted_key VALUES (?1, ?2, ?3)";
    write(tx, sql, (id.number(), key.0, until.0))?;
    Ok(gone)
}

/// Forgets all groups and assertion keys of a channel that is being deleted.
pub(super) fn forget(tx: &Tx<'_>, id: ChannelId) -> Result<()> {
    write(tx, "DELETE FROM group_use WHERE channel = ?1", [id.number()])?;
    write(tx, "DELETE FROM deleted_key WHERE channel = ?1", [id.number()]).map(drop)
}
