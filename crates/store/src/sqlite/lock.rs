//! Keeps a second process out of a store by two locks, and detects by a number in the
//! store that both failed.
//!
//! The lock file beside the store is taken before SQLite opens the store. The lock on the
//! store's file itself still holds if the lock file was removed. If neither helps (a file
//! system without locks, a file that was replaced), the second process writes a new start
//! number. The writer compares that number, and the file at the store's path, in each
//! transaction, and the watch does so every second: a process that has been replaced
//! stops.

use super::{OpenError, readers::Readers, rows::unavailable};
use crate::{
    Result,
    file::{self, Owner},
};
use rusqlite::{Connection, OpenFlags};
use std::{
    ffi::OsString,
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::JoinHandle,
    time::Duration,
};

/// Keeps other processes from a store while it is open.
#[derive(Debug)]
pub struct Lock {
    /// The store's file. Closing any handle of it drops SQLite's own locks, which belong
    /// to the process, so this one is opened before SQLite's and closed after them.
    file: File,
    _beside: File,
}

impl Lock {
    /// Locks the store at `path`, and creates its file if it does not exist.
    ///
    /// # Errors
    /// [`OpenError::Locked`], or a file that cannot be used.
    pub(super) fn take(path: &Path) -> std::result::Result<Self, OpenError> {
        // Reported for the store, which is what the operator knows about.
        let wrong = |error| OpenError::File(path.to_owned(), error);
        let owner = Owner::of(path).map_err(wrong)?;
        let beside = take_beside(path, owner)?;
        // Created under the first lock, before SQLite opens it, so that only the owner
        // can read it.
        match file::create(path, owner) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(wrong(error)),
        }
        let store = File::open(path).map_err(wrong)?;
        hold(&store, path)?;
        Ok(Self { file: store, _beside: beside })
    }

    /// The values that this process compares; `start` is the number that it drew.
    pub(super) fn fence(&self, path: &Path, start: Option<Vec<u8>>) -> io::Result<Fence> {
        Ok(Fence { path: path.to_owned(), file: inode(&self.file.metadata()?), start })
    }
}

/// Takes the lock file beside the store. A lock file that was removed while it was being
/// locked keeps no other process out, so its path is tested afterwards.
fn take_beside(path: &Path, owner: Owner) -> std::result::Result<File, OpenError> {
    let mut name = OsString::from(path);
    name.push(".lock");
    let name = PathBuf::from(name);
    let wrong = |error| OpenError::File(path.to_owned(), error);
    loop {
        let lock = file::open_or_create(&name, owner).map_err(wrong)?;
        hold(&lock, path)?;
        let own = inode(&lock.metadata().map_err(wrong)?);
        match fs::metadata(&name) {
            Ok(there) if inode(&there) == own => return Ok(lock),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(wrong(error)),
            _ => {}
        }
    }
}

fn hold(lock: &File, store: &Path) -> std::result::Result<(), OpenError> {
    match lock.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(store.to_owned())),
        Err(TryLockError::Error(error)) => Err(OpenError::File(store.to_owned(), error)),
    }
}

fn inode(file: &fs::Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// The values by which a process detects that another one serves from its store.
#[derive(Debug, Clone)]
pub(super) struct Fence {
    path: PathBuf,
    file: (u64, u64),
    /// The number that this start drew; `None` for a store without a rollback guard.
    pub start: Option<Vec<u8>>,
}

/// Why this process no longer serves from a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Lost {
    #[error("another process has started on this store")]
    OtherStart,
    #[error("the store's file was removed or replaced while it was in use")]
    OtherFile,
}

impl Fence {
    /// Whether the store is lost to this process; `conn` is one of its own connections.
    pub fn lost(&self, conn: &Connection) -> Result<Option<Lost>> {
        let sql = "SELECT guard FROM authority";
        let start: Option<Vec<u8>> = conn
            .prepare_cached(sql)
            .and_then(|mut query| query.query_row([], |row| row.get(0)))
            .map_err(unavailable)?;
        if start != self.start {
            return Ok(Some(Lost::OtherStart));
        }
        let replaced = match fs::metadata(&self.path) {
            Ok(there) => inode(&there) != self.file,
            // Other errors prove nothing: the number decides.
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        Ok(replaced.then_some(Lost::OtherFile))
    }
}

/// How often the watch compares, and so how long a process that writes nothing can
/// continue after another one has started.
const PERIOD: Duration = Duration::from_secs(1);

/// Detects another process while the writer is idle.
pub(super) struct Watch {
    over: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts the watch; `lost` makes the writer compare for itself.
    ///
    /// # Errors
    /// No connection, or no thread.
    pub fn start(
        fence: Fence,
        readers: &Readers,
        lost: impl Fn() + Send + 'static,
    ) -> std::result::Result<Self, OpenError> {
        let path = fence.path.clone();
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = |error| OpenError::Database(path.clone(), error);
        let conn = readers.connect(flags).map_err(database)?;
        let (over, is_over) = channel();
        let watch = move || {
            while is_over.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                // What cannot be read now is read a second later.
                if fence.lost(&conn).is_ok_and(|it| it.is_some()) {
                    lost();
                }
            }
        };
        let thread = std::thread::Builder::new().name("tegata-watch".into()).spawn(watch);
        let thread = thread.map_err(|error| OpenError::File(path.clone(), error))?;
        Ok(Self { over: Some(over), thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over = None;
        if let Some(thread) = self.thread.take() {
            // The thread logged its own panic.
            drop(thread.join());
        }
    }
}
