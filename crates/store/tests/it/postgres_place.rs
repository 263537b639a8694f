//! Databases of a real PostgreSQL server, as they are and with less than PostgreSQL offers:
//! what other engines lack is taken away.

use crate::{place::Place, world::ISSUER};
use async_trait::async_trait;
use postgres_fixture::{Major, Pooler, PostgresServer, Proxy, ServerSettings};
use std::{
    marker::PhantomData,
    sync::{LazyLock, OnceLock},
};
use tegata_store::{
    OnCommit, Store,
    postgres::{Plant, PostgresOptions, PostgresStore},
};
use tegata_token::{id::SigningKeyId, time::UnixTime};

/// How a database differs from PostgreSQL 15 as it is.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// The version.
    pub major: Major,
    /// Advisory locks and `LISTEN` and `NOTIFY` are refused.
    pub abstains: bool,
    /// Transactions are serializable unless they say otherwise, and one in twenty fails.
    pub fails: bool,
    /// Every transaction gets another connection.
    pub pooled: bool,
    /// Only with `TEGATA_LONG=1`.
    pub long: bool,
}

/// PostgreSQL 15 as it is.
const PLAIN: Terms =
    Terms { major: Major::Fifteen, abstains: false, fails: false, pooled: false, long: false };

/// Terms as a type.
pub trait On: Send + Sync + 'static {
    /// The terms.
    const TERMS: Terms;
}

macro_rules! on {
    ($($(#[$doc:meta])* $name:ident = $terms:expr;)+) => {
        $($(#[$doc])* pub struct $name;
        impl On for $name { const TERMS: Terms = $terms; })+
    };
}

on! {
    /// PostgreSQL 15 as it is.
    Plain = PLAIN;
    /// All that is taken away at once, on PostgreSQL 18.
    Compatible = Terms {
        major: Major::Eighteen, abstains: true, fails: true, pooled: true, long: false,
    };
    /// PostgreSQL 18 as it is.
    Eighteen = Terms { major: Major::Eighteen, long: true, ..PLAIN };
    /// Without advisory locks and notifications.
    Abstaining = Terms { abstains: true, long: true, ..PLAIN };
    /// Serializable by default, and failing.
    Failing = Terms { fails: true, long: true, ..PLAIN };
    /// Through a pooler.
    Pooled = Terms { pooled: true, long: true, ..PLAIN };
}

/// One server of each version in this process, and what is in front of it.
pub struct Shared {
    /// The server.
    pub server: PostgresServer,
    /// Refuses `LISTEN` and `NOTIFY`.
    abstaining: Proxy,
    pooler: OnceLock<Pooler>,
    abstaining_pooler: OnceLock<Pooler>,
}

/// The server of that version.
pub fn shared(major: Major) -> &'static Shared {
    static FIFTEEN: LazyLock<Shared> = LazyLock::new(|| Shared::start(Major::Fifteen));
    static EIGHTEEN: LazyLock<Shared> = LazyLock::new(|| Shared::start(Major::Eighteen));
    match major {
        Major::Fifteen => &FIFTEEN,
        Major::Eighteen => &EIGHTEEN,
    }
}

impl Shared {
    fn start(major: Major) -> Self {
        let settings = ServerSettings { major, ..ServerSettings::default() };
        let server = PostgresServer::start(settings).unwrap();
        let abstaining = Proxy::spoiling(server.port(), &["LISTEN", "NOTIFY"]).unwrap();
        let (pooler, abstaining_pooler) = Default::default();
        Self { server, abstaining, pooler, abstaining_pooler }
    }

    /// The address for transactions, and the one for `LISTEN`.
    fn addresses(&self, terms: Terms, database: &str) -> (String, String) {
        let pooler = |of: &OnceLock<Pooler>, port| {
            // Fewer than a store has, so that a connection is another one each time.
            of.get_or_init(|| Pooler::start(port, 6).unwrap()).url(database)
        };
        let direct = self.server.url(database);
        match (terms.abstains, terms.pooled) {
            (false, false) => (direct.clone(), direct),
            (false, true) => (pooler(&self.pooler, self.server.port()), direct),
            (true, false) => (self.abstaining.url(database), self.abstaining.url(database)),
            (true, true) => {
                let port = self.abstaining.port();
                (pooler(&self.abstaining_pooler, port), self.abstaining.url(database))
            }
        }
    }
}

/// A database of one of the servers.
pub struct Postgres<T: On> {
    /// Its name.
    pub database: String,
    plant: Option<Plant>,
    on: PhantomData<T>,
}

impl<T: On> Postgres<T> {
    /// The server that it is on.
    pub fn server() -> &'static PostgresServer {
        &shared(T::TERMS.major).server
    }

    /// A copy of a database that has no connections.
    pub fn copy_of(database: &str) -> Self {
        Self::of(Self::server().copy(database).unwrap())
    }

    /// A database with no tables.
    pub fn empty() -> Self {
        Self::of(Self::server().empty_database().unwrap())
    }

    /// The database of that name, which is dropped twice, by the first of two.
    pub fn named(database: &str) -> Self {
        Self::of(database.to_owned())
    }

    fn of(database: String) -> Self {
        Self { database, plant: None, on: PhantomData }
    }

    /// The same, whose stores have a bug.
    pub fn planted(mut self, plant: Plant) -> Self {
        self.plant = Some(plant);
        self
    }

    /// Opens another store there.
    pub async fn open_one(&self, dev: bool, on_commit: OnCommit) -> Result<PostgresStore, String> {
        let (url, direct) = shared(T::TERMS.major).addresses(T::TERMS, &self.database);
        let options = PostgresOptions { plant: self.plant, ..options(url, Some(direct), dev) };
        PostgresStore::open(options, on_commit).await.map_err(|error| error.to_string())
    }

    /// Runs statements as a superuser.
    pub fn sql(&self, statements: &str) -> Vec<Vec<Option<String>>> {
        Self::server().ask(&self.database, statements).unwrap()
    }
}

/// The options to open a store with.
pub fn options(url: String, direct: Option<String>, dev: bool) -> PostgresOptions {
    PostgresOptions { url, direct, issuer: ISSUER.into(), dev, ..PostgresOptions::default() }
}

/// A database with the tables and nothing in them.
pub fn fresh(server: &PostgresServer) -> String {
    let make = |url: &str| {
        let url = url.to_owned();
        let work = move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let opened = PostgresStore::open(options(url, None, false), Box::new(|_| {}));
            runtime.block_on(opened).map(drop).map_err(|error| error.to_string())
        };
        // The caller may be in a runtime.
        std::thread::spawn(work).join().unwrap()?;
        server.disconnect(TEMPLATE);
        server
            .sql(TEMPLATE, "TRUNCATE authority, replica, applied, job_lease, form RESTART IDENTITY")
    };
    server.fresh_database(TEMPLATE, make).unwrap()
}

/// What new databases are copied from.
const TEMPLATE: &str = "template_tegata";

#[async_trait]
impl<T: On> Place for Postgres<T> {
    fn is_due() -> bool {
        crate::is_long() || !T::TERMS.long
    }

    fn new() -> Self {
        let server = Self::server();
        let database = fresh(server);
        if T::TERMS.abstains {
            server.abstain(&database).unwrap();
        }
        if T::TERMS.fails {
            server.fail_at_times(&database).unwrap();
        }
        Self::of(database)
    }

    fn another(&self) -> Box<dyn Place> {
        Box::new(Self::new())
    }

    async fn open(&self, dev: bool, on_commit: OnCommit) -> Result<Box<dyn Store>, String> {
        Ok(Box::new(self.open_one(dev, on_commit).await?))
    }

    async fn more(&self) -> Vec<Box<dyn Store>> {
        let mut stores = Vec::new();
        for _ in 0..2 {
            stores.push(self.open(false, Box::new(|_| {})).await.unwrap());
        }
        stores
    }

    async fn limit_key(&self, key: SigningKeyId, before: UnixTime) {
        let id: String = key.0.iter().map(|byte| format!("{byte:02x}")).collect();
        let at = before.0;
        let sql = format!(
            "UPDATE signing_key SET state = 'retired', issued_before = {at}, changed_at = {at}
             WHERE id = '\\x{id}' RETURNING 1"
        );
        assert_eq!(self.sql(&sql).len(), 1);
    }

    async fn write(&self, sql: &str) {
        self.sql(sql);
    }
}

impl<T: On> Drop for Postgres<T> {
    fn drop(&mut self) {
        // A test that failed has said more about it.
        let _ = Self::server().drop_database(&self.database);
    }
}
