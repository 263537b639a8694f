//! Where the servers of the tests have their stores: in SQLite files, or with
//! `TEGATA_TEST_STORE=postgres` each in a database of one PostgreSQL server.

use postgres_fixture::{PostgresServer, ServerSettings};
use std::{path::Path, sync::LazyLock};
use tegata_policy::secret::PlainSecret;
use tegata_server::authority::place::{Database, Files};

static POSTGRES: LazyLock<PostgresServer> =
    LazyLock::new(|| PostgresServer::start(ServerSettings::default()).unwrap());

/// The files of a new authority in this folder.
pub fn place(folder: &Path) -> Files {
    let store = folder.join("tegata.db");
    if std::env::var("TEGATA_TEST_STORE").as_deref() != Ok("postgres") {
        return Files { store, ..Files::default() };
    }
    let url = POSTGRES.url(&POSTGRES.empty_database().unwrap());
    let address = PlainSecret::from_caller(url);
    Files { store, ..Files::on_database(Database { address, direct: None }) }
}
