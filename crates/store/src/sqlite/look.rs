//! Reads a store from outside, even while a server uses it: it takes no lock, creates
//! nothing, and changes nothing but the readers' slots in SQLite's shared memory, if
//! there is any.

use super::{
    OpenError,
    connect::{check_own_log, latest_schema},
    guard, rows, verifiers,
};
use crate::{Instance, SigningKeyRow, VerifierRow};
use rusqlite::{Connection, OpenFlags};
use std::{path::Path, time::Duration};
use tegata_token::time::UnixTime;

/// A store that is open for inspection.
pub struct Look {
    conn: Connection,
    /// The log at its path belongs to another file.
    is_log_foreign: bool,
}

/// What a store records about itself.
#[derive(Debug, Clone)]
pub struct StoreState {
    /// Whether it was created with `--dev`.
    pub dev: bool,
    /// The highest time that it has written.
    pub written_at: UnixTime,
    /// How far the development clock was moved, in seconds.
    pub clock_offset: i64,
    /// All signing keys, revoked ones included.
    pub signing_keys: Vec<SigningKeyRow>,
    /// The verifiers that have instances, deleted ones included, with these.
    pub instances: Vec<(VerifierRow, Vec<Instance>)>,
}

/// SQLite's error for a file that cannot be read as a store.
pub type LookError = rusqlite::Error;

impl Look {
    /// Opens the file read-only.
    ///
    /// # Errors
    /// It does not exist, or is not a database.
    pub fn at(path: &Path) -> Result<Self, LookError> {
        // Before SQLite opens it: closing another handle of the file would drop SQLite's locks.
        let is_log_foreign = matches!(check_own_log(path), Err(OpenError::ForeignLog(_)));
        Ok(Self { conn: read_only(path)?, is_log_foreign })
    }

    /// The version of its schema, and the newest one that this program knows.
    ///
    /// # Errors
    /// It is not a store, or cannot be read.
    pub fn schema(&self) -> Result<(i64, i64), LookError> {
        let sql = "SELECT max(version) FROM refinery_schema_history";
        let version: Option<i64> = self.conn.query_row(sql, [], |row| row.get(0))?;
        Ok((version.unwrap_or(0), latest_schema().into()))
    }

    /// The first few problems that SQLite's own check finds; it reads the whole file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn damage(&self) -> Result<Vec<String>, LookError> {
        let mut check = self.conn.prepare("PRAGMA quick_check(3)")?;
        let found: Vec<String> =
            check.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(found.into_iter().filter(|it| it != "ok").collect())
    }

    /// What the store records about itself.
    ///
    /// # Errors
    /// Its schema is different, or the file is damaged.
    pub fn standing(&self) -> Result<StoreState, LookError> {
        let sql = "SELECT dev, written_at, clock_offset FROM authority";
        let (dev, written_at, clock_offset) = self
            .conn
            .query_row(sql, [], |row| Ok((row.get(0)?, UnixTime(row.get(1)?), row.get(2)?)))?;
        let keys = rows::signing_keys(&self.conn)?;
        let signing_keys = keys.into_iter().map(|it| it.key).collect();
        let instances = verifiers::instances(&self.conn)?;
        Ok(StoreState { dev, written_at, clock_offset, signing_keys, instances })
    }

    /// Verifies that it, the store at `store`, continues from the state that the rollback
    /// guard at `guard` records.
    ///
    /// # Errors
    /// [`OpenError`], as for a server that opens the store.
    pub fn goes_on(&self, store: &Path, guard: &Path) -> Result<(), OpenError> {
        match self.is_log_foreign {
            true => Err(OpenError::ForeignLog(store.to_owned())),
            false => guard::check(store, &self.conn, guard),
        }
    }
}

/// Opens a store read-only, with or without a writer beside it.
pub(super) fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // If there is a log, a writer is running or was killed: the log's content counts.
    // Without a log SQLite would create one and leave it behind, unless the file is
    // opened as immutable.
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
