//! Copies of a store: taken beside a running server, and put back in its place.
//!
//! A copy is made by SQLite itself inside one read transaction, so it is one
//! moment of the store, whatever is written meanwhile. It is marked as a backup:
//! whoever opens it as a store is asked first how to recover.

use super::{
    OpenError,
    connect::{connect, existing, latest_schema, one_name},
    lock::Lock,
};
use crate::file::{self, Owner, sync_folder};
use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};
use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tegata_token::{id::Position, time::UnixTime};

/// What a copy holds.
#[derive(Debug, Clone, Copy)]
pub struct Copied {
    /// The end of its log.
    pub position: Position,
    /// The highest time that it has seen, in seconds since 1970.
    pub written_at: UnixTime,
    /// Its size.
    pub bytes: u64,
}

/// How far a copy has come: pages done, and pages in all.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Pages of one step.
const STEP: i32 = 1024;
/// Until SQLite lets us go on, where another connection is in the way.
const BUSY: Duration = Duration::from_millis(50);

/// Copies the store in `store` to `to`, which must not be there, beside a server
/// that may run on it.
///
/// # Errors
/// [`OpenError`]; no file is left then.
pub fn backup(store: &Path, to: &Path, progress: Progress<'_>) -> Result<Copied, OpenError> {
    let store = &existing(store)?;
    let file = |error| OpenError::File(to.to_owned(), error);
    let owner = Owner::of(store).map_err(file)?;
    // Its name is taken first, so that no other file is ever written over.
    new_file(to, owner).map_err(file)?;
    let partial = with(to, ".partial");
    let done = copy(store, &partial, owner, progress).and_then(|copied| {
        fs::rename(&partial, to).and_then(|()| sync_folder(to)).map_err(file)?;
        Ok(copied)
    });
    if done.is_err() {
        // What is left of it is of no use; nor is a second complaint.
        let _ = (fs::remove_file(&partial), fs::remove_file(to));
    }
    done
}

/// Puts the backup `from` in the place of the store in `store`, which no server may
/// run on. What was there is moved aside, and named in the answer. A dry run looks
/// the backup through and leaves everything as it is.
///
/// # Errors
/// [`OpenError`]; the store is as it was then, or, where the disk failed in between,
/// moved aside.
pub fn restore(
    from: &Path,
    store: &Path,
    dry_run: bool,
    progress: Progress<'_>,
) -> Result<(Copied, Option<PathBuf>), OpenError> {
    let from = &existing(from)?;
    let store = &one_name(store)?;
    // Taking the lock makes the file.
    let _lock = (!dry_run || store.exists()).then(|| Lock::take(store)).transpose()?;
    let file = |error| OpenError::File(store.to_owned(), error);
    let new = with(store, ".restoring");
    let owner = Owner::of(store).map_err(file)?;
    let copied = copy(from, &new, owner, progress)?;
    let mode = |copy: File| file::resemble(&copy, store, owner);
    File::open(&new).and_then(mode).map_err(file)?;
    let aside = aside(store).map_err(file)?;
    if dry_run {
        fs::remove_file(&new).map_err(file)?;
        return Ok((copied, aside));
    }
    if let Some(aside) = &aside {
        move_aside(store, aside).map_err(file)?;
    }
    fs::rename(&new, store).and_then(|()| sync_folder(store)).map_err(file)?;
    Ok((copied, aside))
}

/// Brings the schema of the store in `path` up to date, as every start does;
/// answers its versions before and after.
///
/// # Errors
/// [`OpenError`]. Killed midway, it can be run again.
pub fn migrate(path: &Path) -> Result<(u32, u32), OpenError> {
    let path = &existing(path)?;
    let _lock = Lock::take(path)?;
    let before = {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = |error| OpenError::Database(path.to_owned(), error);
        let conn = Connection::open_with_flags(path, flags).map_err(database)?;
        schema(&conn).map_err(|_| OpenError::NotAStore(path.to_owned()))?
    };
    let faults = super::Faults::default();
    connect(path, &faults)?;
    Ok((before, latest_schema()))
}

/// The version of a store's schema.
fn schema(conn: &Connection) -> rusqlite::Result<u32> {
    conn.query_row("SELECT max(version) FROM refinery_schema_history", [], |row| row.get(0))
}

/// Makes a copy at `to`, which is written over, and looks it through.
fn copy(from: &Path, to: &Path, owner: Owner, progress: Progress<'_>) -> Result<Copied, OpenError> {
    let database = |error| OpenError::Database(from.to_owned(), error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, flags).map_err(database)?;
    source.busy_timeout(Duration::from_secs(5)).map_err(database)?;
    // One moment for all of it: a copy would begin anew with each commit of the
    // server's else, and never end.
    source.execute_batch("BEGIN").map_err(database)?;
    let version = schema(&source).map_err(|_| OpenError::NotAStore(from.to_owned()))?;
    if version > latest_schema() {
        return Err(OpenError::NewerSchema(from.to_owned()));
    }
    // What a copy left there that was cut off goes, or what somebody else put there
    // to have it written into: a link, or a file that others can read.
    match fs::remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => new_file(to, owner),
    }
    .map_err(|error| OpenError::File(to.to_owned(), error))?;
    let written = |error| OpenError::Database(to.to_owned(), error);
    let mut target = Connection::open(to).map_err(written)?;
    {
        let backup = Backup::new(&source, &mut target).map_err(database)?;
        loop {
            let step = backup.step(STEP).map_err(written)?;
            let pages = backup.progress();
            let count = |pages| u64::try_from(pages).unwrap_or(0);
            progress(count(pages.pagecount - pages.remaining), count(pages.pagecount));
            match step {
                StepResult::Done => break,
                StepResult::Busy | StepResult::Locked => std::thread::sleep(BUSY),
                _ => {}
            }
        }
    }
    checkpoint(&target, version).map_err(written)?;
    let sound: String =
        target.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(written)?;
    if sound != "ok" {
        return Err(OpenError::Damaged(from.to_owned(), sound));
    }
    let sql = "SELECT epoch, position, written_at FROM authority";
    let (position, written_at) = target
        .query_row(sql, [], |row| {
            let position = Position { epoch: row.get(0)?, number: row.get(1)? };
            Ok((position, UnixTime(row.get(2)?)))
        })
        .map_err(|_| OpenError::NotAStore(from.to_owned()))?;
    drop(target);
    let file = |error| OpenError::File(to.to_owned(), error);
    let copied = File::open(to).map_err(file)?;
    copied.sync_all().map_err(file)?;
    Ok(Copied { position, written_at, bytes: copied.metadata().map_err(file)?.len() })
}

/// One file without a log beside it, that says what it is.
fn checkpoint(copy: &Connection, version: u32) -> rusqlite::Result<()> {
    copy.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0))?;
    // Stores from before the mark have none; what they are put in place of does.
    if version >= 2 {
        copy.execute("UPDATE authority SET guard = x'', guard_before = NULL", [])?;
    }
    Ok(())
}

/// Creates a file that its owner alone may read.
fn new_file(path: &Path, owner: Owner) -> io::Result<File> {
    file::create(path, owner).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file of this name; nothing is written over it, so choose another",
        ),
        _ => error,
    })
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// The first free name that a store which is there, and holds anything, can be moved to.
fn aside(store: &Path) -> io::Result<Option<PathBuf>> {
    if fs::metadata(store).map_or(true, |it| it.len() == 0) {
        return Ok(None);
    }
    let mut names = (1..).map(|number| with(store, &format!(".replaced-{number}")));
    let free = names.find(|it| !it.exists() && !with(it, "-wal").exists());
    free.map(Some).ok_or_else(|| io::ErrorKind::AlreadyExists.into())
}

/// With its log first: a store without its log is noticed by its mark, while a log
/// beside another store could be taken for that one's.
fn move_aside(store: &Path, aside: &Path) -> io::Result<()> {
    for ending in ["-wal", "-shm", ""] {
        match fs::rename(with(store, ending), with(aside, ending)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    sync_folder(store)
}
