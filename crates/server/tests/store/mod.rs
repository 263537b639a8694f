//! Where the servers of the tests have their stores: in SQLite files, or, by `TEGATA_TEST_STORE`, each
//! in a database of one PostgreSQL server (`postgres`), or in one from which all is taken that
//! engines may lack which speak its protocol (`compatible`).

use postgres_fixture::{Major, Pooler, PostgresServer, Proxy, ServerSettings};
use std::{path::Path, sync::LazyLock, thread};
use tegata_policy::secret::PlainSecret;
use tegata_server::authority::place::{Database, Files};
use tegata_store::postgres::migrate_database;
use tokio::runtime::Runtime;

static POSTGRES: LazyLock<PostgresServer> =
    LazyLock::new(|| PostgresServer::start(ServerSettings::default()).unwrap());

static COMPATIBLE: LazyLock<Compatible> = LazyLock::new(Compatible::start);

/// The files of a new authority in this folder.
pub fn place(folder: &Path) -> Files {
    let store = folder.join("tegata.db");
    let database = match std::env::var("TEGATA_TEST_STORE").as_deref() {
        Ok("postgres") => {
            let url = POSTGRES.url(&POSTGRES.empty_database().unwrap());
            Database { address: PlainSecret::from_caller(url), direct: None }
        }
        Ok("compatible") => COMPATIBLE.database(),
        _ => return Files { store, ..Files::default() },
    };
    Files { store, ..Files::on_database(database) }
}

/// A server behind a pooler, without advisory locks and notifications, on which one transaction in
/// twenty fails.
struct Compatible {
    server: PostgresServer,
    abstaining: Proxy,
    pooler: Pooler,
}

impl Compatible {
    fn start() -> Self {
        let settings = ServerSettings { major: Major::Eighteen, ..ServerSettings::default() };
        let server = PostgresServer::start(settings).unwrap();
        let abstaining = Proxy::spoiling(server.port(), &["LISTEN", "NOTIFY"]).unwrap();
        // Fewer than a store has, so that a connection is another one each time.
        let pooler = Pooler::start(abstaining.port(), 6).unwrap();
        Self { server, abstaining, pooler }
    }

    fn database(&self) -> Database {
        let make = |url: &str| {
            let url = url.to_owned();
            // The caller may be in a runtime.
            let migrated = thread::spawn(move || {
                Runtime::new().unwrap().block_on(migrate_database(&url)).map(drop)
            });
            migrated.join().unwrap().map_err(|error| error.to_string())
        };
        let name = self.server.fresh_database("template_tegata", make).unwrap();
        self.server.abstain(&name).unwrap();
        self.server.fail_at_times(&name).unwrap();
        let address = PlainSecret::from_caller(self.pooler.url(&name));
        let direct = Some(PlainSecret::from_caller(self.abstaining.url(&name)));
        Database { address, direct }
    }
}
