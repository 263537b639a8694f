//! Opens a store: its schema, its identity, its rollback guard, and this server's place
//! among those that share it.

use super::{
    PostgresStore,
    acknowledgements::Acknowledgements,
    boot_clock::Moment,
    connect::{Address, Client, Conn},
    failed::{Failed, within},
    follow::Follower,
    guard::{self, GuardFile, Reached},
    journal::Journal,
    memory::Memory,
    migrations::{self, failed},
    open_error::PostgresOpenError,
    plant::{Plant, Planted},
    primary::{STEP, writable},
    queue::{Queue, Worker},
    readers::Readers,
    renewals::Renewals,
    replicas::{self, Own},
    rows::int,
    shared::Shared,
    sql::values,
    transaction::Ground,
    two_addresses,
    version::Version,
    wake, went_back,
};
use crate::{
    OnCommit,
    columns::{Columns, bytes},
};
use futures_util::FutureExt;
use std::{
    collections::BTreeMap,
    io,
    panic::AssertUnwindSafe,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tegata_policy::acts::Issuer;
use tegata_token::id::Position;
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

/// How to open a store.
#[derive(Clone, Default)]
pub struct PostgresOptions {
    /// The database's address, `postgres://…`; it may lead to a pooler.
    pub url: String,
    /// An address that leads to the database itself, if `url` leads to a pooler: for the
    /// schema's changes, and for notifications.
    pub direct: Option<String>,
    /// The public address that tokens name as their issuer.
    pub issuer: String,
    /// Whether it is, or is created as, a store for development.
    pub dev: bool,
    /// Where this server listens, for people who ask which servers there are.
    pub address: Option<String>,
    /// The file that notices an older state of the database. Without it nothing is compared.
    pub guard: Option<PathBuf>,
    /// The revocation journal's file, if this server keeps one.
    pub journal: Option<PathBuf>,
    /// A bug that a test plants.
    #[doc(hidden)]
    pub plant: Option<Plant>,
}

impl std::fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The addresses may hold the password.
        f.debug_struct("PostgresOptions").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// Maximum time of the schema's migrations, which may rewrite tables.
const MIGRATION: Duration = Duration::from_secs(600);
/// How often a step that met another transaction runs again.
const AGAIN: usize = 8;
/// How many transactions run at once.
const WORKERS: usize = 4;

/// What a database says of itself.
struct Standing {
    identity: Vec<u8>,
    dev: bool,
}

/// What a store starts with.
struct Start {
    address: Address,
    direct: Address,
    form: Issuer,
    own: Own,
    reached: Reached,
    planted: Planted,
}

impl PostgresStore {
    /// Opens the store in a database, makes its schema if there is none, and begins to follow
    /// its log: `on_commit` is called with what any server commits.
    ///
    /// # Errors
    /// [`PostgresOpenError`].
    pub async fn open(
        options: PostgresOptions,
        on_commit: OnCommit,
    ) -> Result<Self, PostgresOpenError> {
        let address = Address::parse(&options.url)?;
        let direct =
            options.direct.as_deref().map_or_else(|| Ok(address.clone()), Address::parse)?;
        let conn = direct.connect_first().await.map_err(failed)?;
        let opened = Self::open_on(&conn, (address, direct), options, on_commit).await;
        if opened.is_err() {
            // This process ends, and a statement that waits for a standby would not.
            conn.give_up().await;
        }
        opened
    }

    /// Opens the store by a connection to the second of its addresses.
    async fn open_on(
        conn: &Conn,
        (address, direct): (Address, Address),
        options: PostgresOptions,
        on_commit: OnCommit,
    ) -> Result<Self, PostgresOpenError> {
        writable(conn).await?;
        let pooled = match &options.direct {
            Some(_) => Some(two_addresses::connect(&address, conn).await?),
            None => None,
        };
        let version = Version::of(options.plant);
        let standing = prepare(conn, version, options.dev).await?;
        if let Some(path) = options.journal.clone() {
            Journal::check(path, &standing.identity).await?;
        }
        let id = within(STEP, random_id(conn)).await.map_err(failed)?;
        // Registered by a commit first, and then it reads where the log is.
        let sent = Moment::now();
        let own = Own { id, speaks: version.speaks, address: options.address };
        step(|| replicas::register(conn, &own, 1, None)).await?;
        // Registered first: of this start and the undoing of a move, one sees the other.
        let checked = async {
            migrations::check(conn, version).await?;
            if within(STEP, went_back::is_marked(conn)).await.map_err(failed)? {
                return Err(PostgresOpenError::MarkedAsOlder);
            }
            two_addresses::check(pooled.as_ref(), id).await
        };
        if let Err(refused) = checked.await {
            let _ = step(|| replicas::drop_at(conn, id, 1)).await;
            return Err(refused);
        }
        // Not before: while an authority is moved here, nothing may be written.
        let form = step(|| form(conn, &options.issuer)).await?;
        let jobs = step(|| replicas::take_jobs(conn, id)).await?;
        let reached = within(STEP, reached(conn)).await.map_err(failed)?;
        let guard = options.guard.map(|path| GuardFile::open(path, &standing.identity, reached));
        let guard = match guard.transpose() {
            Ok(guard) => guard,
            Err(refused) => {
                // Others would wait for a server that does not start.
                let _ = step(|| replicas::drop_at(conn, id, 1)).await;
                return Err(refused);
            }
        };
        let planted = Planted::new(options.plant, address.clone());
        let start = Start { address, direct, form, own, reached, planted };
        let mut store = Self::start(start);
        if let Some(path) = options.journal {
            let head = reached.position;
            store.journal = Some(Journal::open(conn, path, &standing.identity, head).await?);
        }
        store.shared.lease.renew(sent, jobs);
        let thread = |error: io::Error| PostgresOpenError::Unreachable(error.to_string());
        store.follow(Memory::start(on_commit).map_err(thread)?, guard, reached);
        Ok(store)
    }

    /// Starts what runs acts and answers questions.
    fn start(start: Start) -> Self {
        let Start { address, direct, form, own, reached, planted } = start;
        let plant = planted.plant;
        let at = reached.position;
        let shared = Shared::new(own.id, at, Queue::new());
        let others = shared.clone();
        let announcement = Box::new(move |number| wake::announcement(&others, number));
        let (epoch, keys) = (at.epoch, Mutex::default());
        let log = shared.clone();
        let known = Box::new(move || log.known());
        let ground = Arc::new(Ground { own: own.id, epoch, keys, announcement, known, planted });
        let mut tasks = Vec::new();
        for _ in 0..WORKERS {
            let log = shared.clone();
            let committed = Arc::new(move |what| log.committed(what));
            let (queue, address, ground) = (shared.queue.clone(), address.clone(), ground.clone());
            let worker = Worker { queue, address, ground, committed };
            tasks.push(spawn(&shared, worker.run()));
        }
        tasks.push(spawn(&shared, wake::acknowledge(shared.clone(), address.clone())));
        tasks.push(spawn(&shared, wake::listen(shared.clone(), direct)));
        let (close, closed) = oneshot::channel();
        let renewals = Renewals { shared: shared.clone(), address: address.clone(), own, beat: 1 };
        // It ends by itself, after it has signed off.
        let renewals = spawn(&shared, renewals.run(closed));
        let leaving = Leaving(Mutex::new(Some((close, renewals))));
        let readers = Readers::new(address.clone());
        let acknowledgements = Acknowledgements::default();
        let tasks = Tasks(tasks);
        let journal = None;
        Self { shared, readers, journal, form, address, acknowledgements, tasks, plant, leaving }
    }

    /// Starts to follow the log.
    fn follow(&mut self, memory: Memory, guard: Option<GuardFile>, reached: Reached) {
        let guard = guard.map(|file| {
            let (reaches, reached) = watch::channel(reached);
            self.tasks.0.push(spawn(&self.shared, guard::renew(file, reached)));
            reaches
        });
        let follower = Follower {
            shared: self.shared.clone(),
            address: self.address.clone(),
            memory,
            guard,
            reached,
            journal: self.journal.clone(),
            watched: BTreeMap::new(),
        };
        self.tasks.0.push(spawn(&self.shared, follower.run()));
    }
}

/// Starts a task of a store. If it panics, the store is not used any more: without one of its tasks
/// it would do a part of its work, and not say so.
fn spawn(shared: &Arc<Shared>, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    let shared = shared.clone();
    tokio::spawn(async move {
        if AssertUnwindSafe(task).catch_unwind().await.is_err() {
            shared.stop("one of its tasks has panicked; start this server again");
        }
    })
}

/// Lets this server sign off: when it is dropped, or before, if a task waits for it.
pub(super) struct Leaving(Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>);

impl Leaving {
    /// Signs off.
    pub async fn leave(&self) {
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((close, renewals)) = left {
            drop(close);
            let _ = renewals.await;
        }
    }
}

/// Tasks that end with their store.
pub(super) struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Brings the schema up to date, and reads what the database says of itself.
async fn prepare(db: &Conn, to: &Version, dev: bool) -> Result<Standing, PostgresOpenError> {
    let slow = |_| failed(Failed::slow(MIGRATION));
    tokio::time::timeout(MIGRATION, migrations::migrate(db, to)).await.map_err(slow)??;
    let standing = step(|| standing(db, dev)).await?;
    match (standing.dev, dev) {
        (true, false) => Err(PostgresOpenError::MadeForDevelopment),
        (false, true) => Err(PostgresOpenError::NotForDevelopment),
        _ => Ok(standing),
    }
}

/// Runs a step of opening, again if it met another transaction.
async fn step<T, F>(run: impl Fn() -> F) -> Result<T, PostgresOpenError>
where
    F: Future<Output = Result<T, Failed>>,
{
    let mut left = AGAIN;
    loop {
        match within(STEP, run()).await {
            Err(Failed::Retry(_)) if left > 0 => left -= 1,
            done => return done.map_err(failed),
        }
    }
}

/// Reads what a database says of itself; for a new one `dev` decides.
async fn standing(db: &Client, dev: bool) -> Result<Standing, Failed> {
    let sql = "INSERT INTO authority (id, epoch, dev, identity)
               SELECT 1, 1, $1, decode(replace(gen_random_uuid()::text, '-', ''), 'hex')
               WHERE NOT EXISTS (SELECT FROM authority) ON CONFLICT (id) DO NOTHING";
    db.execute_typed(sql, values![dev]).await?;
    let row = db.query_typed_one("SELECT identity, dev FROM authority", values![]).await?;
    Ok(Standing { identity: row.value("identity")?, dev: row.value("dev")? })
}

async fn reached(db: &Client) -> Result<Reached, Failed> {
    let sql = "SELECT epoch, position, audit FROM authority";
    let row = db.query_typed_one(sql, values![]).await?;
    let position = Position { epoch: row.value("epoch")?, number: row.value("position")? };
    Ok(Reached { position, audit: row.value("audit")? })
}

async fn random_id(db: &Client) -> Result<[u8; 16], Failed> {
    let sql = "SELECT decode(replace(gen_random_uuid()::text, '-', ''), 'hex') AS id";
    let row = db.query_typed_one(sql, values![]).await?;
    Ok(bytes(row.value("id")?)?)
}

/// The row of the public address that tokens name.
async fn form(db: &Client, issuer: &str) -> Result<Issuer, Failed> {
    let version = int(tegata_token::wire::VERSION);
    let sql = "INSERT INTO form (version, issuer) SELECT $1, $2
               WHERE NOT EXISTS (SELECT FROM form WHERE version = $1 AND issuer = $2)
               ON CONFLICT (version, issuer) DO NOTHING";
    db.execute_typed(sql, values![version, issuer]).await?;
    let sql = "SELECT number FROM form WHERE version = $1 AND issuer = $2";
    let row = db.query_typed_one(sql, values![version, issuer]).await?;
    Ok(Issuer { number: row.value("number")?, issuer: issuer.into() })
}
