//! Opening the file: its lock, its schema, its mark and its endings log, and what to
//! tell an operator where one of them says no.

use super::{
    SqliteStore,
    lock::{Fence, Lock, Watch},
    mark::{self, Backwards, Keeper, MarkFile, Own},
    readers::Readers,
    recover,
    writer::{self, Writer},
};
use crate::{
    Error, OnCommit,
    endings::{self, EndingsLog, Line},
    file::Owner,
};
use rusqlite::{Connection, OpenFlags, params};
use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};
use tegata_policy::acts::Form;
use tegata_token::time::UnixTime;

pub(super) mod migrations {
    refinery::embed_migrations!("migrations/sqlite");
}

/// How to open a store.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The public address that tokens name as their issuer.
    pub issuer: String,
    /// Whether it is, or shall be, a store for development.
    pub dev: bool,
    /// The mark that tells whether the store went backwards. Without one nothing
    /// is compared.
    pub mark: Option<MarkFile>,
    /// Where to write whatever a restored backup would wake.
    pub endings_log: Option<PathBuf>,
    /// For tests of power loss and of broken disks.
    #[doc(hidden)]
    pub faults: Faults,
}

/// What a test may break.
#[doc(hidden)]
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// The SQLite VFS to open the file with.
    pub vfs: Option<String>,
    /// Leave commits in the operating system's hands, to show what that loses.
    pub synchronous_off: bool,
}

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
         tegata recover --store sqlite:{store} --replay FILE     (FILE is what serve --endings-log wrote)\n  \
         tegata recover --store sqlite:{store} --end-everything  (all tokens end)\n\
         (the mark: {mark})",
        store = store.display(), mark = mark.display()
    )]
    WentBack {
        /// The store.
        store: PathBuf,
        /// Its mark.
        mark: PathBuf,
        /// How it is known.
        why: Backwards,
    },
    /// The mark's file cannot be used.
    #[error(
        "the store's mark {0}: {1}; if its folder may not be written to, put it elsewhere with --mark-file"
    )]
    Mark(PathBuf, io::Error),
    /// The endings log cannot be used.
    #[error(transparent)]
    Endings(#[from] endings::Error),
    /// It was opened but does not answer.
    #[error(transparent)]
    Store(#[from] Error),
}

/// The first SQLite without the WAL-reset corruption race.
const OLDEST_SQLITE: i32 = 3_051_003;

impl SqliteStore {
    /// Opens the store in `path`, making it if it is not there, and bringing its
    /// schema up to date.
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
        let start = options.mark.as_ref().map(|mark| mark.fresh.to_vec());
        let keeper = options.mark.map(|file| keep_mark(path, &conn, file)).transpose()?;
        let fence = fence(&lock, path, start)?;
        let standing = standing(&conn).map_err(database)?;
        let open = |log: &PathBuf| open_endings(path, log, &standing);
        let (endings, ahead) = options.endings_log.as_ref().map(open).transpose()?.unzip();
        let form = form(&conn, &options.issuer).map_err(database)?;
        let tell = keeper.as_ref().map(|it| Box::new(it.tell()) as writer::Tell);
        let ahead = ahead.unwrap_or_default();
        let writer = Writer::start(conn, fence.clone(), endings, ahead, tell, on_commit)?;
        let watch = Some(Watch::start(fence, &readers, writer.begin_one())?);
        Ok(Self { writer, readers, form, _keeper: keeper, _watch: watch, _lock: lock })
    }

    /// Opens the store in `path`, which must be there, for an act that no server is
    /// needed for. Tokens cannot be issued from it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_for_upkeep(path: &Path, mark: MarkFile) -> std::result::Result<Self, OpenError> {
        let path = &recover::existing(path)?;
        let lock = Lock::take(path)?;
        let (readers, conn) = connect(path, &Faults::default())?;
        let fence = fence(&lock, path, Some(mark.fresh.to_vec()))?;
        let keeper = keep_mark(path, &conn, mark)?;
        let tell: writer::Tell = Box::new(keeper.tell());
        let writer = Writer::start(conn, fence, None, Vec::new(), Some(tell), Box::new(|_| {}))?;
        let form = Form { number: 0, issuer: "".into() };
        Ok(Self { writer, readers, form, _keeper: Some(keeper), _watch: None, _lock: lock })
    }
}

/// Opens the file, whose lock is held: as a store wants it, and its schema up to date.
pub(super) fn connect(
    path: &Path,
    faults: &Faults,
) -> std::result::Result<(Arc<Readers>, Connection), OpenError> {
    let database = |error| OpenError::Database(path.to_owned(), error);
    let readers = Arc::new(Readers::new(path.to_owned(), faults.vfs.clone()));
    let mut conn = readers.connect(OpenFlags::default()).map_err(database)?;
    // Where there can be no shared memory SQLite keeps its old journal, and says no more.
    let set = "PRAGMA journal_mode = WAL";
    let journal: String = conn.query_row(set, [], |row| row.get(0)).map_err(database)?;
    if journal != "wal" {
        return Err(OpenError::NoWal(path.to_owned()));
    }
    let synchronous = if faults.synchronous_off { "OFF" } else { "FULL" };
    conn.execute_batch(&format!(
        "PRAGMA synchronous = {synchronous};
         PRAGMA wal_autocheckpoint = 16000; PRAGMA journal_size_limit = 67108864;
         PRAGMA cache_size = -32768; PRAGMA foreign_keys = ON;"
    ))
    .map_err(database)?;
    // Grouped: all of it in one transaction. One by one, a crash between a change and
    // the note that it was made would leave a store that nobody opens again.
    migrations::migrations::runner()
        .set_grouped(true)
        .run(&mut conn)
        .map_err(|error| OpenError::Schema(path.to_owned(), Box::new(error)))?;
    Ok((readers, conn))
}

/// What the writer compares to notice another process.
pub(super) fn fence(
    lock: &Lock,
    path: &Path,
    start: Option<Vec<u8>>,
) -> std::result::Result<Fence, OpenError> {
    lock.fence(path, start).map_err(|error| OpenError::File(path.to_owned(), error))
}

/// Compares the store with its mark, and keeps the mark from now on.
pub(super) fn keep_mark(
    path: &Path,
    conn: &Connection,
    file: MarkFile,
) -> std::result::Result<Keeper, OpenError> {
    let database = |error| OpenError::Database(path.to_owned(), error);
    mark::check(path, conn, &file.path)?;
    mark::begin(conn, &file).map_err(database)?;
    let reached = mark::renew(conn, &file)?;
    let at = file.path.clone();
    Keeper::start(file, reached).map_err(|error| OpenError::Mark(at, error))
}

/// The version of the schema that this build brings stores to.
pub(super) fn latest_schema() -> u32 {
    let known = migrations::migrations::runner();
    let versions = known.get_migrations().iter().map(|it| it.version());
    versions.max().and_then(|it| u32::try_from(it).ok()).unwrap_or(0)
}

/// What the endings log must know of the store.
pub(super) fn standing(conn: &Connection) -> rusqlite::Result<endings::Standing> {
    let at = conn.query_row("SELECT written_at FROM authority", [], |row| row.get(0))?;
    let own = Own::read(conn)?;
    let owner = conn.path().and_then(|path| Owner::of(Path::new(path)).ok());
    let epoch = own.reached.position.epoch;
    Ok(endings::Standing {
        store: mark::hex(&own.identity),
        last: endings::Commit { epoch, commit: own.reached.commits },
        last_ending: endings::Commit { epoch, commit: own.last_ending },
        at: UnixTime(at),
        owner,
    })
}

/// Opens the endings log of a store that goes on. Answers also what it holds of the
/// one commit that may have been logged and then never have happened.
fn open_endings(
    store: &Path,
    path: &Path,
    standing: &endings::Standing,
) -> std::result::Result<(EndingsLog, Vec<Line>), OpenError> {
    let (log, known) = EndingsLog::open(path, standing)?;
    let last = standing.last;
    let ahead = |it: endings::Commit| (it.epoch, it.commit) > (last.epoch, last.commit + 1);
    if known.is_some_and(ahead) {
        let why = Backwards::BehindEndings;
        return Err(OpenError::WentBack { store: store.into(), mark: path.into(), why });
    }
    let ahead = log.ahead_of(last)?;
    Ok((log, ahead))
}

fn what_is_wrong(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "its folder is not there".to_owned(),
        io::ErrorKind::PermissionDenied => "it or its folder may not be written to".to_owned(),
        _ => error.to_string(),
    }
}

/// The one name of the file, whatever way leads to it: the lock and SQLite's own
/// log go by the name, and two names for one store would be two stores in one file.
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

/// Claims a store that no process uses until the answer is dropped; `None` if one does.
///
/// # Errors
/// [`OpenError`]; the store is not there, for one.
pub fn claim(path: &Path) -> std::result::Result<Option<Lock>, OpenError> {
    match Lock::take(&recover::existing(path)?) {
        Err(OpenError::Locked(_)) => Ok(None),
        claimed => claimed.map(Some),
    }
}

/// Whether the store was made with `--dev`; of a new one, `dev` decides.
fn made_for_dev(conn: &Connection, dev: bool) -> rusqlite::Result<bool> {
    conn.execute("INSERT OR IGNORE INTO authority (id, epoch, dev) VALUES (1, 1, ?1)", [dev])?;
    conn.query_row("SELECT dev FROM authority", [], |row| row.get(0))
}

fn form(conn: &Connection, issuer: &str) -> rusqlite::Result<Form> {
    let values = params![tegata_token::wire::VERSION, issuer];
    conn.execute("INSERT OR IGNORE INTO form (version, issuer) VALUES (?1, ?2)", values)?;
    let sql = "SELECT number FROM form WHERE version = ?1 AND issuer = ?2";
    let number = conn.query_row(sql, values, |row| row.get(0))?;
    Ok(Form { number, issuer: issuer.into() })
}
