//! Why a store cannot be opened, and what to do about it.

use crate::{Error, journal};
use std::{fmt, io, path::PathBuf};

/// Why a store cannot be opened, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the lock.
    #[error(
        "{0} is in use by another process; stop that one first, or give this one a --store of its own"
    )]
    Locked(PathBuf),
    /// Made with `--dev`, opened without.
    #[error(
        "{0} was made with --dev and its clock may have been moved; start with --dev, or give another --store"
    )]
    MadeForDevelopment(PathBuf),
    /// Made without `--dev`, opened with it.
    #[error(
        "{0} was not made with --dev, which moves clocks; start without --dev, or give another --store"
    )]
    NotForDevelopment(PathBuf),
    /// The file or its folder cannot be used.
    #[error("cannot open the store {}: {}", .0.display(), what_is_wrong(.1))]
    File(PathBuf, io::Error),
    /// SQLite cannot read or write it.
    #[error("{0} cannot be opened as a store: {1}")]
    Database(PathBuf, rusqlite::Error),
    /// The file system cannot share memory between connections.
    #[error(
        "{0} is on a file system that SQLite cannot keep a write-ahead log on; put --store on a local disk"
    )]
    NoWal(PathBuf),
    /// The schema is not one that this version knows.
    #[error("{0} has a schema that this version does not know; it was written by a newer one: {1}")]
    Schema(PathBuf, Box<refinery::Error>),
    /// The SQLite that was linked is too old to be trusted with WAL.
    #[error("this build has SQLite {0}, which can corrupt WAL files; 3.51.3 or newer is needed")]
    SqliteTooOld(&'static str),
    /// It is some other file.
    #[error("{0} is not a store of Tegata's")]
    NotAStore(PathBuf),
    /// A newer version wrote it.
    #[error("{0} was written by a newer version; use that one")]
    NewerSchema(PathBuf),
    /// It is not as it was written.
    #[error("{0} is damaged ({1}); use another backup")]
    Damaged(PathBuf, String),
    /// It is not the newest state of itself.
    #[error(
        "{store} is not the newest state of this store: {why}. Nothing is served from it, since \
         tokens that were revoked meanwhile would live again. Bring back the newest file, or, if \
         this is what you have, choose with the server stopped:\n  \
         tegata recover --store sqlite:{store} --replay FILE     (FILE is what serve --revocation-journal wrote)\n  \
         tegata recover --store sqlite:{store} --revoke-everything  (all tokens end)\n\
         (the mark: {guard})",
        store = store.display(), guard = guard.display()
    )]
    WentBack {
        /// The store.
        store: PathBuf,
        /// Its mark.
        guard: PathBuf,
        /// How it is known.
        why: Backwards,
    },
    /// The mark's file cannot be used.
    #[error(
        "the store's mark {0}: {1}; if its folder may not be written to, put it elsewhere with --rollback-guard-file"
    )]
    RollbackGuard(PathBuf, io::Error),
    /// The endings log cannot be used.
    #[error(transparent)]
    Revocations(#[from] journal::Error),
    /// It was opened but does not answer.
    #[error(transparent)]
    Store(#[from] Error),
}

fn what_is_wrong(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "its folder is not there".to_owned(),
        io::ErrorKind::PermissionDenied => "it or its folder may not be written to".to_owned(),
        _ => error.to_string(),
    }
}

/// Why a store is not the one that its mark speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backwards {
    /// It was marked before, and its mark is not there.
    NoRollbackGuard,
    /// It is a backup that was put in the store's place.
    Backup,
    /// There is a mark, and this store never had one: a new, empty one mostly.
    Unguarded,
    /// The mark was renewed by a start that this store knows nothing of.
    OtherStart,
    /// It has fewer commits than the mark has seen.
    Behind {
        /// The store's.
        commits: u64,
        /// The mark's.
        guarded: u64,
    },
    /// The endings log holds endings that this store knows nothing of.
    BehindJournal,
    /// The mark's file holds something else.
    BadRollbackGuard,
}

impl fmt::Display for Backwards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRollbackGuard => f.write_str(
                "its mark is not there, so nothing tells whether it is an old copy (if you moved \
                 the store here, bring the mark along)",
            ),
            Self::Backup => f.write_str("it is a backup"),
            Self::Unguarded => f.write_str(
                "the mark tells of a store that was in use, and this one is new (is it the right \
                 --store, is its disk mounted? To begin anew, remove the guard)",
            ),
            Self::OtherStart => f.write_str("it is a copy from before the last start"),
            Self::Behind { commits, guarded } => {
                write!(f, "it has seen {commits} commits, and the mark {guarded}")
            }
            Self::BehindJournal => f.write_str("the endings log tells of endings that it lacks"),
            Self::BadRollbackGuard => f.write_str("its mark cannot be read"),
        }
    }
}
