//! Opening the file: its lock, its schema, its mark and its endings log, and what to
//! tell an operator where one of them says no.

use super::{
    Backwards, Faults, OpenError, SqliteStore,
    connect::{connect, existing, fence, one_name, standing},
    lock::{Lock, Watch},
    mark::{self, Keeper, MarkFile},
    recover,
    writer::{self, Redo, Writer},
};
use crate::{
    OnCommit,
    endings::{self, EndingsLog, Line},
};
use rusqlite::{Connection, params};
use std::path::{Path, PathBuf};
use tegata_policy::acts::Form;

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
        let ahead = ahead.filter(|lines| !lines.is_empty());
        let redo = ahead.map(|lines| Redo { lines, act: recover::redo });
        let writer = Writer::start(conn, fence.clone(), endings, redo, tell, on_commit)?;
        let watch = Some(Watch::start(fence, &readers, writer.begin_one())?);
        Ok(Self { writer, readers, form, _keeper: keeper, _watch: watch, _lock: lock })
    }

    /// Opens the store in `path`, which must be there, for an act that no server is
    /// needed for. Tokens cannot be issued from it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_for_upkeep(path: &Path, mark: MarkFile) -> std::result::Result<Self, OpenError> {
        let path = &existing(path)?;
        let lock = Lock::take(path)?;
        let (readers, conn) = connect(path, &Faults::default())?;
        let fence = fence(&lock, path, Some(mark.fresh.to_vec()))?;
        let keeper = keep_mark(path, &conn, mark)?;
        let tell: writer::Tell = Box::new(keeper.tell());
        let writer = Writer::start(conn, fence, None, None, Some(tell), Box::new(|_| {}))?;
        let form = Form { number: 0, issuer: "".into() };
        Ok(Self { writer, readers, form, _keeper: Some(keeper), _watch: None, _lock: lock })
    }
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

/// Claims a store that no process uses until the answer is dropped; `None` if one does.
///
/// # Errors
/// [`OpenError`]; the store is not there, for one.
pub fn claim(path: &Path) -> std::result::Result<Option<Lock>, OpenError> {
    match Lock::take(&existing(path)?) {
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
