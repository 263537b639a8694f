//! Finds the canonical path of a store's file, and opens it with the settings of a store.

use super::{
    OpenError,
    guard::{self, Own},
    lock::{Fence, Lock},
    readers::Readers,
};
use crate::{file::Owner, journal};
use refinery_core::{Migration, Runner};
use rusqlite::{Connection, OpenFlags};
use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};
use tegata_token::time::UnixTime;

/// The migrations, oldest first. Named here, since the macro that finds them would compile
/// the library a second time, for itself.
pub(super) const MIGRATIONS: [(&str, &str); 1] =
    [("V1__initial", include_str!("../../migrations/sqlite/V1__initial.sql"))];

fn migrations() -> Result<Vec<Migration>, refinery_core::Error> {
    MIGRATIONS.iter().map(|(name, sql)| Migration::unapplied(name, sql)).collect()
}

/// Faults for tests.
#[doc(hidden)]
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// The SQLite VFS to open the file with.
    pub vfs: Option<String>,
    /// Do not synchronise commits, to show what that loses.
    pub synchronous_off: bool,
    /// Other servers on the same store.
    pub others: super::Others,
}

/// The canonical path of the file: the lock and SQLite's own log are found by the path,
/// so two paths to one store would be two stores in one file.
pub(super) fn one_name(path: &Path) -> std::result::Result<PathBuf, OpenError> {
    let file = |error| OpenError::File(path.to_owned(), error);
    match path.canonicalize() {
        Ok(real) if real.metadata().map_err(file)?.nlink() > 1 => {
            let why = "it has several names (hard links); keep one of them and remove the others";
            Err(file(io::Error::other(why)))
        }
        Ok(real) => Ok(real),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            };
            let name = path.file_name().ok_or_else(|| file(io::ErrorKind::InvalidInput.into()))?;
            Ok(folder.canonicalize().map_err(file)?.join(name))
        }
        Err(error) => Err(file(error)),
    }
}

/// The canonical path of an existing store.
pub(super) fn existing(path: &Path) -> std::result::Result<std::path::PathBuf, OpenError> {
    let path = one_name(path)?;
    match path.metadata() {
        Ok(file) if file.len() > 0 => Ok(path),
        Ok(_) => Err(OpenError::NotAStore(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(OpenError::NoFile(path)),
        Err(error) => Err(OpenError::File(path, error)),
    }
}

/// Opens the file, whose lock is held, with the settings of a store, and migrates its
/// schema.
pub(super) fn connect(
    path: &Path,
    faults: &Faults,
) -> std::result::Result<(Arc<Readers>, Connection), OpenError> {
    let opened = connect_any(path, faults)?;
    guard::check_not_moved(path, &opened.1)?;
    Ok(opened)
}

/// The same of a store that may have been moved to another database.
pub(super) fn connect_any(
    path: &Path,
    faults: &Faults,
) -> std::result::Result<(Arc<Readers>, Connection), OpenError> {
    check_own_log(path)?;
    let database = |error| OpenError::Database(path.to_owned(), error);
    let readers = Arc::new(Readers::new(path.to_owned(), faults.vfs.clone()));
    let mut conn = readers.connect(OpenFlags::default()).map_err(database)?;
    // Without shared memory SQLite keeps its rollback journal and reports no error.
    let set = "PRAGMA journal_mode = WAL";
    let journal: String = conn.query_row(set, [], |row| row.get(0)).map_err(database)?;
    if journal != "wal" {
        return Err(OpenError::NoWal(path.to_owned()));
    }
    let synchronous = if faults.synchronous_off { "OFF" } else { "FULL" };
    // Few pages: after a commit that has split a page SQLite visits all that it keeps, to drop those
    // beyond the end of the file (`pcache1Truncate`). The system keeps the others in memory, too.
    conn.execute_batch(&format!(
        "PRAGMA synchronous = {synchronous};
         PRAGMA wal_autocheckpoint = 16000; PRAGMA journal_size_limit = 67108864;
         PRAGMA cache_size = -4096; PRAGMA foreign_keys = ON;"
    ))
    .map_err(database)?;
    // Grouped: all migrations in one transaction. Otherwise a crash between a migration
    // and its history row would leave a store that cannot be opened any more.
    migrations()
        .and_then(|all| Runner::new(&all).set_grouped(true).run(&mut conn))
        .map_err(|error| OpenError::Schema(path.to_owned(), Box::new(error)))?;
    Ok((readers, conn))
}

/// Refuses a write-ahead log of another file: SQLite would replay it over a backup that was put in
/// that file's place, and delete it beside an empty file. This process must not have the store open:
/// SQLite would lose its locks.
///
/// # Errors
/// [`OpenError::ForeignLog`], or the file cannot be read.
pub fn check_own_log(path: &Path) -> std::result::Result<(), OpenError> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let is_there = fs::metadata(&log).is_ok_and(|it| it.len() > 0);
    match is_there && !names_log(path).map_err(|error| OpenError::File(path.to_owned(), error))? {
        true => Err(OpenError::ForeignLog(path.to_owned())),
        false => Ok(()),
    }
}

/// Whether the header of the database at `path` names a write-ahead log. That of a store does
/// before its log is created, and that of a backup does not.
fn names_log(path: &Path) -> io::Result<bool> {
    let mut header = Vec::new();
    File::open(path)?.take(20).read_to_end(&mut header)?;
    // SQLite, "Database File Format": 1 is a rollback journal, 2 a write-ahead log. What is no
    // database is reported as such.
    let is_database = header.starts_with(b"SQLite format 3\0");
    Ok(!header.is_empty() && (!is_database || header.get(19) != Some(&1)))
}

/// The values by which the writer detects another process.
pub(super) fn fence(
    lock: &Lock,
    path: &Path,
    start: Option<Vec<u8>>,
) -> std::result::Result<Fence, OpenError> {
    lock.fence(path, start).map_err(|error| OpenError::File(path.to_owned(), error))
}

/// The schema version of this build.
pub(super) fn latest_schema() -> u32 {
    let versions = migrations().into_iter().flatten().map(|it| it.version());
    versions.max().and_then(|it| u32::try_from(it).ok()).unwrap_or(0)
}

/// The state of the store that its revocation journal needs.
pub(super) fn standing(conn: &Connection) -> rusqlite::Result<journal::JournalState> {
    let at = conn.query_row("SELECT written_at FROM authority", [], |row| row.get(0))?;
    let own = Own::read(conn)?;
    let owner = conn.path().and_then(|path| Owner::of(Path::new(path)).ok());
    let epoch = own.reached.position.epoch;
    Ok(journal::JournalState {
        store: guard::hex(&own.identity),
        last: journal::Commit { epoch, commit: own.reached.commits },
        last_revocation: journal::Commit { epoch, commit: own.last_revocation },
        at: UnixTime(at),
        owner,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_of_the_folder_is_known_by_its_name() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
        let files = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name());
        let mut files: Vec<_> = files.map(|it| it.into_string().unwrap()).collect();
        files.sort();
        let known: Vec<_> = MIGRATIONS.iter().map(|(name, _)| format!("{name}.sql")).collect();
        assert_eq!(files, known);
        let versions: Vec<_> = migrations().unwrap().iter().map(|it| it.version()).collect();
        assert_eq!(versions, (1..).take(known.len()).collect::<Vec<_>>());
    }
}
