//! Reads columns of rows, and rows whose parts are in several tables. How values are encoded
//! is in `crate::columns`.

pub(super) use crate::columns::{
    assertion_key_id, bytes, channel_id, channels::CHANNEL, from_json, group, json, kind,
    provider_id, read_revocations, revocations_text, token_id, tokens::times, word,
};

use crate::{
    Error, Provider,
    columns::{self, Columns, Damaged, channels},
};
use rusqlite::{
    Connection, OptionalExtension, Row, Statement,
    types::{FromSql, FromSqlError},
};
use std::collections::{BTreeMap, HashMap};
use tegata_policy::{acts::StoredKey, channel::Channel};
use tegata_token::{
    id::ChannelId,
    view::{ChannelRevocations, ChannelState},
};

/// Any database error: the state is unknown, and the caller is informed so.
pub(super) fn unavailable(error: rusqlite::Error) -> Error {
    Error::Unavailable(error.to_string().into())
}

impl From<Damaged> for rusqlite::Error {
    fn from(damaged: Damaged) -> Self {
        FromSqlError::Other(damaged.to_string().into()).into()
    }
}

/// A row that finds its columns by their names.
pub(super) trait ByName {
    /// The value of a column.
    fn by_name<T: FromSql>(&self, column: &str) -> rusqlite::Result<T>;
}

impl ByName for Row<'_> {
    fn by_name<T: FromSql>(&self, column: &str) -> rusqlite::Result<T> {
        self.get(column)
    }
}

impl<R: ByName> Columns for R {
    type Error = rusqlite::Error;

    fn integer(&self, column: &str) -> rusqlite::Result<Option<i64>> {
        self.by_name(column)
    }

    fn text(&self, column: &str) -> rusqlite::Result<Option<String>> {
        self.by_name(column)
    }

    fn blob(&self, column: &str) -> rusqlite::Result<Option<Vec<u8>>> {
        self.by_name(column)
    }

    fn flag(&self, column: &str) -> rusqlite::Result<Option<bool>> {
        self.by_name(column)
    }
}

/// Where the columns of a statement are. SQLite's binding compares the names of all columns for
/// each value that is read by name, which is most of the cost of a long list.
pub(super) struct Names(HashMap<String, usize>);

impl Names {
    pub(super) fn of(statement: &Statement<'_>) -> Self {
        let names = statement.column_names().map(str::to_owned);
        Self(names.enumerate().map(|(at, name)| (name, at)).collect())
    }

    /// A row of the statement.
    pub(super) fn row<'a, 'r>(&'a self, row: &'a Row<'r>) -> Named<'a, 'r> {
        Named { names: self, row }
    }
}

/// A row whose columns are found by [`Names`].
pub(super) struct Named<'a, 'r> {
    names: &'a Names,
    row: &'a Row<'r>,
}

impl ByName for Named<'_, '_> {
    fn by_name<T: FromSql>(&self, column: &str) -> rusqlite::Result<T> {
        let at = self.names.0.get(column);
        self.row.get(*at.ok_or_else(|| rusqlite::Error::InvalidColumnName(column.to_owned()))?)
    }
}

pub(super) fn provider(row: &Row<'_>) -> rusqlite::Result<Provider> {
    channels::provider(row)
}

/// All signing keys, oldest first.
pub(super) fn signing_keys(conn: &Connection) -> rusqlite::Result<Vec<StoredKey>> {
    let sql = format!("{} ORDER BY number", channels::SIGNING_KEY);
    list(conn, &sql, [], |row| channels::signing_key(row))
}

/// All rows that a statement finds.
pub(super) fn list<T>(
    conn: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    conn.prepare_cached(sql)?.query_map(values, |row| read(row))?.collect()
}

/// A channel's snapshot from one row of [`CHANNEL`], with its keys and groups.
pub(super) fn channel(conn: &Connection, row: &Row<'_>) -> rusqlite::Result<Channel> {
    let id = [row.value::<u64>("id")?];
    let keys = "SELECT id, grp, modulus, created_at FROM assertion_key
                WHERE channel = ?1 ORDER BY number";
    let groups = "SELECT name, settings FROM channel_group WHERE channel = ?1";
    let used = "SELECT name, until FROM group_use WHERE channel = ?1 AND deleted = 0";
    let parts = channels::Parts {
        assertion_keys: list(conn, keys, id, |row| channels::assertion_key(row))?,
        groups: list(conn, groups, id, |row| channels::group_settings(row))?.into_iter().collect(),
        used_groups: list(conn, used, id, |row| channels::group_use(row))?.into_iter().collect(),
    };
    channels::channel(row, parts)
}

/// A channel's snapshot from one row of [`CHANNEL`], without its keys and groups.
pub(super) fn channel_alone<R: Columns<Error = rusqlite::Error>>(
    row: &R,
) -> rusqlite::Result<Channel> {
    channels::channel(row, channels::Parts::default())
}

/// Adds keys and groups to the snapshots of many channels: three statements for all of them.
pub(super) fn add_parts<'a>(
    conn: &Connection,
    all: impl Iterator<Item = &'a mut Channel>,
) -> rusqlite::Result<()> {
    let mut all: BTreeMap<u64, &mut Channel> = all.map(|it| (it.id.number(), it)).collect();
    let ids = json(&all.keys().collect::<Vec<_>>());
    let mut each = |sql: &str, add: fn(&mut Channel, &Row<'_>) -> rusqlite::Result<()>| {
        let mut query = conn.prepare_cached(sql)?;
        let mut found = query.query([&ids])?;
        while let Some(row) = found.next()? {
            if let Some(channel) = all.get_mut(&row.value::<u64>("channel")?) {
                add(channel, row)?;
            }
        }
        Ok::<_, rusqlite::Error>(())
    };
    let keys = "SELECT channel, id, grp, modulus, created_at FROM assertion_key
                WHERE channel IN (SELECT value FROM json_each(?1)) ORDER BY channel, number";
    each(keys, |it, row| {
        it.assertion_keys.push(channels::assertion_key(row)?);
        Ok(())
    })?;
    let groups = "SELECT channel, name, settings FROM channel_group
                  WHERE channel IN (SELECT value FROM json_each(?1))";
    each(groups, |it, row| {
        it.groups.extend([channels::group_settings(row)?]);
        Ok(())
    })?;
    let used = "SELECT channel, name, until FROM group_use
                WHERE channel IN (SELECT value FROM json_each(?1)) AND deleted = 0";
    each(used, |it, row| {
        it.used_groups.extend([channels::group_use(row)?]);
        Ok(())
    })
}

/// One channel's snapshot, deleted ones included.
pub(super) fn channel_by_id(conn: &Connection, id: ChannelId) -> rusqlite::Result<Option<Channel>> {
    conn.prepare_cached(&format!("{CHANNEL} WHERE c.id = ?1"))?
        .query_row([id.number()], |row| channel(conn, row))
        .optional()
}

/// The revocations of one channel; none if there is no row.
pub(super) fn revocations(
    conn: &Connection,
    id: ChannelId,
    state: ChannelState,
) -> rusqlite::Result<ChannelRevocations> {
    let text: Option<String> = conn
        .prepare_cached("SELECT revocations FROM channel_revocations WHERE channel = ?1")?
        .query_row([id.number()], |row| row.get(0))
        .optional()?;
    let revocations = text.map_or_else(
        || Ok(ChannelRevocations::default()),
        |text| columns::read_revocations(id, &text),
    )?;
    Ok(ChannelRevocations { state, ..revocations })
}
