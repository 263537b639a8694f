//! A database whose synchronous standby is missing: a commit waits until the standby is back, or
//! until its wait is cancelled.

use crate::{
    place::Place,
    postgres_place::{fresh, options},
    world::{NOW, World, by},
};
use async_trait::async_trait;
use postgres_fixture::{PostgresServer, ServerSettings, until};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tegata_store::{Error, OnCommit, RevocationTarget, Store, postgres::PostgresStore};
use tegata_token::{id::SigningKeyId, time::UnixTime};

/// What does not come by then, never comes.
const EVER: Duration = Duration::from_secs(90);

/// A server of its own, and a database there.
#[derive(Clone)]
struct Alone(Arc<PostgresServer>, String);

impl Alone {
    /// Begins to demand a standby, which there is not, or ends to do so.
    fn demand_standby(&self, demands: bool) {
        let names = if demands { "missing" } else { "" };
        self.sql(&format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'"));
        self.sql("SELECT pg_reload_conf()");
        let shown = [Some(names.to_owned())];
        until(|| (self.sql("SHOW synchronous_standby_names")[0] == shown).then_some(())).unwrap();
    }

    fn sql(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.0.ask(&self.1, sql).unwrap()
    }

    /// The processes that run a statement of which this is true.
    fn busy_with(&self, is: &str) -> BTreeSet<String> {
        let sql = format!(
            "SELECT pid FROM pg_stat_activity
             WHERE datname = current_database() AND state = 'active' AND {is}"
        );
        self.sql(&sql).into_iter().filter_map(|mut row| row.remove(0)).collect()
    }

    async fn store(&self) -> PostgresStore {
        let to = options(self.0.url(&self.1), None, false);
        PostgresStore::open(to, Box::new(|_| {})).await.unwrap()
    }
}

#[async_trait]
impl Place for Alone {
    fn new() -> Self {
        let server = PostgresServer::start(ServerSettings::default()).unwrap();
        let database = fresh(&server);
        Self(Arc::new(server), database)
    }

    fn another(&self) -> Box<dyn Place> {
        unreachable!("its test needs one")
    }

    async fn open(&self, dev: bool, on_commit: OnCommit) -> Result<Box<dyn Store>, String> {
        let to = options(self.0.url(&self.1), None, dev);
        let store = PostgresStore::open(to, on_commit).await;
        store.map(|it| Box::new(it) as _).map_err(|error| error.to_string())
    }

    async fn limit_key(&self, _: SigningKeyId, _: UnixTime) {}
}

/// Waits until this finds something.
async fn found<T>(mut find: impl FnMut() -> Option<T>) -> T {
    let finds = async {
        loop {
            if let Some(it) = find() {
                return it;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(EVER, finds).await.expect("it is found")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn renewals_that_were_given_up_leave_no_process_behind_in_the_database() {
    let alone = Alone::new();
    let store = alone.store().await;
    alone.demand_standby(true);
    // Each renewal is sent on a connection of its own after the one before was given up.
    let mut seen = BTreeSet::new();
    let left = found(|| {
        let now = alone.busy_with("query LIKE 'UPDATE replica%'");
        seen.extend(now.iter().cloned());
        (seen.len() >= 4).then_some(now)
    });
    let left = left.await;
    assert!(left.len() <= 2, "{left:?} of {seen:?}");
    assert!(!store.current(), "no standby has a renewal");
    alone.demand_standby(false);
    found(|| store.current().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_was_killed_is_dropped_although_no_standby_can_be_waited_for() {
    let alone = Alone::new();
    let _store = alone.store().await;
    let killed = "INSERT INTO replica (id, registered_at, beat, epoch, position, speaks)
        SELECT decode(repeat('ab', 16), 'hex'), 0, 1, epoch, position, 1 FROM authority";
    alone.sql(killed);
    alone.demand_standby(true);
    let rows = || alone.sql("SELECT encode(id, 'hex') FROM replica").len();
    found(|| (rows() == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_act_whose_wait_for_a_standby_was_cancelled_is_unknown() {
    let alone = Alone::new();
    let world = World::at(Box::new(alone.clone())).await;
    let shop = world.shop().await;
    // It speaks behind the commit as well.
    let other = alone.store().await;
    world.catch_up().await.unwrap();
    alone.demand_standby(true);
    let cancels = found(|| {
        let waiting = alone.busy_with("query = 'COMMIT' AND wait_event = 'SyncRep'");
        let pid = waiting.first()?;
        alone.sql(&format!("SELECT pg_cancel_backend({pid})"));
        Some(())
    });
    let act = world.revoke(shop.id, RevocationTarget::All, false, by(NOW));
    let (revoked, ()) = tokio::join!(act, cancels);
    let Err(Error::Unavailable(why)) = revoked else { panic!("{revoked:?}") };
    assert!(why.contains("a commit may be lost"), "{why}");
    drop(other);
}
