//! Several servers over one database: what one of them takes away, the others do not give
//! out any more.

use crate::{
    narrowing::{ALL, Act, LATER, Scene},
    place::Place,
    postgres_place::{Plain, Postgres},
    world::{Ask, Follower, NOW, World, by},
};
use futures_util::{StreamExt, stream};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tegata_store::{RevocationTarget, Store};
use tegata_token::{
    id::ProviderId,
    kind::Kind,
    verify::{Invalid, verify_claims},
};

/// A server that has a row and never answers, which has applied the log up to now.
const SILENT: &str = "INSERT INTO replica (id, registered_at, beat, epoch, position, speaks)
    SELECT decode(repeat('ee', 16), 'hex'), 0, 1, epoch, position, 1 FROM authority";
/// It has applied all of it now.
const APPLIES: &str = "UPDATE replica SET position = authority.position, beat = beat + 1
    FROM authority WHERE replica.id = decode(repeat('ee', 16), 'hex')";

/// Long enough for an act to be committed on a busy machine, and shorter than a lease.
const COMMITTED: Duration = Duration::from_millis(700);
/// The longest that an act waits for a server that does not answer, and some more.
const LEASE: Duration = Duration::from_millis(2_300);

#[expect(clippy::disallowed_methods, reason = "a server that is gone is waited for in real time")]
fn steady() -> Instant {
    Instant::now()
}

async fn head(place: &str) -> u64 {
    let server = Postgres::<Plain>::server();
    let rows = server.ask(place, "SELECT position FROM authority").unwrap();
    rows[0][0].as_ref().unwrap().parse().unwrap()
}

/// Whether it waits, after its commit, until the silent server has applied it.
async fn waits(
    origin: &World,
    scene: &Scene,
    place: Postgres<Plain>,
    act: Act,
) -> Result<(), String> {
    let database = place.database.clone();
    let server = Postgres::<Plain>::server();
    let world = World::of(Box::new(place), origin).await;
    let mut scene = scene.clone();
    scene.prepare(&world, act).await;
    server.sql(&database, SILENT)?;
    let before = head(&database).await;
    let mut performed = Box::pin(scene.perform(&world, act));
    if tokio::time::timeout(COMMITTED, &mut performed).await.is_ok() {
        return Err(format!("{act:?} did not wait"));
    }
    if head(&database).await == before {
        return Err(format!("{act:?} was not committed"));
    }
    let begun = steady();
    server.sql(&database, APPLIES)?;
    performed.await;
    match begun.elapsed() {
        late if late > LEASE - COMMITTED => Err(format!("{act:?} waited for the lease: {late:?}")),
        _ => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_act_that_narrows_waits_until_the_other_servers_have_applied_it() {
    let place = Postgres::<Plain>::new();
    let database = place.database.clone();
    let mut world = World::at(Box::new(place)).await;
    let scene = Scene::set(&world).await;
    world.leave().await;
    world.close();
    let server = Postgres::<Plain>::server();
    server.disconnect(&database);
    let copies = ALL.map(|act| (act, Postgres::<Plain>::copy_of(&database)));
    let wrong: Vec<String> = stream::iter(copies)
        .map(|(act, place)| waits(&world, &scene, place, act))
        .buffer_unordered(4)
        .filter_map(async |it| it.err())
        .collect()
        .await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_that_only_adds_waits_for_no_other_server() {
    let place = Postgres::<Plain>::new();
    let database = place.database.clone();
    let world = World::at(Box::new(place)).await;
    let shop = world.shop().await;
    Postgres::<Plain>::server().sql(&database, SILENT).unwrap();
    let begun = steady();
    let provider = ProviderId::from_number(78).unwrap();
    world.create_provider(provider, "More".into(), by(NOW)).await.unwrap();
    world.register(shop.id, 1, None).await.unwrap();
    world.get(&shop, Ask::new(Kind::V21)).await;
    world.get(&shop, Ask::new(Kind::ShortLived)).await;
    world.shop().await;
    assert!(begun.elapsed() < LEASE, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_that_narrows_waits_for_a_server_that_is_gone_until_its_lease_has_run_out() {
    let place = Postgres::<Plain>::new();
    let database = place.database.clone();
    let world = World::at(Box::new(place)).await;
    let shop = world.shop().await;
    Postgres::<Plain>::server().sql(&database, SILENT).unwrap();
    let begun = steady();
    world.revoke_at(&shop, RevocationTarget::All, NOW).await;
    let took = begun.elapsed();
    assert!(took >= LEASE && took < LEASE * 3, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_one_server_revokes_is_revoked_on_every_server_before_the_answer() {
    let followers = [Follower::new(), Follower::new()];
    let world = World::new::<Postgres<Plain>>().await;
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
    tokio::time::timeout(Duration::from_secs(10), refused).await.expect("it answers on");
    // Not even when its next lease would be due.
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!world.current());
        let issued = world.ask(&shop, Ask::new(Kind::ShortLived)).await;
        assert!(issued.is_err(), "{issued:?}");
    }
}
