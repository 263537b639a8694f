//! The rollback guard: a small file outside the database that records how far the store
//! had come, so that an older copy (restored, or copied back by hand) is noticed before
//! it makes a revoked token active again.
//!
//! The file is never ahead of the store, and at most a second behind it. A number drawn
//! at each start is in both, so that a copy from before the last start is noticed at
//! once. The store is written first and remembers the file's previous number; a crash
//! between the two writes causes no false alarm.

use super::{Backwards, OpenError};
use crate::file::{self, Owner};
use data_encoding::HEXLOWER;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};
use tegata_token::id::Position;

/// The path of the rollback guard, and 16 fresh random bytes for this start.
#[derive(Debug, Clone)]
pub struct RollbackGuardFile {
    /// The file.
    pub path: PathBuf,
    /// The random bytes.
    pub fresh: [u8; 16],
}

/// How far a store has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reached {
    pub position: Position,
    pub commits: u64,
}

/// The content of the file.
#[derive(Serialize, Deserialize)]
struct RollbackGuard {
    epoch: u64,
    position: u64,
    commits: u64,
    start: String,
}

/// What the store records about itself.
pub(super) struct Own {
    pub reached: Reached,
    /// Empty before the first start with a rollback guard.
    pub identity: Vec<u8>,
    guard: Option<Vec<u8>>,
    before: Option<Vec<u8>>,
    /// The last commit with a line in the revocation journal.
    pub last_revocation: u64,
}

impl Own {
    pub fn read(conn: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT epoch, position, commits, identity, guard, guard_before, last_revocation
                   FROM authority";
        conn.query_row(sql, [], |row| {
            let position = Position { epoch: row.get(0)?, number: row.get(1)? };
            let guard: Option<Vec<u8>> = row.get(4)?;
            let guard = match guard.as_deref().map(|it| it.strip_prefix(MOVED)) {
                // It never had a server with a guard.
                Some(Some([])) => None,
                Some(Some(start)) => Some(start.to_vec()),
                _ => guard,
            };
            Ok(Self {
                reached: Reached { position, commits: row.get(2)? },
                identity: row.get::<_, Option<_>>(3)?.unwrap_or_default(),
                guard,
                before: row.get(5)?,
                last_revocation: row.get(6)?,
            })
        })
    }

    fn compare(&self, guard: Option<&RollbackGuard>) -> Result<(), Backwards> {
        let own = match (&self.guard, guard) {
            (None, None) => return Ok(()),
            (None, Some(_)) => return Err(Backwards::Unguarded),
            (Some(own), _) if own.is_empty() => return Err(Backwards::Backup),
            // The very first guard file was being written.
            (Some(_), None) if self.before.as_ref().is_some_and(Vec::is_empty) => return Ok(()),
            (Some(_), None) => return Err(Backwards::NoRollbackGuard),
            (Some(own), Some(_)) => own,
        };
        let Some(guard) = guard else { return Ok(()) };
        let is = |bytes: &Vec<u8>| !bytes.is_empty() && hex(bytes) == guard.start;
        if !is(own) && !self.before.as_ref().is_some_and(is) {
            return Err(Backwards::OtherStart);
        }
        let Reached { position, commits } = self.reached;
        if (position.epoch, commits) < (guard.epoch, guard.commits)
            || (position.epoch == guard.epoch && position.number < guard.position)
        {
            return Err(Backwards::Behind { commits, guarded: guard.commits });
        }
        Ok(())
    }
}

/// Verifies that the store continues from the state that the guard `file` records.
///
/// # Errors
/// [`OpenError::WentBack`], or one of the two cannot be read.
pub(super) fn check(store: &Path, conn: &Connection, file: &Path) -> Result<(), OpenError> {
    check_not_moved(store, conn)?;
    check_marked(store, conn, file)
}

/// The same of a store that may be marked as moved.
pub(super) fn check_marked(store: &Path, conn: &Connection, file: &Path) -> Result<(), OpenError> {
    // The file is read first: a store that is written meanwhile is only further ahead of
    // it.
    let guard = read(store, file)?;
    let own = Own::read(conn).map_err(|error| OpenError::Database(store.into(), error))?;
    let back = |why| OpenError::WentBack { store: store.into(), guard: file.into(), why };
    own.compare(guard.as_ref()).map_err(back)
}

fn read(store: &Path, file: &Path) -> Result<Option<RollbackGuard>, OpenError> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(OpenError::RollbackGuard(file.to_owned(), error)),
    };
    let why = Backwards::BadRollbackGuard;
    serde_json::from_str(&text).map(Some).map_err(|_| OpenError::WentBack {
        store: store.into(),
        guard: file.into(),
        why,
    })
}

/// What stands before a store's number once it was moved to another database.
const MOVED: &[u8] = b"moved:";

/// Verifies that a store was not moved to another database.
///
/// # Errors
/// [`OpenError::Moved`].
pub(super) fn check_not_moved(store: &Path, conn: &Connection) -> Result<(), OpenError> {
    let sql = "SELECT 1 FROM authority WHERE substr(guard, 1, 6) = ?1";
    let moved = conn.prepare(sql).and_then(|mut query| query.exists([MOVED]));
    match moved.map_err(|error| OpenError::Database(store.into(), error))? {
        true => Err(OpenError::Moved(store.into())),
        false => Ok(()),
    }
}

/// Makes `fresh` the identity of a store that has none.
pub(super) fn identify(conn: &Connection, fresh: &[u8; 16]) -> rusqlite::Result<()> {
    conn.execute("UPDATE authority SET identity = coalesce(identity, ?1)", [fresh]).map(drop)
}

/// Marks a store as moved; its number is kept.
pub(super) fn mark(conn: &Connection) -> rusqlite::Result<()> {
    let start: Option<Vec<u8>> =
        conn.query_row("SELECT guard FROM authority", [], |row| row.get(0))?;
    let start = start.unwrap_or_default();
    if start.starts_with(MOVED) {
        return Ok(());
    }
    conn.execute("UPDATE authority SET guard = ?1", [[MOVED, &start].concat()]).map(drop)
}

/// Takes the mark away; `false`: there was none.
pub(super) fn unmark(conn: &Connection) -> rusqlite::Result<bool> {
    let sql = "UPDATE authority SET guard = nullif(substr(guard, 7), x'')
               WHERE substr(guard, 1, 6) = ?1";
    conn.execute(sql, [MOVED]).map(|changed| changed > 0)
}

/// The epoch in the guard file; 0 if it cannot be read.
pub(super) fn epoch(file: &Path) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    serde_json::from_str::<RollbackGuard>(&text).map_or(0, |it| it.epoch)
}

/// The number that the store's last start drew, if any did.
pub(super) fn start(conn: &Connection) -> rusqlite::Result<Option<Vec<u8>>> {
    Own::read(conn).map(|own| own.guard)
}

/// Writes a new number into the store. The guard file must be renewed after it.
pub(super) fn begin(conn: &Connection, file: &RollbackGuardFile) -> rusqlite::Result<()> {
    // The number in an unreadable guard file never matters again.
    let text = std::fs::read_to_string(&file.path).unwrap_or_default();
    let before =
        serde_json::from_str::<RollbackGuard>(&text).map_or(Vec::new(), |it| bytes(&it.start));
    let sql =
        "UPDATE authority SET identity = coalesce(identity, ?1), guard = ?1, guard_before = ?2";
    conn.execute(sql, (&file.fresh[..], before)).map(drop)
}

/// Writes the guard file, and removes its previous number from the store.
pub(super) fn renew(conn: &Connection, file: &RollbackGuardFile) -> Result<Reached, OpenError> {
    let database = |error| OpenError::Database(file.path.clone(), error);
    let reached = Own::read(conn).map_err(database)?.reached;
    let store = conn.path().map_or(file.path.as_path(), Path::new);
    Owner::of(store)
        .and_then(|owner| write(file, reached, owner))
        .map_err(|error| OpenError::RollbackGuard(file.path.clone(), error))?;
    conn.execute("UPDATE authority SET guard_before = NULL", []).map_err(database)?;
    Ok(reached)
}

fn write(file: &RollbackGuardFile, reached: Reached, owner: Owner) -> io::Result<()> {
    let Reached { position, commits } = reached;
    let start = hex(&file.fresh);
    let guard = RollbackGuard { epoch: position.epoch, position: position.number, commits, start };
    let text = serde_json::to_string(&guard)? + "\n";
    file::replace(&file.path, text.as_bytes(), owner)
}

/// A number drawn at a start, as the guard file and the revocation journal spell it.
pub(super) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// The bytes that [`hex`] spells; empty if the text is not hex digits.
pub(super) fn bytes(hex: &str) -> Vec<u8> {
    HEXLOWER.decode(hex.as_bytes()).unwrap_or_default()
}

/// Updates the guard file after commits, on its own thread, so that no commit waits for
/// it. Dropped after the writer, it writes the file a last time.
pub(super) struct GuardWriter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    latest: Mutex<Latest>,
    changed: Condvar,
}

#[derive(Default)]
struct Latest {
    reached: Reached,
    over: bool,
    /// Whether the thread waits for a commit.
    waits: bool,
}

/// Pause between two writes of the guard file; with the write itself, less than a second.
const PAUSE: Duration = Duration::from_millis(500);

impl GuardWriter {
    /// Starts from `reached`, which the file records already.
    pub fn start(file: RollbackGuardFile, reached: Reached) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        shared.latest().reached = reached;
        let followed = shared.clone();
        let thread = std::thread::Builder::new()
            .name("tegata-mark".into())
            .spawn(move || followed.follow(&file, reached))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// The function to call with each commit.
    pub fn tell(&self) -> impl Fn(Reached) + Send + 'static {
        let shared = self.shared.clone();
        move |reached| {
            let mut latest = shared.latest();
            latest.reached = reached;
            let waits = latest.waits;
            drop(latest);
            // Not during a pause, after which the thread looks by itself.
            if waits {
                shared.changed.notify_one();
            }
        }
    }
}

impl Shared {
    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(&self, file: &RollbackGuardFile, mut written: Reached) {
        let mut failing = false;
        loop {
            let latest = self
                .changed
                .wait_while(self.latest(), |it| {
                    it.waits = it.reached == written && !it.over;
                    it.waits
                })
                .unwrap_or_else(PoisonError::into_inner);
            let (reached, over) = (latest.reached, latest.over);
            drop(latest);
            if reached != written {
                let written_now =
                    Owner::of(&file.path).and_then(|owner| write(file, reached, owner));
                match written_now {
                    Ok(()) => (written, failing) = (reached, false),
                    Err(error) => {
                        if !failing {
                            tracing::error!(%error, guard = %file.path.display(),
                                "the rollback guard cannot be written; a restore might go unnoticed");
                        }
                        failing = true;
                    }
                }
            }
            if over {
                return;
            }
            let pause = self.changed.wait_timeout_while(self.latest(), PAUSE, |it| !it.over);
            drop(pause.unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl Drop for GuardWriter {
    fn drop(&mut self) {
        self.shared.latest().over = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // The thread logged its own panic.
            drop(thread.join());
        }
    }
}
