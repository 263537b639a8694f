//! A SQLite file system for tests that loses power and fails on demand.
//!
//! A test on a healthy machine cannot detect a missing sync: a killed process keeps
//! everything that it has written, synchronised or not. A [`FaultyVfs`] wraps SQLite's
//! unix VFS. The files are real, and every call except the sync is passed on; for each
//! database, WAL and journal under one folder the VFS also keeps an image of what is
//! durable: writes and truncations reach that image when their file is synchronised, not
//! before. [`FaultyVfs::power_loss`] writes the images to another folder at any moment,
//! where the ordinary VFS can open them. [`FaultyVfs::inject`] makes the n-th call fail;
//! [`FaultyVfs::on_sync`] can hold a commit in flight.
//!
//! How the disk is modelled:
//! - What a file holds when it is first opened counts as synchronised.
//! - The first sync of a new file synchronises its folder too, as SQLite does
//!   for journals and WALs.
//! - A deletion is durable with the next sync of its folder: at once if SQLite
//!   asks for it, else when a new file there is synchronised. Until then a power
//!   loss brings the file back, as it was at its last sync.
//! - A sync covers the writes before its beginning and counts from its end.
//! - Shared memory (`-shm`) and temporary files do not survive.
//!
//! All connections to the folder's databases must use the VFS, and the test must not
//! touch live files: calls that bypass the VFS are not seen, and closing a descriptor of
//! a live database drops this process's locks on it. Supports databases of up to 2 GiB;
//! images are held in memory.
//!
//! ```
//! use faulty_vfs::{Fault, FaultyVfs};
//! use rusqlite::{Connection, OpenFlags};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (live, after) = (tempfile::tempdir()?, tempfile::tempdir()?);
//! let vfs = FaultyVfs::new(live.path())?;
//! let path = live.path().join("a.db");
//! let db = Connection::open_with_flags_and_vfs(&path, OpenFlags::default(), vfs.name())?;
//! db.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (n)")?;
//!
//! vfs.inject(Fault::nth(2)); // the second write, sync or truncation from here
//! assert!(db.execute("INSERT INTO t VALUES (1)", []).is_err());
//! assert_eq!(vfs.heal().failed, 1);
//! db.execute("INSERT INTO t VALUES (2)", [])?;
//!
//! vfs.power_loss(after.path())?;
//! let copy = Connection::open(after.path().join("a.db"))?;
//! let n: i64 = copy.query_row("SELECT n FROM t", [], |row| row.get(0))?;
//! assert_eq!(n, 2);
//! # Ok(())
//! # }
//! ```

mod disk;
mod fault;
mod shadow;
mod vfs;

use std::{fs, io, path::Path, sync::Arc};

pub use fault::{Call, Fault, Tally};

use crate::{disk::Disk, vfs::Registration};

/// A handle to one registered VFS; clones share it.
///
/// The VFS is unregistered with the last clone, unless a file is still open: then it
/// stays for the rest of the process.
#[derive(Clone)]
pub struct FaultyVfs(Arc<Registration>);

impl FaultyVfs {
    /// Registers a VFS, under a unique name, that watches the databases under `folder`.
    /// It passes all other files to SQLite's default VFS.
    ///
    /// # Errors
    /// If `folder` does not exist, or SQLite refuses the VFS.
    pub fn new(folder: impl AsRef<Path>) -> io::Result<Self> {
        let disk = Disk::new(folder.as_ref().canonicalize()?);
        let refused = |code| io::Error::other(format!("SQLite refused the VFS with code {code}"));
        Ok(Self(Arc::new(Registration::new(disk).map_err(refused)?)))
    }

    /// The name by which a connection chooses this VFS, in
    /// `Connection::open_with_flags_and_vfs` or as `file:...?vfs=NAME`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Makes a future call fail, in place of any earlier fault; counts from 0.
    pub fn inject(&self, fault: Fault) {
        self.0.disk.inject(Some(fault));
    }

    /// Removes the injected fault; returns what it has counted.
    pub fn heal(&self) -> Tally {
        self.0.disk.inject(None)
    }

    /// What the last injected fault has counted so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.0.disk.tally()
    }

    /// Calls `hook` around every sync of a watched file, in place of any earlier
    /// hook, on the thread that commits. It may block, and may call for a power
    /// loss; if it panics, the sync fails. A hook that owns a clone of this
    /// handle keeps the VFS registered until [`clear_on_sync`](Self::clear_on_sync).
    pub fn on_sync(&self, hook: impl Fn(&SyncPoint<'_>) + Send + Sync + 'static) {
        self.0.disk.set_hook(Some(Arc::new(hook)));
    }

    /// Removes the hook; syncs that have begun still call it.
    pub fn clear_on_sync(&self) {
        self.0.disk.set_hook(None);
    }

    /// Writes what a power loss at this instant would leave into `into`, each
    /// file at its path within the watched folder. Nothing that was not
    /// synchronised survives. The live files stay as they are.
    ///
    /// # Errors
    /// If `into` is neither empty nor absent, or cannot be written.
    pub fn power_loss(&self, into: impl AsRef<Path>) -> io::Result<()> {
        materialise(self.0.disk, None, into.as_ref())
    }

    /// As [`power_loss`](Self::power_loss), but some of what was not
    /// synchronised survives, as `seed` decides for each file: the first acts in
    /// their order, the last of them cut short, or any of them, some cut.
    ///
    /// # Errors
    /// As of [`power_loss`](Self::power_loss).
    pub fn power_loss_torn(&self, into: impl AsRef<Path>, seed: u64) -> io::Result<()> {
        materialise(self.0.disk, Some(seed), into.as_ref())
    }
}

/// A sync of a watched file, as its hook sees it.
#[derive(Debug, Clone, Copy)]
pub struct SyncPoint<'a> {
    /// The file's full path; that of a WAL ends in `-wal`.
    pub path: &'a Path,
    /// The stage of the sync.
    pub stage: SyncStage,
}

impl SyncPoint<'_> {
    /// Whether the file is a write-ahead log: in WAL mode its sync is the commit.
    #[must_use]
    pub fn is_wal(&self) -> bool {
        self.path.as_os_str().as_encoded_bytes().ends_with(b"-wal")
    }
}

/// A stage of a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncStage {
    /// Written, not durable: a power loss now loses it.
    Before,
    /// Durable, not yet known to the writer. Not reached by a sync that fails.
    After,
}

fn materialise(disk: &Disk, seed: Option<u64>, into: &Path) -> io::Result<()> {
    fs::create_dir_all(into)?;
    if fs::read_dir(into)?.next().is_some() {
        // Also protects the live files, and keeps a stale WAL out of the copy.
        return Err(io::ErrorKind::DirectoryNotEmpty.into());
    }
    for (path, bytes) in disk.images(seed) {
        let path = into.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, bytes)?;
    }
    Ok(())
}
