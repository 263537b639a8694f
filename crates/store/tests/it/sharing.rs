//! Several servers over one database: what one of them takes away, the others do not give
//! out any more.

use crate::{
    narrowing::{ALL, Act, LATER, REPEATED, Scene},
    place::Place,
    postgres_place::{Compatible, On, Plain, Postgres},
    world::{Ask, Follower, NOW, World, by},
};
use futures_util::{StreamExt, stream};
use std::{
    marker::PhantomData,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tegata_store::{
    ActStore, RevocationTarget, Store, Taking, TokenName, TokenState, postgres::Plant,
};
use tegata_token::{
    id::ProviderId,
    kind::Kind,
    verify::{Invalid, verify_claims},
};

/// A server that has a row and never answers, which has applied the log up to now.
const SILENT: &str = "INSERT INTO replica (id, registered_at, beat, epoch, position, speaks)
    SELECT decode(repeat('ee', 16), 'hex'), 0, 1, epoch, position, 1 FROM authority";
/// It lives, so that its row is not dropped; returns where the log ends.
const LIVES: &str = "UPDATE replica SET beat = beat + 1 FROM authority
    WHERE replica.id = decode(repeat('ee', 16), 'hex') RETURNING authority.position";
/// It has applied all of the log now.
const APPLIES: &str = "UPDATE replica SET position = authority.position, beat = beat + 1
    FROM authority WHERE replica.id = decode(repeat('ee', 16), 'hex')";

/// The longest that an act waits for a server that does not answer.
const LEASE: Duration = Duration::from_millis(2_300);
/// When the row of a server that does not answer is dropped.
const DROPPED: Duration = Duration::from_secs(10);
/// What does not come by then, never comes.
const EVER: Duration = Duration::from_secs(90);

#[expect(clippy::disallowed_methods, reason = "a server that is gone is waited for in real time")]
fn steady() -> Instant {
    Instant::now()
}

/// Another server of a database, which lives and applies nothing: its row is not dropped, and
/// an act that waits for it without end never has an answer.
struct Silent<T: On = Plain> {
    database: String,
    on: PhantomData<T>,
}

impl<T: On> Silent<T> {
    async fn sql(&self, sql: &'static str) -> Vec<Vec<Option<String>>> {
        let database = self.database.clone();
        let ask = move || Postgres::<T>::server().ask(&database, sql);
        tokio::task::spawn_blocking(ask).await.unwrap().unwrap()
    }

    /// Registers it.
    async fn join(database: &str) -> Self {
        let silent = Self { database: database.to_owned(), on: PhantomData };
        silent.sql(SILENT).await;
        silent
    }

    /// Where the log ends. Says that the server lives.
    async fn head(&self) -> u64 {
        let rows = self.sql(LIVES).await;
        rows[0][0].as_ref().unwrap().parse().unwrap()
    }

    /// Does something while it lives, and does this again and again; `None`: that never ends.
    async fn meanwhile<O>(&self, again: &'static str, done: impl Future<Output = O>) -> Option<O> {
        let lives = async {
            loop {
                self.sql(again).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let first = async {
            tokio::select! {
                done = done => done,
                never = lives => never,
            }
        };
        tokio::time::timeout(EVER, first).await.ok()
    }
}

/// Whether an act waits, after its commit, until the other server has applied it. No time
/// tells: an act that waits for no other server is answered before one that begins after its
/// commit, and of which that is known.
async fn waits(world: &World, database: &str, mut scene: Scene, act: Act) -> Result<(), String> {
    scene.prepare(world, act).await;
    let waited = waits_after_commit(world, database, scene.perform(world, act)).await;
    waited.map_err(|why| format!("{act:?} {why}"))
}

/// The same of one that is to be done.
async fn waits_after_commit(
    world: &World,
    database: &str,
    act: impl Future<Output = ()>,
) -> Result<(), &'static str> {
    let silent = <Silent>::join(database).await;
    let before = silent.head().await;
    let mut performed = pin!(act);
    let later = async {
        while silent.head().await == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let provider = ProviderId::from_number(79).unwrap();
        world.create_provider(provider, "More".into(), by(NOW)).await.unwrap();
    };
    let is_first = silent.meanwhile(LIVES, async {
        tokio::select! {
            biased;
            () = &mut performed => true,
            () = later => false,
        }
    });
    match is_first.await {
        Some(false) => {}
        Some(true) => return Err("did not wait"),
        None => return Err("was not committed"),
    }
    // More than once, since an act may have several commits.
    let answered = silent.meanwhile(APPLIES, performed).await;
    answered.ok_or("waits for more than that")
}

/// Whether an act that finds everything done by another one, whose answer waits for the other
/// server, waits for it as well. Acts that take nothing away come after it, the first of them on
/// the same channel, and are answered before.
async fn waits_again(
    world: &World,
    database: &str,
    mut scene: Scene,
    (act, then): (Act, Act),
) -> Result<(), String> {
    let mut again = scene.clone();
    let added = scene.clone();
    let silent = <Silent>::join(database).await;
    let before = silent.head().await;
    let mut performed = pin!(scene.perform(world, act));
    let committed = async {
        tokio::select! {
            () = &mut performed => false,
            () = async {
                while silent.head().await == before {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            } => true,
        }
    };
    if silent.meanwhile(LIVES, committed).await != Some(true) {
        return Err(format!("{act:?} did not wait"));
    }
    let mut repeated = pin!(again.perform(world, then));
    let is_first = silent.meanwhile(LIVES, async {
        tokio::select! {
            biased;
            () = &mut repeated => true,
            () = async {
                added.add(world).await;
                for number in 78..82 {
                    let provider = ProviderId::from_number(number).unwrap();
                    world.create_provider(provider, "More".into(), by(NOW)).await.unwrap();
                }
            } => false,
        }
    });
    if is_first.await != Some(false) {
        return Err(format!("{then:?} did not wait after {act:?}"));
    }
    let both = async { tokio::join!(performed, repeated) };
    let answered = silent.meanwhile(APPLIES, both).await;
    answered.map(drop).ok_or_else(|| format!("{act:?} waits for more than that"))
}

/// The acts that do not wait as `waits` says, each on a copy of one database.
async fn of_each<T, const N: usize>(
    acts: [T; N],
    waits: impl AsyncFn(&World, &str, Scene, T) -> Result<(), String>,
) -> Vec<String> {
    let place = Postgres::<Plain>::new();
    let database = place.database.clone();
    let mut world = World::at(Box::new(place)).await;
    let scene = Scene::set(&world).await;
    world.leave().await;
    world.close();
    let server = Postgres::<Plain>::server();
    server.disconnect(&database);
    let (world, database, waits) = (&world, &database, &waits);
    stream::iter(acts)
        .map(async |act| {
            let original = database.clone();
            let copy = move || Postgres::<Plain>::copy_of(&original);
            let place = tokio::task::spawn_blocking(copy).await.unwrap();
            let copy = place.database.clone();
            let world = World::of(Box::new(place.planted(Plant::EndlessWait)), world).await;
            waits(&world, &copy, scene.clone(), act).await
        })
        .buffer_unordered(4)
        .filter_map(async |it| it.err())
        .collect()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_act_that_narrows_waits_until_the_other_servers_have_applied_it() {
    let wrong = of_each(ALL, waits).await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_act_that_finds_everything_done_waits_like_the_one_that_did_it() {
    let wrong = of_each(REPEATED, waits_again).await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_act_that_begins_a_receipt_waits_although_it_takes_nothing_away_itself() {
    let place = Postgres::<Plain>::new().planted(Plant::EndlessWait);
    let database = place.database.clone();
    let world = World::at(Box::new(place)).await;
    let provider = ProviderId::from_number(78).unwrap();
    world.create_provider(provider, "Without channels".into(), by(NOW)).await.unwrap();
    let act = Taking::provider(provider, by(NOW));
    let act = async {
        ActStore::take(&*world, act).await.unwrap();
    };
    waits_after_commit(&world, &database, act).await.unwrap();
}

async fn an_act_that_only_adds_waits_for_no_other_server<T: On>() {
    let place = Postgres::<T>::new().planted(Plant::EndlessWait);
    let database = place.database.clone();
    let world = World::at(Box::new(place)).await;
    let shop = world.shop().await;
    let silent = Silent::<T>::join(&database).await;
    let adds = async {
        let provider = ProviderId::from_number(78).unwrap();
        world.create_provider(provider, "More".into(), by(NOW)).await.unwrap();
        world.register(shop.id, 1, None).await.unwrap();
        world.get(&shop, Ask::new(Kind::V21)).await;
        world.get(&shop, Ask::new(Kind::ShortLived)).await;
        world.shop().await;
    };
    silent.meanwhile(LIVES, adds).await.expect("it waits for no other server");
}

async fn an_act_that_narrows_waits_for_a_server_that_is_gone_until_its_lease_has_run_out<T: On>() {
    let place = Postgres::<T>::new();
    let database = place.database.clone();
    let world = World::at(Box::new(place)).await;
    let shop = world.shop().await;
    Postgres::<T>::server().sql(&database, SILENT).unwrap();
    let begun = steady();
    world.revoke_at(&shop, RevocationTarget::All, NOW).await;
    let took = begun.elapsed();
    assert!(took >= LEASE && took < DROPPED, "{took:?}");
}

async fn what_one_server_revokes_is_revoked_on_every_server_before_the_answer<T: On>() {
    let followers = [Follower::new(), Follower::new()];
    let world = World::new::<Postgres<T>>().await;
    let shop = world.shop().await;
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    for follower in &followers {
        let store = world.place.open(false, follower.on_commit()).await.unwrap();
        follower.begin(store.state().await.unwrap().view);
        stores.push(store.into());
    }
    for n in 0..60 {
        let claims = world.ask(&shop, Ask::new(Kind::ShortLived)).await.unwrap().claims;
        let target = RevocationTarget::Stored { serial: claims.serial };
        let by = by(NOW);
        match n % 3 {
            0 => drop(world.revoke_at(&shop, target, NOW).await),
            n => drop(stores[n - 1].revoke(shop.id, target, by).await.unwrap()),
        }
        for follower in followers.iter().chain([&world.follower]) {
            let judged = verify_claims(&claims, NOW, &follower.followed().view);
            assert!(matches!(judged, Err(Invalid::Revoked(_))), "{n}: {judged:?}");
        }
    }
}

/// The renewals of all servers.
fn renewals(database: &str) -> u128 {
    let server = Postgres::<Plain>::server();
    let rows = server.ask(database, "SELECT sum(beat) FROM replica").unwrap();
    rows[0][0].as_ref().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_acknowledgement_which_a_crash_may_lose_is_not_counted_as_a_renewal() {
    let place = Postgres::<Plain>::new();
    let database = place.database.clone();
    let world = World::at(Box::new(place)).await;
    let shop = world.shop().await;
    let follower = Follower::new();
    let other = world.place.open(false, follower.on_commit()).await.unwrap();
    follower.begin(other.state().await.unwrap().view);
    let (before, begun) = (renewals(&database), steady());
    for _ in 0..40 {
        let claims = world.ask(&shop, Ask::new(Kind::ShortLived)).await.unwrap().claims;
        let target = RevocationTarget::Stored { serial: claims.serial };
        world.revoke_at(&shop, target, NOW).await;
    }
    // Of two servers, every 400 ms.
    let due = 2 * (begun.elapsed().as_millis() / 400 + 1);
    let made = renewals(&database) - before;
    assert!(made <= due, "{made} renewals in the time of {due}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_that_went_back_is_refused_from_then_on() {
    let place = Postgres::<Plain>::new();
    let database = place.database.clone();
    let world = World::at(Box::new(place)).await;
    let shop = world.shop().await;
    let kept = "CREATE TABLE kept_authority AS SELECT * FROM authority;
        CREATE TABLE kept_log AS SELECT * FROM change_log;
        CREATE TABLE kept_replica AS SELECT * FROM replica";
    let server = Postgres::<Plain>::server();
    server.sql(&database, kept).unwrap();
    world.revoke_at(&shop, RevocationTarget::All, LATER).await;
    // As after a failover to a standby that does not have the last commits.
    let back = "BEGIN; LOCK authority, change_log, replica;
        DELETE FROM authority; INSERT INTO authority SELECT * FROM kept_authority;
        DELETE FROM change_log; INSERT INTO change_log SELECT * FROM kept_log;
        DELETE FROM replica; INSERT INTO replica SELECT * FROM kept_replica; COMMIT";
    server.sql(&database, back).unwrap();
    let refused = async {
        while world.current() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(EVER, refused).await.expect("it answers on");
    // Not even when its next lease would be due.
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!world.current());
        let issued = world.ask(&shop, Ask::new(Kind::ShortLived)).await;
        assert!(issued.is_err(), "{issued:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tokens_of_a_provider_with_many_channels_are_revoked_in_few_transactions() {
    let channels = if crate::is_long() { 1_000 } else { 60 };
    let world = World::at(Box::new(Postgres::<Plain>::new())).await;
    let shop = world.shop().await;
    for _ in 1..channels {
        let channel = world.new_channel(&shop.secret);
        world.create_channel(channel, by(NOW)).await.unwrap();
    }
    let serial = world.get(&shop, Ask::new(Kind::ShortLived)).await;
    let commits = || world.figures().commits.buckets().map(|it| it.1).sum::<u64>();
    let (before, began) = (commits(), steady());
    let job = world.begin_provider_revocation(world.provider, by(NOW)).await.unwrap();
    while !world.continue_provider_revocation(job, 50, NOW).await.unwrap().1 {}
    let (took, made) = (began.elapsed(), commits() - before);
    println!("{channels} channels: {took:?}, {made} transactions");
    // One for each channel would be more than sixty.
    assert!(made <= channels / 3, "{made}");
    let row = world.token(shop.id, TokenName::Serial(serial), NOW).await.unwrap().unwrap();
    assert_eq!(row.state, TokenState::Revoked);
}

/// Makes a test of each for databases of those terms.
macro_rules! run_on {
    ($backend:ident, $terms:ty: $($case:ident)+) => {
        mod $backend {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $case() {
                super::$case::<$terms>().await;
            })+
        }
    };
}

macro_rules! cases {
    ($($case:ident)+) => {
        run_on!(postgres, Plain: $($case)+);
        run_on!(compatible, Compatible: $($case)+);
    };
}

cases! {
    an_act_that_only_adds_waits_for_no_other_server
    an_act_that_narrows_waits_for_a_server_that_is_gone_until_its_lease_has_run_out
    what_one_server_revokes_is_revoked_on_every_server_before_the_answer
}
