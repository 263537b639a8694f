//! Backups of a store: made while a server runs, and restored in its place.
//!
//! SQLite makes a backup inside one read transaction, so it is the store at one moment,
//! whatever is written meanwhile. It is marked as a backup: a process that opens it as a
//! store is refused until the operator has chosen how to recover.

use super::{
    OpenError,
    connect::{check_own_log, connect, existing, latest_schema, one_name},
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
    time::{Duration, SystemTime},
};
use tegata_token::{id::Position, time::UnixTime};

/// The content of a backup.
#[derive(Debug, Clone, Copy)]
pub struct Copied {
    /// The position at the end of its log.
    pub position: Position,
    /// The highest time that it contains, in seconds since 1970.
    pub written_at: UnixTime,
    /// Its size.
    pub bytes: u64,
}

/// Reports progress: pages copied, and pages in all.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Pages copied per step.
const STEP: i32 = 1024;
/// Pause before the next attempt while another connection blocks the copy.
const BUSY: Duration = Duration::from_millis(50);

/// Copies the store at `store` to `to`, which must not exist. A server may run on the
/// store, in another process.
///
/// # Errors
/// [`OpenError`]; no file is left then.
pub fn backup(store: &Path, to: &Path, progress: Progress<'_>) -> Result<Copied, OpenError> {
    let store = &existing(store)?;
    let owner = Owner::of(store).map_err(|error| OpenError::File(store.clone(), error))?;
    let file = |error| OpenError::Backup(to.to_owned(), error);
    // The name is taken first, so that no other file is ever overwritten.
    new_file(to, owner).map_err(file)?;
    let partial = with(to, ".partial");
    let done = copy(store, &partial, owner, progress).and_then(|copied| {
        fs::rename(&partial, to).and_then(|()| sync_folder(to)).map_err(file)?;
        Ok(copied)
    });
    match &done {
        // Without the note a server warns of an old backup: that says too much, not too little.
        Ok(_) => drop(file::replace(&note(store), b"", owner)),
        // The rest is useless, and the first error is the one to report.
        Err(_) => drop((fs::remove_file(&partial), fs::remove_file(to))),
    }
    done
}

/// When the newest backup of the store at `store` was made, by the machine's clock; `None` if
/// none was made yet, or only by another program.
#[must_use]
pub fn backed_up_at(store: &Path) -> Option<UnixTime> {
    let written = note(store).metadata().ok()?.modified().ok()?;
    let since = written.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    since.as_secs().try_into().ok().map(UnixTime)
}

/// The empty file beside a store whose time is that of the newest backup.
fn note(store: &Path) -> PathBuf {
    with(store, ".backup")
}

/// Replaces the store at `store`, on which no server may run, by the backup `from`. What is
/// there, be it only the log of a store that is missing, is moved aside, and its new path is
/// returned. A dry run verifies the backup and changes nothing.
///
/// # Errors
/// [`OpenError`]; the store is unchanged then or, if the disk failed in between, moved
/// aside. No other file is left.
pub fn restore(
    from: &Path,
    store: &Path,
    dry_run: bool,
    progress: Progress<'_>,
) -> Result<(Copied, Option<PathBuf>), OpenError> {
    let from = &existing(from).map_err(|error| error.of_backup(from))?;
    let store = &one_name(store)?;
    let was_there = store.exists();
    // Taking the lock creates the file.
    let _lock = (!dry_run || was_there).then(|| Lock::take(store)).transpose()?;
    let new = with(store, ".restoring");
    let done = put_in_place(from, &new, store, dry_run, progress);
    if done.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&new);
        if !was_there && fs::metadata(store).is_ok_and(|it| it.len() == 0) {
            let _ = fs::remove_file(store);
        }
    }
    done
}

/// Makes the copy `new` of a backup, and then the store of it.
fn put_in_place(
    from: &Path,
    new: &Path,
    store: &Path,
    dry_run: bool,
    progress: Progress<'_>,
) -> Result<(Copied, Option<PathBuf>), OpenError> {
    let file = |error| OpenError::File(store.to_owned(), error);
    let owner = Owner::of(store).map_err(file)?;
    let copied = copy(from, new, owner, progress).map_err(|error| error.of_backup(from))?;
    let mode = |copy: File| file::resemble(&copy, store, owner);
    File::open(new).and_then(mode).map_err(file)?;
    let aside = aside(store).map_err(file)?;
    if dry_run {
        fs::remove_file(new).map_err(file)?;
        return Ok((copied, aside));
    }
    if let Some(aside) = &aside {
        move_aside(store, aside).map_err(file)?;
    }
    fs::rename(new, store).and_then(|()| sync_folder(store)).map_err(file)?;
    Ok((copied, aside))
}

/// Migrates the schema of the store at `path`, as every start does; returns its versions
/// before and after.
///
/// # Errors
/// [`OpenError`]. It can be run again after it was killed.
pub fn migrate(path: &Path) -> Result<(u32, u32), OpenError> {
    let path = &existing(path)?;
    let _lock = Lock::take(path)?;
    // Before the first read, which would replay it, and delete it at the end.
    check_own_log(path)?;
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

/// Makes a copy at `to`, which is overwritten, and verifies it.
fn copy(from: &Path, to: &Path, owner: Owner, progress: Progress<'_>) -> Result<Copied, OpenError> {
    // The copy would be a mixture of two stores.
    check_own_log(from)?;
    let database = |error| OpenError::Database(from.to_owned(), error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, flags).map_err(database)?;
    source.busy_timeout(Duration::from_secs(5)).map_err(database)?;
    // One read transaction for the whole copy: otherwise it would start again with each
    // commit of the server, and never complete.
    source.execute_batch("BEGIN").map_err(database)?;
    let version = schema(&source).map_err(|_| OpenError::NotAStore(from.to_owned()))?;
    if version > latest_schema() {
        return Err(OpenError::NewerSchema(from.to_owned()));
    }
    // Removes what an interrupted copy left, or what another user put there to receive
    // the copy: a link, or a file that others can read.
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
    mark_as_backup(&target).map_err(written)?;
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

/// Makes the copy one file without a log beside it, and marks it as a backup.
fn mark_as_backup(copy: &Connection) -> rusqlite::Result<()> {
    copy.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0))?;
    copy.execute("UPDATE authority SET guard = x'', guard_before = NULL", []).map(drop)
}

/// Creates a file that only its owner can read.
fn new_file(path: &Path, owner: Owner) -> io::Result<File> {
    file::create(path, owner).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a file of this name exists and is not overwritten; choose another name",
        ),
        _ => error,
    })
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// The suffixes of a store's files. The log is moved first: a store without its log is noticed by
/// its rollback guard, while a log beside another store would be replayed over that one.
const FILES: [&str; 4] = ["-wal", "-shm", "-journal", ""];

/// The first free path that the files of a store can be moved to; `None` if nothing is to be
/// moved. A log counts without its store, too: a server that was killed leaves one, and SQLite
/// replays it over whatever file has the store's name next.
fn aside(store: &Path) -> io::Result<Option<PathBuf>> {
    if !FILES.iter().any(|suffix| is_kept(store, suffix)) {
        return Ok(None);
    }
    let mut names = (1..).map(|number| with(store, &format!(".replaced-{number}")));
    let is_free = |it: &PathBuf| !FILES.iter().any(|suffix| with(it, suffix).exists());
    names.find(is_free).map(Some).ok_or_else(|| io::ErrorKind::AlreadyExists.into())
}

/// Whether a file of a store is moved aside. An empty store is not: SQLite deletes a log that it
/// finds beside an empty file.
fn is_kept(store: &Path, suffix: &str) -> bool {
    let found = fs::metadata(with(store, suffix));
    found.is_ok_and(|it| !suffix.is_empty() || it.len() > 0)
}

fn move_aside(store: &Path, aside: &Path) -> io::Result<()> {
    for suffix in FILES.iter().filter(|suffix| is_kept(store, suffix)) {
        fs::rename(with(store, suffix), with(aside, suffix))?;
    }
    sync_folder(store)
}
