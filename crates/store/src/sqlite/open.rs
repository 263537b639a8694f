//! Opens a store: its lock, its schema, its rollback guard and its revocation journal.

use super::{
    Backwards, Faults, OpenError, Others, SqliteStore,
    connect::{connect, existing, fence, one_name, standing},
    guard::{self, GuardWriter, RollbackGuardFile},
    lock::{Lock, Watch},
    recover,
    writer::{self, Redo, Writer},
};
use crate::{
    OnCommit,
    journal::{self, JournalLine, RevocationJournal},
};
use rusqlite::{Connection, params};
use std::path::{Path, PathBuf};
use tegata_policy::acts::Issuer;

/// How to open a store.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The public address that tokens name as their issuer.
    pub issuer: String,
    /// Whether it is, or is created as, a store for development.
    pub dev: bool,
    /// The file that notices an older copy of the store. Without it nothing is compared.
    pub guard: Option<RollbackGuardFile>,
    /// The file of the revocation journal: what a restored backup would lack.
    pub revocation_journal: Option<PathBuf>,
    /// For tests of power loss and of broken disks.
    #[doc(hidden)]
    pub faults: Faults,
}

/// The first SQLite without the WAL-reset corruption race.
const OLDEST_SQLITE: i32 = 3_051_003;

impl SqliteStore {
    /// Opens the store at `path`, creates it if it does not exist, and migrates its
    /// schema.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is left open then.
    pub fn open(
        path: &Path,
        options: Options,
        on_commit: OnCommit,
    ) -> std::result::Result<Self, OpenError> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            return Err(OpenError::SqliteTooOld(rusqlite::version()));
        }
        let path = &one_name(path)?;
        let lock = Lock::take(path)?;
        let database = |error| OpenError::Database(path.to_owned(), error);
        let (readers, conn) = connect(path, &options.faults)?;
        let made_for_dev = made_for_dev(&conn, options.dev).map_err(database)?;
        match (made_for_dev, options.dev) {
            (true, false) => return Err(OpenError::MadeForDevelopment(path.to_owned())),
            (false, true) => return Err(OpenError::NotForDevelopment(path.to_owned())),
            _ => {}
        }
        let start = options.guard.as_ref().map(|guard| guard.fresh.to_vec());
        let guard_writer = options.guard.map(|file| keep_guard(path, &conn, file)).transpose()?;
        let fence = fence(&lock, path, start)?;
        let standing = standing(&conn).map_err(database)?;
        let open = |log: &PathBuf| open_journal(path, log, &standing);
        let (journal, ahead) = options.revocation_journal.as_ref().map(open).transpose()?.unzip();
        let form = form(&conn, &options.issuer).map_err(database)?;
        let tell = guard_writer.as_ref().map(|it| Box::new(it.tell()) as writer::Tell);
        let ahead = ahead.filter(|lines| !lines.is_empty());
        let redo = ahead.map(|lines| Redo { lines, act: recover::redo });
        let writer = Writer::start(conn, fence.clone(), journal, redo, tell, on_commit)?;
        let watch = Some(Watch::start(fence, &readers, writer.begin_one())?);
        let others = options.faults.others;
        Ok(Self {
            writer,
            readers,
            form,
            others,
            _guard_writer: guard_writer,
            _watch: watch,
            _lock: lock,
        })
    }

    /// Opens the store at `path`, which must exist, for an act that needs no server.
    /// Tokens cannot be issued from it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_for_upkeep(
        path: &Path,
        guard: RollbackGuardFile,
    ) -> std::result::Result<Self, OpenError> {
        let path = &existing(path)?;
        let lock = Lock::take(path)?;
        let (readers, conn) = connect(path, &Faults::default())?;
        let fence = fence(&lock, path, Some(guard.fresh.to_vec()))?;
        let guard_writer = keep_guard(path, &conn, guard)?;
        let tell: writer::Tell = Box::new(guard_writer.tell());
        let writer = Writer::start(conn, fence, None, None, Some(tell), Box::new(|_| {}))?;
        let form = Issuer { number: 0, issuer: "".into() };
        Ok(Self {
            writer,
            readers,
            form,
            others: Others::default(),
            _guard_writer: Some(guard_writer),
            _watch: None,
            _lock: lock,
        })
    }
}

/// Compares the store with its rollback guard, and starts to update the guard.
pub(super) fn keep_guard(
    path: &Path,
    conn: &Connection,
    file: RollbackGuardFile,
) -> std::result::Result<GuardWriter, OpenError> {
    let database = |error| OpenError::Database(path.to_owned(), error);
    guard::check(path, conn, &file.path)?;
    guard::begin(conn, &file).map_err(database)?;
    let reached = guard::renew(conn, &file)?;
    let at = file.path.clone();
    GuardWriter::start(file, reached).map_err(|error| OpenError::RollbackGuard(at, error))
}

/// Opens the revocation journal of a store that continues. Also returns the lines of the
/// one commit that may have been written to the journal and then failed.
fn open_journal(
    store: &Path,
    path: &Path,
    standing: &journal::JournalState,
) -> std::result::Result<(RevocationJournal, Vec<JournalLine>), OpenError> {
    let (log, known) = RevocationJournal::open(path, standing)?;
    let last = standing.last;
    let ahead = |it: journal::Commit| (it.epoch, it.commit) > (last.epoch, last.commit + 1);
    if known.is_some_and(ahead) {
        let why = Backwards::BehindJournal;
        return Err(OpenError::WentBack { store: store.into(), guard: path.into(), why });
    }
    let ahead = log.ahead_of(last)?;
    Ok((log, ahead))
}

/// Locks a store until the result is dropped; `None` if another process uses it.
///
/// # Errors
/// [`OpenError`], for example if the store does not exist.
pub fn claim(path: &Path) -> std::result::Result<Option<Lock>, OpenError> {
    match Lock::take(&existing(path)?) {
        Err(OpenError::Locked(_)) => Ok(None),
        claimed => claimed.map(Some),
    }
}

/// Whether the store was created with `--dev`; for a new store `dev` decides.
fn made_for_dev(conn: &Connection, dev: bool) -> rusqlite::Result<bool> {
    conn.execute("INSERT OR IGNORE INTO authority (id, epoch, dev) VALUES (1, 1, ?1)", [dev])?;
    conn.query_row("SELECT dev FROM authority", [], |row| row.get(0))
}

fn form(conn: &Connection, issuer: &str) -> rusqlite::Result<Issuer> {
    let values = params![tegata_token::wire::VERSION, issuer];
    conn.execute("INSERT OR IGNORE INTO form (version, issuer) VALUES (?1, ?2)", values)?;
    let sql = "SELECT number FROM form WHERE version = ?1 AND issuer = ?2";
    let number = conn.query_row(sql, values, |row| row.get(0))?;
    Ok(Issuer { number, issuer: issuer.into() })
}
