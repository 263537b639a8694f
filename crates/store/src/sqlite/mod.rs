//! The embedded store: one SQLite file, one process.
//!
//! WAL with `synchronous=FULL`, so that what was acknowledged survives a power
//! loss; one writer that puts many acts into one commit; readers on connections
//! of their own; a lock beside the file that refuses a second process.

mod admin;
mod audit;
mod backup;
mod end;
mod issue;
mod look;
mod mark;
mod provider_end;
mod read;
mod readers;
mod recover;
mod rows;
mod sweep;
mod warnings;
mod writer;

use crate::{
    AuditHead, AuditRow, Batch, By, ChannelPatch, DueWarning, Ended, Ending, Error, Event,
    GroupPatch, GroupRow, Holding, Issued, NewChannel, NewWarning, OnCommit, Page, Provider,
    ProviderEnd, Result, RowId, Sealed, SigningKeyChange, State, Store, TokenFilter, TokenName,
    TokenRow,
    audit::{Report, Seal, Verifier},
    endings::{self, EndingsLog, Line},
    figures::Figures,
};
pub use audit::AuditFile;
pub use backup::{Copied, Progress, backup, migrate, restore};
pub use look::{Look, LookError, Standing as Looked};
pub(crate) use mark::sync_folder;
pub use mark::{Backwards, MarkFile};
pub use recover::{Recovered, Recovering, Recovery};

use async_trait::async_trait;
use mark::{Keeper, Own};
use readers::{For, Readers};
use rows::unavailable;
use rusqlite::{Connection, OpenFlags, params};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, Position, ProviderId, Serial, SigningKeyId, TokenId},
    policy::{Channel, ChannelState, Grant, GroupSettings, RegisteredKey},
    secret::HashedSecret,
    time::UnixTime,
    view::Entry,
};
use writer::{Tx, Writer};

mod migrations {
    refinery::embed_migrations!("migrations/sqlite");
}

/// A store in one SQLite file.
pub struct SqliteStore {
    writer: Writer,
    readers: Arc<Readers>,
    form: issue::Form,
    // Behind the writer, so that the mark says what the writer did last.
    _keeper: Option<Keeper>,
    // Held as long as the store is: dropped last, after the writer has ended.
    _lock: File,
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
        let lock = lock(path)?;
        let database = |error| OpenError::Database(path.to_owned(), error);
        let (readers, conn) = connect(path, &options.faults)?;
        let made_for_dev = made_for_dev(&conn, options.dev).map_err(database)?;
        match (made_for_dev, options.dev) {
            (true, false) => return Err(OpenError::MadeForDevelopment(path.to_owned())),
            (false, true) => return Err(OpenError::NotForDevelopment(path.to_owned())),
            _ => {}
        }
        let keeper = options.mark.map(|file| keep_mark(path, &conn, file)).transpose()?;
        let standing = standing(&conn).map_err(database)?;
        let open = |log: &PathBuf| open_endings(path, log, &standing);
        let (endings, ahead) = options.endings_log.as_ref().map(open).transpose()?.unzip();
        let form = form(&conn, &options.issuer).map_err(database)?;
        let tell = keeper.as_ref().map(|it| Box::new(it.tell()) as writer::Tell);
        let writer = Writer::start(conn, endings, ahead.unwrap_or_default(), tell, on_commit)?;
        Ok(Self { writer, readers, form, _keeper: keeper, _lock: lock })
    }
    /// Opens the store in `path`, which must be there, for an act that no server is
    /// needed for. Tokens cannot be issued from it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_for_upkeep(path: &Path, mark: MarkFile) -> std::result::Result<Self, OpenError> {
        let path = &recover::existing(path)?;
        let lock = lock(path)?;
        let (readers, conn) = connect(path, &Faults::default())?;
        let keeper = keep_mark(path, &conn, mark)?;
        let tell: writer::Tell = Box::new(keeper.tell());
        let writer = Writer::start(conn, None, Vec::new(), Some(tell), Box::new(|_| {}))?;
        let form = issue::Form { number: 0, issuer: "".into() };
        Ok(Self { writer, readers, form, _keeper: Some(keeper), _lock: lock })
    }

    /// What a request for a token waits for.
    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.readers.ask(For::Request, question).await
    }

    /// What people and jobs look through.
    async fn list<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.readers.ask(For::List, question).await
    }

    /// An act of `by`, at their time.
    async fn act<T: Send + 'static>(
        &self,
        by: By,
        mut act: impl FnMut(&mut Tx<'_>, &By) -> Result<T> + Send + 'static,
    ) -> Result<(T, Position)> {
        self.writer.act(by.at, move |tx| act(tx, &by)).await
    }
}

/// Opens the file, whose lock is held: as a store wants it, and its schema up to date.
fn connect(
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

/// Compares the store with its mark, and keeps the mark from now on.
fn keep_mark(
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
fn latest_schema() -> u32 {
    let known = migrations::migrations::runner();
    let versions = known.get_migrations().iter().map(|it| it.version());
    versions.max().and_then(|it| u32::try_from(it).ok()).unwrap_or(0)
}

/// What the endings log must know of the store.
fn standing(conn: &Connection) -> rusqlite::Result<endings::Standing> {
    let at = conn.query_row("SELECT written_at FROM authority", [], |row| row.get(0))?;
    let own = Own::read(conn)?;
    let epoch = own.reached.position.epoch;
    Ok(endings::Standing {
        store: mark::hex(&own.identity),
        last: endings::Commit { epoch, commit: own.reached.commits },
        last_ending: endings::Commit { epoch, commit: own.last_ending },
        at: UnixTime(at),
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
fn one_name(path: &Path) -> std::result::Result<PathBuf, OpenError> {
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

/// Takes the lock beside the file. The file itself is not touched: closing any
/// handle of it would drop SQLite's own locks (POSIX advisory locks belong to
/// the process, not to the handle).
fn lock(path: &Path) -> std::result::Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    // Of the store, which is what the operator knows about.
    let file = |error| OpenError::File(path.to_owned(), error);
    let mut open = OpenOptions::new();
    let lock =
        open.create(true).truncate(false).write(true).mode(0o600).open(&name).map_err(file)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::Locked(path.to_owned())),
        Err(TryLockError::Error(error)) => return Err(file(error)),
    }
    // Under the lock, and before SQLite opens it: nobody but the owner reads it.
    let mut open = OpenOptions::new();
    match open.create_new(true).write(true).mode(0o600).open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(file(error)),
    }
    Ok(lock)
}

/// Whether the store was made with `--dev`; of a new one, `dev` decides.
fn made_for_dev(conn: &Connection, dev: bool) -> rusqlite::Result<bool> {
    conn.execute("INSERT OR IGNORE INTO authority (id, epoch, dev) VALUES (1, 1, ?1)", [dev])?;
    conn.query_row("SELECT dev FROM authority", [], |row| row.get(0))
}

fn form(conn: &Connection, issuer: &str) -> rusqlite::Result<issue::Form> {
    let values = params![tegata_token::wire::VERSION, issuer];
    conn.execute("INSERT OR IGNORE INTO form (version, issuer) VALUES (?1, ?2)", values)?;
    let sql = "SELECT number FROM form WHERE version = ?1 AND issuer = ?2";
    let number = conn.query_row(sql, values, |row| row.get(0))?;
    Ok(issue::Form { number, issuer: issuer.into() })
}

/// An answer of the store may take this long; then it is unknown. Short enough for
/// a server that is told to stop meanwhile, and long for any disk that works.
const PATIENCE: Duration = Duration::from_secs(8);

#[async_trait]
impl Store for SqliteStore {
    async fn state(&self) -> Result<State> {
        self.read(read::state).await
    }

    async fn channel(&self, id: ChannelId) -> Result<Option<Channel>> {
        let found = self
            .read(move |conn| {
                // One transaction: row, keys and groups are one snapshot.
                let tx = conn.transaction().map_err(unavailable)?;
                rows::channel_by_id(&tx, id).map_err(unavailable)
            })
            .await?;
        Ok(found.filter(|channel| channel.state != ChannelState::Deleted))
    }

    async fn providers(&self, page: Page) -> Result<Vec<(RowId, Provider)>> {
        self.list(move |conn| read::providers(conn, page).map_err(unavailable)).await
    }

    async fn channels(&self, provider: ProviderId, page: Page) -> Result<Vec<(RowId, Channel)>> {
        self.list(move |conn| {
            if !read::has_provider(conn, provider).map_err(unavailable)? {
                return Err(Error::NotFound("provider"));
            }
            read::channels(conn, provider, page).map_err(unavailable)
        })
        .await
    }

    async fn groups(&self, channel: ChannelId, now: UnixTime) -> Result<Vec<GroupRow>> {
        let channel = self.channel(channel).await?.ok_or(Error::NotFound("channel"))?;
        self.list(move |conn| read::groups(conn, &channel, now).map_err(unavailable)).await
    }

    async fn tokens(
        &self,
        channel: ChannelId,
        filter: TokenFilter,
        page: Page,
        now: UnixTime,
    ) -> Result<Vec<(RowId, TokenRow)>> {
        self.list(move |conn| read::tokens(conn, channel, &filter, page, now).map_err(unavailable))
            .await
    }

    async fn token(
        &self,
        channel: ChannelId,
        name: TokenName,
        now: UnixTime,
    ) -> Result<Option<TokenRow>> {
        self.read(move |conn| read::token(conn, channel, name, now).map_err(unavailable)).await
    }

    async fn live_v21(
        &self,
        channel: ChannelId,
        group: Option<Group>,
        now: UnixTime,
    ) -> Result<Vec<TokenId>> {
        self.read(move |conn| {
            read::live_v21(conn, channel, group.as_ref(), now).map_err(unavailable)
        })
        .await
    }

    async fn signed_by(&self, keys: Vec<SigningKeyId>, now: UnixTime) -> Result<usize> {
        self.list(move |conn| read::signed_by(conn, &keys, now).map_err(unavailable)).await
    }

    async fn audit(&self, channel: Option<ChannelId>, page: Page) -> Result<Vec<AuditRow>> {
        self.list(move |conn| read::audit(conn, channel, page).map_err(unavailable)).await
    }

    async fn changes(
        &self,
        after: Position,
        most: usize,
    ) -> Result<Option<Vec<(Position, Entry)>>> {
        self.read(move |conn| read::changes(conn, after, most).map_err(unavailable)).await
    }

    async fn holdings(
        &self,
        after: Option<ChannelId>,
        most: usize,
        now: UnixTime,
    ) -> Result<Vec<Holding>> {
        self.list(move |conn| warnings::holdings(conn, after, most, now).map_err(unavailable)).await
    }

    async fn holding(&self, id: ChannelId, now: UnixTime) -> Result<Option<Holding>> {
        self.list(move |conn| warnings::holding(conn, id, now).map_err(unavailable)).await
    }

    async fn due_warnings(&self, most: usize, now: UnixTime) -> Result<Vec<DueWarning>> {
        self.list(move |conn| warnings::due(conn, most, now).map_err(unavailable)).await
    }

    async fn is_writable(&self) -> Result<()> {
        self.writer.act(UnixTime(0), |_| Ok(())).await.map(drop)
    }

    async fn logs_endings(&self) -> Result<bool> {
        self.writer.act(UnixTime(0), |tx| tx.try_endings_log()).await.map(|(logs, _)| logs)
    }

    fn figures(&self) -> Arc<Figures> {
        self.writer.figures.clone()
    }

    fn waiting(&self) -> usize {
        self.writer.waiting()
    }

    async fn stopped(&self) {
        self.writer.stopped().await;
    }

    async fn issue(
        &self,
        grant: Grant,
        id: TokenId,
        now: UnixTime,
        by: Option<By>,
    ) -> Result<Issued> {
        let form = self.form.clone();
        let act = move |tx: &mut Tx<'_>| issue::issue(tx, &grant, id, &form, by.as_ref());
        self.writer.act(now, act).await.map(|(issued, _)| issued)
    }

    async fn take_assertion(&self, grant: Grant, now: UnixTime) -> Result<Grant> {
        let act = move |tx: &mut Tx<'_>| issue::take_for_stateless(tx, &grant);
        self.writer.act(now, act).await.map(|(grant, _)| grant)
    }

    async fn end(
        &self,
        channel: ChannelId,
        ending: Ending,
        dry_run: bool,
        by: By,
    ) -> Result<Ended> {
        self.act(by, move |tx, by| end::end(tx, channel, &ending, dry_run, by)).await.map(ended)
    }

    async fn create_provider(&self, id: ProviderId, name: String, by: By) -> Result<Provider> {
        let act = move |tx: &mut Tx<'_>, by: &By| admin::create_provider(tx, id, &name, by);
        self.act(by, act).await.map(|(provider, _)| provider)
    }

    async fn create_channel(&self, channel: NewChannel, by: By) -> Result<Channel> {
        let act = move |tx: &mut Tx<'_>, by: &By| admin::create_channel(tx, &channel, by);
        self.act(by, act).await.map(|(channel, _)| channel)
    }

    async fn change_channel(&self, id: ChannelId, patch: ChannelPatch, by: By) -> Result<Channel> {
        let act = move |tx: &mut Tx<'_>, by: &By| admin::change_channel(tx, id, &patch, by);
        self.act(by, act).await.map(|(channel, _)| channel)
    }

    async fn replace_secret(
        &self,
        id: ChannelId,
        secret: HashedSecret,
        keep_previous: i64,
        revoke_tokens: bool,
        by: By,
    ) -> Result<UnixTime> {
        self.act(by, move |tx, by| {
            admin::replace_secret(tx, id, secret, keep_previous, revoke_tokens, by)
        })
        .await
        .map(|(until, _)| until)
    }

    async fn register_key(&self, channel: ChannelId, key: RegisteredKey, by: By) -> Result<()> {
        let act = move |tx: &mut Tx<'_>, by: &By| admin::register_key(tx, channel, &key, by);
        self.act(by, act).await.map(drop)
    }

    async fn delete_key(
        &self,
        channel: ChannelId,
        key: AssertionKeyId,
        revoke_tokens: bool,
        by: By,
    ) -> Result<Ended> {
        self.act(by, move |tx, by| admin::delete_key(tx, channel, key, revoke_tokens, by))
            .await
            .map(ended)
    }

    async fn set_group(
        &self,
        channel: ChannelId,
        group: Group,
        patch: GroupPatch,
        by: By,
    ) -> Result<GroupSettings> {
        self.act(by, move |tx, by| admin::set_group(tx, channel, &group, &patch, by))
            .await
            .map(|(settings, _)| settings)
    }

    async fn delete_group(&self, channel: ChannelId, group: Group, by: By) -> Result<Ended> {
        self.act(by, move |tx, by| admin::delete_group(tx, channel, &group, by)).await.map(ended)
    }

    async fn change_signing_keys(&self, change: SigningKeyChange, by: By) -> Result<Ended> {
        let act = move |tx: &mut Tx<'_>, by: &By| {
            admin::change_signing_keys(tx, &change, by).map(|removed| (removed, tx.now))
        };
        let ((removed, now), position) = self.act(by, act).await?;
        // Counted afterwards and beside the writer: there may be millions.
        Ok(Ended { tokens: self.signed_by(removed, now).await?, position })
    }

    async fn record(&self, event: Event, by: By) -> Result<()> {
        self.act(by, move |tx, by| {
            let Event { act, provider, channel, detail } = &event;
            audit::write(tx, by, act, *provider, *channel, detail.clone())
        })
        .await
        .map(drop)
    }

    async fn reseal(&self, keys: Vec<(SigningKeyId, Sealed)>, by: By) -> Result<()> {
        self.act(by, move |tx, by| admin::reseal(tx, &keys, by)).await.map(drop)
    }

    async fn audit_row(&self, id: RowId) -> Result<Option<AuditRow>> {
        self.read(move |conn| {
            let page = Page { before: Some(id.saturating_add(1)), most: 1 };
            let found = read::audit(conn, None, page).map_err(unavailable)?;
            Ok(found.into_iter().find(|row| row.id == id))
        })
        .await
    }

    async fn state_act(&self, channel: ChannelId) -> Result<Option<RowId>> {
        self.read(move |conn| read::state_act(conn, channel).map_err(unavailable)).await
    }

    async fn audit_head(&self) -> Result<AuditHead> {
        self.read(|conn| audit::head(conn).map_err(unavailable)).await
    }

    async fn audit_batch(&self, behind: (u64, RowId), most: usize) -> Result<Batch> {
        self.read(move |conn| audit::batch(conn, behind, most).map_err(unavailable)).await
    }

    async fn verify_audit(&self, verifier: Verifier) -> Result<Report> {
        self.readers.ask(For::Walk, |conn| Ok(audit::walk(conn, verifier))).await
    }

    async fn audit_expired(&self, from: u64, before: UnixTime) -> Result<Option<u64>> {
        self.read(move |conn| audit::expired(conn, from, before).map_err(unavailable)).await
    }

    async fn audit_key(&self) -> Result<Option<([u8; 32], Sealed)>> {
        self.read(|conn| audit::key(conn).map_err(unavailable)).await
    }

    async fn set_audit_key(&self, public: [u8; 32], sealed: Sealed) -> Result<()> {
        let act = move |tx: &mut Tx<'_>| audit::set_key(tx, public, &sealed);
        self.writer.act(UnixTime(0), act).await.map(drop)
    }

    async fn seal_audit(&self, seal: Seal) -> Result<()> {
        let act = move |tx: &mut Tx<'_>| audit::add_seal(tx, &seal);
        self.writer.act(UnixTime(0), act).await.map(drop)
    }

    async fn expire_audit(&self, kept_from: u64, most: usize) -> Result<usize> {
        let act = move |tx: &mut Tx<'_>| audit::expire(tx, kept_from, most);
        self.writer.act(UnixTime(0), act).await.map(|(gone, _)| gone)
    }

    async fn ended_before(
        &self,
        after: RowId,
        before: UnixTime,
        most: usize,
    ) -> Result<(Vec<RowId>, Option<RowId>)> {
        self.list(move |conn| sweep::find(conn, after, before, most).map_err(unavailable)).await
    }

    async fn sweep(&self, tokens: Vec<RowId>, before: UnixTime) -> Result<usize> {
        let act = move |tx: &mut Tx<'_>| sweep::delete(tx, &tokens, before);
        self.writer.act(UnixTime(0), act).await.map(|(gone, _)| gone)
    }

    async fn begin_provider_end(&self, provider: ProviderId, by: By) -> Result<RowId> {
        let act = move |tx: &mut Tx<'_>, by: &By| provider_end::begin(tx, provider, by);
        self.act(by, act).await.map(|(job, _)| job)
    }

    async fn go_on_with_provider_end(
        &self,
        job: RowId,
        most: usize,
        now: UnixTime,
    ) -> Result<(Ended, bool)> {
        let act = move |tx: &mut Tx<'_>| provider_end::go_on(tx, job, most);
        self.writer.act(now, act).await.map(|(done, _)| done)
    }

    async fn provider_ends(&self) -> Result<Vec<ProviderEnd>> {
        self.read(|conn| provider_end::all(conn).map_err(unavailable)).await
    }

    async fn stamp_used(&self, stamps: Vec<(ChannelId, Serial, UnixTime)>) -> Result<()> {
        self.writer
            .act(UnixTime(0), move |tx| {
                // A row is in one of two indexes: what lives, and what has ended since.
                let update = |past| {
                    let sql = format!(
                        "UPDATE token SET last_used_at = max(coalesce(last_used_at, 0), ?3)
                         WHERE channel = ?1 AND serial = ?2 AND past = {past}"
                    );
                    tx.conn.prepare_cached(&sql).map_err(unavailable)
                };
                let (mut live, mut past) = (update(0)?, update(1)?);
                for &(channel, serial, at) in &stamps {
                    let values = (channel.number(), serial.0, at.0);
                    if live.execute(values).map_err(unavailable)? == 0 {
                        past.execute(values).map_err(unavailable)?;
                    }
                }
                Ok(())
            })
            .await
            .map(drop)
    }

    async fn stamp_keys(&self, stamps: Vec<(AssertionKeyId, UnixTime)>) -> Result<()> {
        let act =
            move |tx: &mut Tx<'_>| warnings::stamp_keys(tx.conn, &stamps).map_err(unavailable);
        self.writer.act(UnixTime(0), act).await.map(drop)
    }

    async fn stamp_secrets(&self, stamps: Vec<(ChannelId, HashedSecret, UnixTime)>) -> Result<()> {
        let act =
            move |tx: &mut Tx<'_>| warnings::stamp_secrets(tx.conn, &stamps).map_err(unavailable);
        self.writer.act(UnixTime(0), act).await.map(drop)
    }

    async fn queue_warnings(&self, warnings: Vec<NewWarning>, now: UnixTime) -> Result<usize> {
        let act =
            move |tx: &mut Tx<'_>| warnings::queue(tx.conn, &warnings, tx.now).map_err(unavailable);
        self.writer.act(now, act).await.map(|(new, _)| new)
    }

    async fn warning_tried(&self, number: RowId, next: Option<UnixTime>) -> Result<()> {
        let act =
            move |tx: &mut Tx<'_>| warnings::tried(tx.conn, number, next).map_err(unavailable);
        self.writer.act(UnixTime(0), act).await.map(drop)
    }

    async fn forget(&self, channels: usize, now: UnixTime) -> Result<usize> {
        self.writer.act(now, move |tx| end::forget(tx, channels)).await.map(|(gone, _)| gone)
    }

    async fn trim(&self, most: usize, now: UnixTime) -> Result<usize> {
        self.writer.act(now, move |tx| end::trim(tx, most)).await.map(|(gone, _)| gone)
    }

    async fn advance_clock(&self, seconds: i64) -> Result<i64> {
        let act = move |tx: &mut Tx<'_>| {
            let sql =
                "UPDATE authority SET clock_offset = clock_offset + ?1 RETURNING clock_offset";
            tx.conn
                .prepare_cached(sql)
                .and_then(|mut update| update.query_row([seconds], |row| row.get(0)))
                .map_err(unavailable)
        };
        self.writer.act(UnixTime(0), act).await.map(|(offset, _)| offset)
    }
}

fn ended((tokens, position): (usize, Position)) -> Ended {
    Ended { tokens, position }
}
