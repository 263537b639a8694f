//! Addresses that lead to more than one server of PostgreSQL, of which one is the primary.

use crate::{
    postgres_place::{fresh, options},
    world::{NOW, by},
};
use postgres_fixture::{PostgresServer, Proxy, ServerSettings};
use std::{net::TcpListener, time::Duration};
use tegata_store::{ActStore, Store, postgres::PostgresStore};
use tegata_token::id::ProviderId;

/// What does not come by then, never comes.
const EVER: Duration = Duration::from_secs(90);

/// A server, and a database there.
fn start() -> (PostgresServer, String) {
    let server = PostgresServer::start(ServerSettings::default()).unwrap();
    let database = fresh(&server);
    (server, database)
}

async fn open(hosts: &str, database: &str) -> PostgresStore {
    let url = format!("postgres://tegata@{hosts}/{database}?sslmode=disable");
    let store = PostgresStore::open(options(url, None, false), Box::new(|_| {})).await;
    store.unwrap_or_else(|error| panic!("{hosts}: {error}"))
}

/// Waits until this is so.
async fn until(mut is: impl FnMut() -> bool) {
    let found = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(EVER, found).await.expect("it is so");
}

/// Asserts that the lease of a store is renewed again and again, also after all its connections were
/// closed.
async fn goes_on_without_connections(server: &PostgresServer, database: &str, it: &PostgresStore) {
    let renewals = || {
        let rows = server.ask(database, "SELECT beat FROM replica").unwrap();
        rows[0][0].as_ref().unwrap().parse::<u64>().unwrap()
    };
    until(|| renewals() > 2).await;
    server.disconnect(database);
    let before = renewals();
    until(|| renewals() > before + 2).await;
    until(|| it.current()).await;
    it.is_writable().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_first_host_that_never_answers_keeps_no_server_from_the_second() {
    let (server, database) = start();
    // The system accepts connections to it, and no program answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap();
    let store = open(&format!("{silent},127.0.0.1:{}", server.port()), &database).await;
    goes_on_without_connections(&server, &database, &store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_standby_and_a_primary_only_the_primary_is_used() {
    let (server, database) = start();
    let standby = server.add_standby().unwrap();
    let hosts = format!("{},127.0.0.1:{}", standby.at(), server.port());
    let store = open(&hosts, &database).await;
    goes_on_without_connections(&server, &database, &store).await;
    let connected = "SELECT FROM pg_stat_activity WHERE application_name = 'tegata'";
    assert!(server.ask_standby(&standby, connected).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_reads_the_log_of_a_standby_that_is_behind_has_no_lease_until_it_is_gone() {
    let (server, database) = start();
    let standby = server.add_standby().unwrap();
    let proxy = Proxy::start(server.port()).unwrap();
    let store = open(&format!("127.0.0.1:{}", proxy.port()), &database).await;
    let other = open(&format!("127.0.0.1:{}", server.port()), &database).await;
    until(|| store.current()).await;
    let provider = ProviderId::from_number(4_000).unwrap();
    other.create_provider(provider, "One".into(), by(NOW)).await.unwrap();
    // All that the servers keep open is open by then.
    let renewed = "SELECT 1 FROM replica WHERE beat > 2";
    until(|| server.ask(&database, renewed).unwrap().len() == 2).await;
    other.begin_provider_revocation(provider, by(NOW)).await.unwrap();
    server.ask_standby(&standby, "SELECT pg_wal_replay_pause()").unwrap();
    // The name of the database leads to the standby for a moment, when the follower connects.
    proxy.lead_to(standby.number());
    let follower = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE application_name = 'tegata' AND query LIKE '%LEFT JOIN replica r%'";
    while store.current() {
        // It hears of a change of the other server, which the standby does not have, as it does not
        // have the one before.
        other.begin_provider_revocation(provider, by(NOW)).await.unwrap();
        // It may have gone there by itself, if this machine is busy.
        server.ask(&database, follower).unwrap();
    }
    proxy.lead_to(server.port());
    until(|| store.current()).await;
}
