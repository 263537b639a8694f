//! Where a store's rows are, independent of an open store: what a backend must
//! implement to run the conformance cases.

use async_trait::async_trait;
use tegata_store::{
    OnCommit, Store,
    sqlite::{Faults, Options, SqliteStore},
};
use tegata_token::{id::SigningKeyId, time::UnixTime};
use tempfile::TempDir;

/// One database of a backend, made for one test and removed with it.
#[async_trait]
pub trait Place: Send + Sync {
    /// Whether its cases run now: some run with `TEGATA_LONG=1` alone.
    fn is_due() -> bool
    where
        Self: Sized,
    {
        true
    }
    /// An empty database.
    fn new() -> Self
    where
        Self: Sized;
    /// Another empty database of the same backend.
    fn another(&self) -> Box<dyn Place>;
    /// Opens the store in it, for development or not.
    async fn open(&self, dev: bool, on_commit: OnCommit) -> Result<Box<dyn Store>, String>;
    /// Opens more stores of the same database, if there can be any at the same time.
    async fn more(&self) -> Vec<Box<dyn Store>> {
        Vec::new()
    }
    /// Limits a signing key, which only recovery does and no act of a store. Only while the
    /// store is closed.
    async fn limit_key(&self, key: SigningKeyId, before: UnixTime);
    /// Runs a statement that writes more rows than acts could in a short time.
    async fn write(&self, _sql: &str) {
        unreachable!("no case here writes rows");
    }
}

/// A SQLite file in a folder of its own.
pub struct Sqlite {
    /// The folder.
    pub folder: TempDir,
    /// The faults of its disk.
    pub faults: Faults,
}

impl Sqlite {
    /// The file.
    pub fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("tegata.db")
    }

    /// The options to open it with.
    pub fn options(&self, dev: bool) -> Options {
        let (issuer, faults) = (crate::world::ISSUER.into(), self.faults.clone());
        Options { issuer, dev, faults, ..Options::default() }
    }
}

#[async_trait]
impl Place for Sqlite {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), faults: Faults::default() }
    }

    fn another(&self) -> Box<dyn Place> {
        Box::new(Self::new())
    }

    async fn open(&self, dev: bool, on_commit: OnCommit) -> Result<Box<dyn Store>, String> {
        match SqliteStore::open(&self.path(), self.options(dev), on_commit) {
            Ok(store) => Ok(Box::new(store)),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn limit_key(&self, key: SigningKeyId, before: UnixTime) {
        let conn = rusqlite::Connection::open(self.path()).unwrap();
        let sql = "UPDATE signing_key SET state = 'retired', issued_before = ?2, changed_at = ?2
                   WHERE id = ?1";
        assert_eq!(conn.execute(sql, (key.0, before.0)).unwrap(), 1);
    }

    async fn write(&self, sql: &str) {
        rusqlite::Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
    }
}
