//! What a server of a shared store does while its database is slow, frozen, gone or older
//! than it was: every wait ends, nothing is given out that may be wrong, and it recovers by
//! itself where that is safe.

use crate::{
    narrowing::LATER,
    postgres_place::{Plain, Postgres, fresh, options},
    world::{NOW, by, signing_key},
};
use postgres_fixture::{PostgresServer, Proxy, ServerSettings, until};
use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tegata_store::{
    ActStore, Error, Event, Recovery, Store,
    audit_event::{AuditEvent, NoDetail},
    postgres::{PostgresOptions, PostgresStore, RecoveringPostgres},
};
use tegata_token::id::ProviderId;

/// How long a server answers from memory after its last renewal was sent, and a little more.
const LEASE: Duration = Duration::from_millis(2_100);
/// Much longer than anything that a test waits for takes: what does not come by then, never
/// comes.
const EVER: Duration = Duration::from_secs(90);

#[expect(clippy::disallowed_methods, reason = "waits for a database are measured in real time")]
fn steady() -> Instant {
    Instant::now()
}

/// Whether it is so by the end of that time, however late a busy machine looks.
async fn within(most: Duration, is: impl Fn() -> bool) -> bool {
    let begun = steady();
    loop {
        let is_last = begun.elapsed() > most;
        if is() {
            return true;
        }
        if is_last {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until it is so.
async fn at_last(what: &str, is: impl AsyncFn() -> bool) {
    let comes = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(EVER, comes).await.unwrap_or_else(|_| panic!("never: {what}"));
}

async fn open(url: String) -> PostgresStore {
    PostgresStore::open(options(url, None, false), Box::new(|_| {})).await.unwrap()
}

/// An act: a provider of that number.
async fn provider(store: &PostgresStore, number: u64) -> Result<(), Error> {
    let id = ProviderId::from_number(number).unwrap();
    store.create_provider(id, "Shops".into(), by(NOW)).await.map(drop)
}

/// Whether an act's outcome is said to be unknown, after a bounded time.
async fn is_unknown(store: &PostgresStore, number: u64) {
    let answer = tokio::time::timeout(EVER, provider(store, number)).await;
    let answer = answer.expect("it is answered");
    assert!(matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
}

/// Waits until a server answers from its memory again, and acts: until its connections are
/// open again, some acts are refused. Uses numbers from `first` on.
async fn recovers(store: &PostgresStore, first: u64) {
    let next = AtomicU64::new(first);
    at_last("it answers from memory", async || store.current()).await;
    at_last("it follows the log", async || store.catch_up().await.is_ok()).await;
    let acts = async || match provider(store, next.fetch_add(1, Ordering::Relaxed)).await {
        Ok(()) => true,
        Err(Error::Unavailable(_)) => false,
        Err(other) => panic!("{other}"),
    };
    at_last("it acts", acts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_cut_off_loses_its_lease_and_gets_it_back() {
    let place = Postgres::<Plain>::server();
    let database = fresh(place);
    let proxy = Proxy::start(place.port()).unwrap();
    let store = open(proxy.url(&database)).await;
    provider(&store, 1).await.unwrap();
    assert!(store.current());
    for (fault, first) in [(Proxy::cut as fn(&Proxy), 100), (Proxy::stall, 10_000)] {
        fault(&proxy);
        assert!(within(LEASE, || !store.current()).await, "it answers from memory");
        assert!(store.catch_up().await.is_err());
        assert!(!store.may_run_jobs().await);
        is_unknown(&store, 2).await;
        proxy.open();
        recovers(&store, first).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_frozen_or_killed_holds_up_no_answer() {
    let server = PostgresServer::start(ServerSettings::default()).unwrap();
    let database = fresh(&server);
    let store = open(server.url(&database)).await;
    provider(&store, 1).await.unwrap();
    server.freeze();
    is_unknown(&store, 2).await;
    assert!(within(LEASE, || !store.current()).await, "it answers from memory");
    server.thaw();
    recovers(&store, 100).await;
    server.kill();
    is_unknown(&store, 4).await;
    assert!(within(LEASE, || !store.current()).await, "it answers from memory");
    server.restart().unwrap();
    recovers(&store, 10_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_no_standby_confirms_is_unknown() {
    let server = PostgresServer::start(ServerSettings::default()).unwrap();
    let database = fresh(&server);
    let store = open(server.url(&database)).await;
    let set = |names: &str| {
        let sql = format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'");
        server.sql("postgres", &sql).unwrap();
        server.sql("postgres", "SELECT pg_reload_conf()").unwrap();
    };
    set("nosuch");
    // Its renewals wait from then on.
    let waits = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    until(|| (!server.ask("postgres", waits).unwrap().is_empty()).then_some(())).unwrap();
    // The administrator ends the waits, which the database then reports with a warning.
    let cancel = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let waits = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
                         WHERE wait_event = 'SyncRep'";
            server.sql("postgres", waits).unwrap();
        }
    };
    tokio::select! {
        () = is_unknown(&store, 1) => {}
        () = cancel => {}
    }
    // No administrator ends the waits now.
    is_unknown(&store, 2).await;
    let lost = within(LEASE, || !store.current()).await;
    assert!(lost, "a lease that no standby has may be lost");
    set("");
    recovers(&store, 100).await;
}

fn guarded(url: String, guard: &Path) -> PostgresOptions {
    PostgresOptions { guard: Some(guard.to_owned()), ..options(url, None, false) }
}

async fn opened(url: String, guard: &Path) -> Result<PostgresStore, String> {
    let opened = PostgresStore::open(guarded(url, guard), Box::new(|_| {})).await;
    opened.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_older_than_its_guard_is_refused() {
    let server = Postgres::<Plain>::server();
    let folder = tempfile::tempdir().unwrap();
    let guard = folder.path().join("guard");
    let database = fresh(server);
    let store = opened(server.url(&database), &guard).await.unwrap();
    provider(&store, 1).await.unwrap();
    drop(store);
    // One copy lacks a change, and another one an audit event.
    let copy = || {
        server.disconnect(&database);
        server.copy(&database).unwrap()
    };
    let without_change = copy();
    let store = opened(server.url(&database), &guard).await.unwrap();
    provider(&store, 2).await.unwrap();
    drop(store);
    let without_event = copy();
    let store = opened(server.url(&database), &guard).await.unwrap();
    let event = AuditEvent::AuditAccept(NoDetail {});
    store.record(Event { event, provider: None, channel: None }, by(NOW)).await.unwrap();
    store.catch_up().await.unwrap();
    drop(store);
    for copy in [without_change, without_event] {
        let refused = async {
            // The guard is written by the time that the store has ended.
            loop {
                match opened(server.url(&copy), &guard).await {
                    Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                    Err(why) => return why,
                }
            }
        };
        let why = tokio::time::timeout(EVER, refused).await.expect("an older copy is refused");
        assert!(why.contains("not the newest state") && why.contains("tegata recover"), "{why}");
    }
    opened(server.url(&database), &guard).await.unwrap();
    let other = fresh(server);
    server.sql(&other, "DELETE FROM authority").unwrap();
    let why = opened(server.url(&other), &guard).await.err().expect("another store is refused");
    assert!(why.contains("another store"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn servers_that_start_at_once_make_one_store_and_one_of_them_does_the_jobs() {
    let server = Postgres::<Plain>::server();
    let database = server.empty_database().unwrap();
    let starts = (0..4).map(|_| open(server.url(&database)));
    let mut stores = futures_util::future::join_all(starts).await;
    for (n, store) in (1..).zip(&stores) {
        recovers(store, 1_000 * n).await;
    }
    let see = async || stores[0].replicas().await.is_ok_and(|it| it.len() == 4);
    at_last("each sees all four", see).await;
    let gone = does_the_jobs(&stores).await;
    // Another one takes over when it closes.
    drop(stores.remove(gone));
    does_the_jobs(&stores).await;
}

/// Waits until one of the servers does the jobs; returns which. Never do two.
async fn does_the_jobs(stores: &[PostgresStore]) -> usize {
    let all = async || {
        let asked = stores.iter().map(|it| it.may_run_jobs());
        futures_util::future::join_all(asked).await
    };
    let found = Mutex::new(None);
    let one = async || {
        // Two that do them at different moments have had the lease one after the other.
        let (before, after) = (all().await, all().await);
        let doing: Vec<_> = (0..stores.len()).filter(|it| before[*it] && after[*it]).collect();
        assert!(doing.len() < 2, "{doing:?} do the jobs");
        *found.lock().unwrap() = doing.first().copied();
        !doing.is_empty()
    };
    at_last("a server does the jobs", one).await;
    found.into_inner().unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_a_newer_version_or_of_something_else_is_refused() {
    let server = Postgres::<Plain>::server();
    let refused = async |database: &str| {
        let options = options(server.url(database), None, false);
        let opened = PostgresStore::open(options, Box::new(|_| {})).await;
        opened.err().expect("it is refused").to_string()
    };
    let newer = fresh(server);
    server.sql(&newer, "INSERT INTO schema_version VALUES (999, 'later', '')").unwrap();
    let why = refused(&newer).await;
    assert!(why.contains("999") && why.contains("newer version"), "{why}");
    let other = server.empty_database().unwrap();
    server.sql(&other, "CREATE TABLE authority (id INT)").unwrap();
    let why = refused(&other).await;
    assert!(why.contains("no store of tegata"), "{why}");
    let why = refused("nosuch").await;
    assert!(why.contains("--store"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_one_server_saw_go_back_is_refused_by_all_until_it_is_recovered() {
    let server = Postgres::<Plain>::server();
    let folder = tempfile::tempdir().unwrap();
    let guard = |name: &str| folder.path().join(name);
    let database = fresh(server);
    let url = || server.url(&database);
    let a = opened(url(), &guard("a")).await.unwrap();
    provider(&a, 1).await.unwrap();
    provider(&a, 2).await.unwrap();
    a.catch_up().await.unwrap();
    let loses = "UPDATE authority SET audit = audit - 1;
        DELETE FROM audit WHERE id > (SELECT audit FROM authority)";
    server.sql(&database, loses).unwrap();
    let marked = "SELECT id FROM authority WHERE went_back";
    at_last("it is marked", async || !server.ask(&database, marked).unwrap().is_empty()).await;
    // One that has not seen more, and the one that has, once the numbers are the same again.
    let catches_up = "UPDATE authority SET audit = audit + 1";
    for name in ["b", "a"] {
        let why = opened(url(), &guard(name)).await.err().expect("a marked one is refused");
        assert!(why.contains("went back") && why.contains("tegata recover"), "{why}");
        server.sql(&database, catches_up).unwrap();
    }
    assert!(!a.current(), "nothing is answered from memory");
    assert!(matches!(provider(&a, 3).await, Err(Error::Unavailable(_))));
    drop(a);

    let how = Recovery::RevokeEverything { log: None, clock: None };
    let recovering = RecoveringPostgres::open(&url(), how, false).await.unwrap();
    recovering.recover(signing_key(8), Vec::new(), false, None, by(LATER)).await.unwrap();
    opened(url(), &guard("a")).await.unwrap();
    opened(url(), &guard("b")).await.unwrap();
}
