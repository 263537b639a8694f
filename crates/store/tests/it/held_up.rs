//! What stands in the way of an act: a frozen server, a row that another transaction has locked,
//! a connection that is closed. Each is put there by hand, where it would do the most harm.

use crate::{
    place::Place,
    postgres_place::{Plain, Postgres, options},
    world::{Ask, Follower, NOW, Shop, World, by},
};
use postgres_fixture::Proxy;
use std::{future::poll_fn, pin::pin, sync::Arc, time::Duration};
use tegata_policy::secret::PlainSecret;
use tegata_store::{
    ActStore, Error, NewVerifier, Old, RegisterInstance, Registration, RevocationTarget, Store,
    Taking,
    postgres::{Plant, PostgresStore},
};
use tegata_token::{feed::OnStale, id::VerifierId, kind::Kind, time::DAY};
use tokio_postgres::{AsyncMessage, Client, NoTls};

/// What does not come by then, never comes.
const EVER: Duration = Duration::from_secs(90);

/// Connects to a database as a superuser.
async fn connect(database: &str) -> Client {
    let url = Postgres::<Plain>::server().url(database);
    let (db, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    db
}

/// A transaction that has locked something.
struct Hand(Client);

impl Hand {
    /// Locks what this statement locks.
    async fn on(database: &str, sql: &str) -> Self {
        let db = connect(database).await;
        db.batch_execute(&format!("BEGIN; {sql}")).await.unwrap();
        Self(db)
    }

    /// Locks a row of a channel that each act on it locks.
    async fn on_channel(database: &str, shop: &Shop) -> Self {
        let sql =
            format!("SELECT FROM channel_count WHERE channel = {} FOR UPDATE", shop.id.number());
        Self::on(database, &sql).await
    }

    /// Lets go.
    async fn release(self) {
        self.0.batch_execute("ROLLBACK").await.unwrap();
    }
}

/// Sees what the connections of servers do.
struct Watch(Client);

impl Watch {
    async fn new(database: &str) -> Self {
        Self(connect(database).await)
    }

    /// Waits until there is a connection of which this is true; returns its process.
    async fn until(&self, is: &str) -> i32 {
        let sql = format!(
            "SELECT pid FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'tegata' AND {is}"
        );
        let found = async {
            loop {
                if let Some(row) = self.0.query(&sql, &[]).await.unwrap().first() {
                    return row.get(0);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(EVER, found).await.expect("it is seen")
    }
}

/// It waits for a row.
const WAITS: &str = "wait_event_type = 'Lock'";

/// Revokes all tokens of a shop at another server.
async fn revoke_at(store: &PostgresStore, world: &World, shop: &Shop) -> tegata_store::Result<()> {
    let channel = Arc::new(world.snapshot(shop).await);
    let act = Taking::revoke_in(&channel, RevocationTarget::All, by(NOW));
    store.take(act).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_freezes_between_two_messages_does_not_make_the_others_fail() {
    let place = Postgres::<Plain>::new();
    let (server, database) = (Postgres::<Plain>::server(), place.database.clone());
    let world = World::at(Box::new(place)).await;
    let (shop, other) = (world.shop().await, world.shop().await);
    let proxy = Proxy::start(server.port()).unwrap();
    let to = options(proxy.url(&database), None, false);
    let frozen = PostgresStore::open(to, Box::new(|_| {})).await.unwrap();
    let watch = Watch::new(&database).await;
    let hand = Hand::on(&database, "SELECT FROM authority FOR UPDATE").await;
    let freezes = async {
        watch.until(&format!("{WAITS} AND query LIKE '%FOR UPDATE OF a%'")).await;
        proxy.stall();
        hand.release().await;
        // It has the row that all changes need, and its server does not learn of that.
        watch.until("state = 'idle in transaction'").await;
    };
    tokio::select! {
        done = revoke_at(&frozen, &world, &shop) => panic!("{done:?}"),
        () = freezes => {}
    }
    world.revoke(other.id, RevocationTarget::All, false, by(NOW)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_act_whose_connection_is_closed_before_its_commit_runs_again() {
    let place = Postgres::<Plain>::new();
    let database = place.database.clone();
    let world = World::at(Box::new(place)).await;
    let shop = world.shop().await;
    let watch = Watch::new(&database).await;
    let hand = Hand::on_channel(&database, &shop).await;
    let closes = async {
        let waits = watch.until(WAITS).await;
        watch.0.execute("SELECT pg_terminate_backend($1)", &[&waits]).await.unwrap();
        hand.release().await;
    };
    let act = world.revoke(shop.id, RevocationTarget::All, false, by(NOW));
    tokio::join!(act, closes).0.unwrap();
}

/// Creates a verifier.
async fn verifier(world: &World) -> VerifierId {
    let id = VerifierId::from_number(1_000_000_007).unwrap();
    let new = NewVerifier {
        id,
        name: "Gateway".into(),
        provider: None,
        max_staleness: 60_000,
        allow: false,
        token: PlainSecret::from_caller("a verifier's".to_owned()).hash(),
    };
    world.create_verifier(new, by(NOW)).await.unwrap();
    id
}

/// Registers an instance of it at a server.
async fn register(store: &dyn Store, verifier: VerifierId) {
    let instance = "0123456789abcdef0123456789abcdef".parse().unwrap();
    let (staleness, on_stale) = (1_000, OnStale::Deny);
    let address = [192, 0, 2, 7].into();
    let act = RegisterInstance { verifier, instance, staleness, on_stale, address };
    let registered = store.register_instance(act, NOW).await.unwrap();
    assert!(matches!(registered, Registration::Registered(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_revocation_locks_nothing_that_a_registration_of_an_instance_needs() {
    let place = Postgres::<Plain>::new();
    let database = place.database.clone();
    let world = World::at(Box::new(place)).await;
    let (shop, verifier) = (world.shop().await, verifier(&world).await);
    let other = world.place.open(false, Box::new(|_| {})).await.unwrap();
    let (watch, hand) = (Watch::new(&database).await, Hand::on_channel(&database, &shop).await);
    let looks = async {
        // It has its other locks by then.
        watch.until(WAITS).await;
        let sql = "SELECT FROM lock_row WHERE name = 'verifiers' FOR UPDATE NOWAIT";
        watch.0.batch_execute(sql).await.expect("no act has it");
        hand.release().await;
        register(&*other, verifier).await;
    };
    let act = world.revoke(shop.id, RevocationTarget::All, false, by(NOW));
    tokio::join!(act, looks).0.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_acknowledgement_does_not_wait_for_a_renewal_of_the_lease() {
    // An act that waits for the other server has no answer without its acknowledgement.
    let place = Postgres::<Plain>::new().planted(Plant::EndlessWait);
    let database = place.database.clone();
    let world = World::at(Box::new(place)).await;
    let shop = world.shop().await;
    let watch = Watch::new(&database).await;
    let first = watch.0.query_one("SELECT encode(id, 'hex') FROM replica", &[]).await.unwrap();
    let follower = Follower::new();
    let other = world.place.open(false, follower.on_commit()).await.unwrap();
    follower.begin(other.state().await.unwrap().view);
    // As a renewal locks it until it is on disk and on the standby.
    let first: String = first.get(0);
    let second = format!("SELECT FROM replica WHERE encode(id, 'hex') <> '{first}' FOR UPDATE");
    let hand = Hand::on(&database, &second).await;
    let serial = world.get(&shop, Ask::new(Kind::ShortLived)).await;
    let act = world.revoke(shop.id, RevocationTarget::Stored { serial }, false, by(NOW));
    tokio::time::timeout(EVER, act).await.expect("it does not wait for that").unwrap();
    hand.release().await;
}

/// Makes commits that change the log wait for a row, and warn.
const AT_COMMIT: &str = "CREATE TABLE held (at INT); INSERT INTO held VALUES (1);
    GRANT ALL ON held TO PUBLIC;
    CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM FROM held FOR UPDATE;
        IF TG_ARGV[0] = 'warns' THEN RAISE WARNING 'another database must be vacuumed'; END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON change_log
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_commit";

/// The next notification on a connection that listens.
async fn notification(url: String, ready: impl AsyncFnOnce()) -> String {
    let (db, mut connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    let hears = async {
        loop {
            match poll_fn(|cx| connection.poll_message(cx)).await.unwrap().unwrap() {
                AsyncMessage::Notification(it) => return it.payload().to_owned(),
                _ => continue,
            }
        }
    };
    let listens = async {
        db.batch_execute("LISTEN tegata").await.unwrap();
        ready().await;
        std::future::pending::<String>().await
    };
    tokio::select! { it = hears => it, it = listens => it }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_other_servers_hear_of_a_commit_before_its_own_server_does() {
    let place = Postgres::<Plain>::new();
    let (server, database) = (Postgres::<Plain>::server(), place.database.clone());
    let world = World::at(Box::new(place)).await;
    let shop = world.shop().await;
    let proxy = Proxy::start(server.port()).unwrap();
    let to = options(proxy.url(&database), None, false);
    let follower = Follower::new();
    let cut_off = PostgresStore::open(to, follower.on_commit()).await.unwrap();
    follower.begin(cut_off.state().await.unwrap().view);
    // It knows of the other server from then on.
    cut_off.catch_up().await.unwrap();
    server.sql(&database, &format!("{AT_COMMIT}('waits')")).unwrap();
    let (watch, hand) =
        (Watch::new(&database).await, Hand::on(&database, "SELECT FROM held FOR UPDATE").await);
    let mut act = pin!(revoke_at(&cut_off, &world, &shop));
    let heard = notification(server.url(&database), async || {
        watch.until(&format!("{WAITS} AND query = 'COMMIT'")).await;
        // Its server gets no answer any more.
        proxy.stall();
        hand.release().await;
    });
    let said = async {
        tokio::select! {
            done = &mut act => panic!("{done:?}"),
            said = heard => said,
        }
    };
    let said = tokio::time::timeout(EVER, said).await.expect("it was said");
    assert_eq!(said.split(' ').count(), 3, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_warning_that_is_not_about_a_standby_makes_no_commit_unknown() {
    let place = Postgres::<Plain>::new();
    let (server, database) = (Postgres::<Plain>::server(), place.database.clone());
    let world = World::at(Box::new(place)).await;
    let shop = world.shop().await;
    server.sql(&database, &format!("{AT_COMMIT}('warns')")).unwrap();
    world.revoke(shop.id, RevocationTarget::All, false, by(NOW)).await.unwrap();
}

/// Gives the jobs to another server: its row is there, and it renews none.
const JOBS_OF_ANOTHER: &str = "
    INSERT INTO replica (id, registered_at, beat, epoch, position, speaks)
        SELECT decode(repeat('ee', 16), 'hex'), 0, 1, epoch, position, 1 FROM authority;
    UPDATE job_lease SET holder = decode(repeat('ee', 16), 'hex')";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_without_the_lease_of_the_jobs_takes_no_step_of_one() {
    let place = Postgres::<Plain>::new();
    let database = place.database.clone();
    let world = World::at(Box::new(place)).await;
    let db = connect(&database).await;
    let changes = "SELECT count(*) FROM change_log";
    let count = async || db.query_one(changes, &[]).await.unwrap().get::<_, i64>(0);
    let late = NOW.plus(3_650 * DAY);
    let trims = async || world.trim(Old::LogAndAssertions { most: 1 }, late).await;
    world.shop().await;
    assert_eq!(trims().await.unwrap(), 1, "it has the jobs");
    let before = count().await;
    assert!(before > 0);
    // It has the lease, as far as it knows: until its next renewal.
    db.batch_execute(JOBS_OF_ANOTHER).await.unwrap();
    let not_now = |done: &tegata_store::Result<()>| matches!(done, Err(Error::NotNow(_)));
    let trimmed = trims().await.map(drop);
    assert!(not_now(&trimmed), "{trimmed:?}");
    assert_eq!(count().await, before, "nothing is done");
    for step in [world.drop_instances(Vec::new()).await, world.warning_tried(1, None).await] {
        assert!(not_now(&step), "{step:?}");
    }
    world.shop().await;
    db.execute("UPDATE job_lease SET holder = (SELECT id FROM replica WHERE id <> holder)", &[])
        .await
        .unwrap();
    assert_eq!(trims().await.unwrap(), 1, "it has the jobs again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_long_step_of_a_job_keeps_the_jobs_and_delays_no_renewal() {
    let place = Postgres::<Plain>::new();
    let database = place.database.clone();
    let world = World::at(Box::new(place)).await;
    let db = connect(&database).await;
    // Of a server that is gone: its transaction is still open.
    db.batch_execute("UPDATE job_lease SET holder = ''").await.unwrap();
    let hand = Hand::on(&database, "SELECT FROM job_lease FOR SHARE").await;
    let beats = async || {
        let sql = "SELECT coalesce(max(beat), 0) FROM replica";
        db.query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
    };
    let begun = beats().await;
    let renewed = async {
        while beats().await < begun + 3 {
            assert!(world.current(), "its renewals wait");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(EVER, renewed).await.unwrap();
    assert!(!world.may_run_jobs().await, "the lease is not free yet");
    hand.release().await;
    let takes = async {
        while !world.may_run_jobs().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(EVER, takes).await.expect("it takes the jobs");
}
