//! A look at a store from outside, beside whoever serves from it: it takes no lock,
//! makes nothing, and changes nothing but the readers' places in SQLite's own
//! shared memory, where there is one.

use super::{OpenError, connect::migrations::migrations, guard, rows};
use crate::SigningKeyRow;
use rusqlite::{Connection, OpenFlags};
use std::{path::Path, time::Duration};
use tegata_token::time::UnixTime;

/// A store that is looked at.
pub struct Look {
    conn: Connection,
}

/// What a store says of itself.
#[derive(Debug, Clone)]
pub struct StoreState {
    /// Whether it was made with `--dev`.
    pub dev: bool,
    /// The highest time that it has written.
    pub written_at: UnixTime,
    /// How far the development clock was moved, in seconds.
    pub clock_offset: i64,
    /// All signing keys, removed ones too.
    pub signing_keys: Vec<SigningKeyRow>,
}

/// What SQLite says of a file that cannot be read as a store.
pub type LookError = rusqlite::Error;

impl Look {
    /// Opens the file for reading alone.
    ///
    /// # Errors
    /// It is not there, or no database.
    pub fn at(path: &Path) -> Result<Self, LookError> {
        Ok(Self { conn: read_only(path)? })
    }

    /// The version of its schema, and the newest one that this program knows.
    ///
    /// # Errors
    /// It is no store, or not readable.
    pub fn schema(&self) -> Result<(i64, i64), LookError> {
        let sql = "SELECT max(version) FROM refinery_schema_history";
        let version: Option<i64> = self.conn.query_row(sql, [], |row| row.get(0))?;
        let runner = migrations::runner();
        let known = runner.get_migrations().iter().map(|it| i64::from(it.version())).max();
        Ok((version.unwrap_or(0), known.unwrap_or(0)))
    }

    /// What SQLite's own check of the file finds, the first few things; reads all of it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn damage(&self) -> Result<Vec<String>, LookError> {
        let mut check = self.conn.prepare("PRAGMA quick_check(3)")?;
        let found: Vec<String> =
            check.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(found.into_iter().filter(|it| it != "ok").collect())
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// Its schema is another, or the file is damaged.
    pub fn standing(&self) -> Result<StoreState, LookError> {
        let sql = "SELECT dev, written_at, clock_offset FROM authority";
        let (dev, written_at, clock_offset) = self
            .conn
            .query_row(sql, [], |row| Ok((row.get(0)?, UnixTime(row.get(1)?), row.get(2)?)))?;
        let keys = rows::signing_keys(&self.conn)?;
        let signing_keys = keys.into_iter().map(|it| it.key).collect();
        Ok(StoreState { dev, written_at, clock_offset, signing_keys })
    }

    /// Whether it, in `store`, goes on from where the mark in `mark` saw it.
    ///
    /// # Errors
    /// [`OpenError`], as a server that is to serve from it would say it.
    pub fn goes_on(&self, store: &Path, guard: &Path) -> Result<(), OpenError> {
        guard::check(store, &self.conn, guard)
    }
}

/// Opens a store for reading, beside its writer or without one.
pub(super) fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // With a log there is a writer, or one was killed: what is in it counts. Without
    // one, SQLite would make one and leave it behind, unless the file counts as
    // immutable.
    let conn = if Path::new(&log).exists() {
        Connection::open_with_flags(path, flags)?
    } else {
        let uri = format!("file:{}?immutable=1", escaped(path));
        Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?
    };
    conn.busy_timeout(Duration::from_secs(5))?;
    Ok(conn)
}

/// A path within a URI (SQLite, "URI Filenames").
fn escaped(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}
