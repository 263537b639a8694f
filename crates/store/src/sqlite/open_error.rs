//! Why a store cannot be opened, and what to do about it.

use crate::{Error, journal};
use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// Why a store cannot be opened, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the lock.
    #[error("{0} is in use by another process; stop that process first, or use another --store")]
    Locked(PathBuf),
    /// Made with `--dev`, opened without.
    #[error(
        "{0} was made with --dev and its clock may have been moved; start with --dev, or use another --store"
    )]
    MadeForDevelopment(PathBuf),
    /// Made without `--dev`, opened with it.
    #[error(
        "{0} was not made with --dev, which moves clocks; start without --dev, or use another --store"
    )]
    NotForDevelopment(PathBuf),
    /// The file or its folder cannot be used.
    #[error("cannot open the store {}: {}", .0.display(), what_is_wrong(.1))]
    File(PathBuf, io::Error),
    /// There is no file, though its folder is there.
    #[error("there is no store at {0}; name another file with --store")]
    NoFile(PathBuf),
    /// The file to restore cannot be read, or is no backup.
    #[error("cannot restore {}: {why}; name another FILE", .file.display())]
    NoBackup {
        /// The file that was named.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The file of a backup cannot be written.
    #[error("cannot write the backup {}: {}", .0.display(), what_is_wrong(.1))]
    Backup(PathBuf, io::Error),
    /// SQLite cannot read or write it.
    #[error(
        "{0} cannot be opened as a store: {1}; see docs/book/src/runbooks/store-does-not-open.md"
    )]
    Database(PathBuf, rusqlite::Error),
    /// The file system cannot share memory between connections.
    #[error(
        "{0} is on a file system that SQLite cannot keep a write-ahead log on; put --store on a local disk"
    )]
    NoWal(PathBuf),
    /// The schema is unknown to this version.
    #[error("{0} has a schema that this version does not know; it was written by a newer one: {1}")]
    Schema(PathBuf, Box<refinery_core::Error>),
    /// The linked SQLite is too old for WAL.
    #[error("this build has SQLite {0}, which can corrupt WAL files; 3.51.3 or newer is needed")]
    SqliteTooOld(&'static str),
    /// It is another sort of file.
    #[error("{0} is not a store of Tegata; name another file with --store")]
    NotAStore(PathBuf),
    /// A newer version wrote it.
    #[error("{0} was written by a newer version; use that one")]
    NewerSchema(PathBuf),
    /// It was moved to another database.
    #[error(
        "{store} was moved to a PostgreSQL database, or is being moved: nothing is served from it, \
         since what was revoked there would be active again. Start `tegata serve` with the --store that it was moved \
         to; if the move was interrupted, repeat the same `tegata move`; if no server has \
         started there yet, you can go back with\n  tegata move --from sqlite:{store} --to postgres://… --undo",
        store = .0.display()
    )]
    Moved(PathBuf),
    /// The log at its path belongs to another file.
    #[error(
        "{0}-wal is not the log of {0}, but of a store that was there before it and was not closed; it \
         is not replayed. Put that store back, or move {0}-wal and {0}-shm to another folder (do not \
         delete them), and try again"
    )]
    ForeignLog(PathBuf),
    /// It is damaged.
    #[error("{0} is damaged ({1}); use another backup")]
    Damaged(PathBuf, String),
    /// It is an older state of the store.
    #[error(
        "{store} is not the newest state of this store: {why}. Nothing is served from it, since \
         tokens that were revoked meanwhile would be active again. Restore the newest file, or, if \
         this is the newest that you have, stop the server and choose:\n  \
         tegata recover --store sqlite:{store} --replay FILE     (FILE is what serve --revocation-journal wrote)\n  \
         tegata recover --store sqlite:{store} --revoke-everything  (revokes all tokens)\n\
         (the rollback guard: {guard})",
        store = store.display(), guard = guard.display()
    )]
    WentBack {
        /// The store.
        store: PathBuf,
        /// Its rollback guard.
        guard: PathBuf,
        /// How that was noticed.
        why: Backwards,
    },
    /// The rollback guard cannot be read or written.
    #[error(
        "the store's rollback guard {0}: {1}; if its folder is not writable, choose another place with --rollback-guard-file"
    )]
    RollbackGuard(PathBuf, io::Error),
    /// The revocation journal cannot be used.
    #[error(transparent)]
    Revocations(#[from] journal::Error),
    /// It was opened but cannot be used.
    #[error(transparent)]
    Store(#[from] Error),
}

impl OpenError {
    /// The same about `file`, which is not the store but the backup to restore.
    pub(super) fn of_backup(self, file: &Path) -> Self {
        let why = match self {
            Self::NoFile(_) => "there is no such file".to_owned(),
            Self::NotAStore(_) => "it is not a backup of Tegata".to_owned(),
            Self::File(path, error) if path == file => what_is_wrong(&error),
            other => return other,
        };
        Self::NoBackup { file: file.to_owned(), why }
    }
}

fn what_is_wrong(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "its folder is not there; create it, or mount its disk".to_owned()
        }
        io::ErrorKind::PermissionDenied => "it or its folder may not be written to".to_owned(),
        _ => error.to_string(),
    }
}

/// Why a store is not the one that its rollback guard or journal describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backwards {
    /// It had a rollback guard before, and the file is missing.
    NoRollbackGuard,
    /// It is a backup that was put in the store's place.
    Backup,
    /// There is a rollback guard, and this store never had one: mostly a new, empty
    /// store.
    Unguarded,
    /// The rollback guard was renewed by a start that this store lacks.
    OtherStart,
    /// It has fewer commits than the rollback guard recorded.
    Behind {
        /// The store's.
        commits: u64,
        /// The guard's.
        guarded: u64,
    },
    /// The revocation journal holds revocations that this store lacks.
    BehindJournal,
    /// The rollback guard's file cannot be parsed.
    BadRollbackGuard,
}

impl fmt::Display for Backwards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRollbackGuard => f.write_str(
                "its rollback guard is missing, so it could be an old copy (if you moved \
                 the store here, move that file, too)",
            ),
            Self::Backup => f.write_str("it is a backup"),
            Self::Unguarded => f.write_str(
                "the rollback guard is of a store that was in use, and this store is new (is it the right \
                 --store, is its disk mounted? To start with a new store, remove the guard)",
            ),
            Self::OtherStart => f.write_str("it is a copy from before the last start"),
            Self::Behind { commits, guarded } => {
                write!(f, "it stands at commit {commits}, and the rollback guard has recorded commit {guarded}")
            }
            Self::BehindJournal => f.write_str("the revocation journal holds revocations that it lacks"),
            Self::BadRollbackGuard => f.write_str("its rollback guard cannot be read"),
        }
    }
}
