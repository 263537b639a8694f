//! What an act costs the database, counted in the database's own log: each statement is parsed
//! and planned anew, since a pooler in transaction mode keeps no plans.

use crate::{
    narrowing::{Act, Scene},
    place::Place,
    postgres_place::{Plain, Postgres, options},
    world::{Ask, Follower, NOW, World, by},
};
use postgres_fixture::Proxy;
use std::{collections::BTreeMap, sync::Arc};
use tegata_store::{ActStore, Committed, RevocationTarget, Store, Taking, postgres::PostgresStore};
use tegata_token::kind::Kind;

/// A database that logs its statements. Only one test at a time has one, since all databases of
/// a server share the log.
struct Logged {
    place: Postgres<Plain>,
}

static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

impl Logged {
    fn new() -> Self {
        let place = Postgres::<Plain>::new();
        place.sql(&format!("ALTER DATABASE {} SET log_statement = 'all'", place.database));
        Self { place }
    }

    /// The log, message by message.
    fn messages() -> Vec<String> {
        let log = Postgres::<Plain>::server().folder().path().join("log");
        let text = String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned();
        let mut all: Vec<String> = Vec::new();
        for line in text.lines() {
            match all.last_mut() {
                // A message of several lines.
                Some(last) if line.starts_with(['\t', ' ']) => *last += line,
                _ => all.push(line.to_owned()),
            }
        }
        all
    }

    /// How often each sort of statement was run since the log had so many messages.
    fn since(messages: usize) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for it in Self::messages().iter().skip(messages) {
            if let Some(sort) = sort(it) {
                *counts.entry(sort).or_default() += 1;
            }
        }
        counts
    }
}

/// What a message of the log says was run; `None`: nothing, or something that servers run whether
/// or not there are acts.
fn sort(message: &str) -> Option<&'static str> {
    let (_, text) = message
        .split_once("LOG:  execute <unnamed>: ")
        .or_else(|| message.split_once("LOG:  statement: "))?;
    let is = |word| text.contains(word);
    if is("SET beat =") || is("job_lease") {
        None
    } else if is("AS clock") {
        Some("looks")
    } else if is("FROM change_log") {
        Some("reads of the log")
    } else {
        Some("others")
    }
}

/// Revokes tokens one after the other, each at another server; returns how often each sort of
/// statement was run for them.
async fn revoked_by_turns(
    world: &World,
    others: &[Arc<dyn Store>],
    acts: usize,
) -> BTreeMap<&'static str, usize> {
    let shop = world.shop().await;
    let channel = Arc::new(world.snapshot(&shop).await);
    let mut counts = BTreeMap::new();
    for n in 0..acts {
        let claims = world.ask(&shop, Ask::new(Kind::ShortLived)).await.unwrap().claims;
        let target = RevocationTarget::Presented { serial: claims.serial, id: claims.id };
        let act = Taking::revoke_in(&channel, target, by(NOW));
        let before = Logged::messages().len();
        match n % (others.len() + 1) {
            0 => drop(ActStore::take(&**world, act).await.unwrap()),
            n => drop(others[n - 1].take(act).await.unwrap()),
        }
        for (sort, count) in Logged::since(before) {
            *counts.entry(sort).or_default() += count;
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_revocation_at_one_of_three_servers_takes_few_statements() {
    const ACTS: usize = 30;
    let _one = ONE.lock().await;
    let logged = Logged::new();
    let world = World::at(Box::new(logged.place)).await;
    let mut others: Vec<Arc<dyn Store>> = Vec::new();
    for _ in 0..2 {
        others.push(world.place.open(false, Box::new(|_| {})).await.unwrap().into());
    }
    // Until every server knows of the others.
    revoked_by_turns(&world, &others, 6).await;
    let counts = revoked_by_turns(&world, &others, ACTS).await;
    println!("{ACTS} revocations: {counts:?}");
    let of = |sort| counts.get(sort).copied().unwrap_or_default();
    // A lock, three reads, BEGIN, one that writes, COMMIT, what it says; a read of receipts and an
    // acknowledgement by each of two servers.
    assert!(of("others") <= 13 * ACTS, "{counts:?}");
    // Two servers read it. One that looks at the moment at which it grows may read it twice.
    assert!(of("reads of the log") <= 5 * ACTS / 2, "{counts:?}");
    // With each read of the log one, and one when all have it; they also look by themselves.
    assert!(of("looks") >= ACTS, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_does_not_read_back_what_it_has_written_itself() {
    let _one = ONE.lock().await;
    let logged = Logged::new();
    let world = World::at(Box::new(logged.place)).await;
    let before = Logged::messages().len();
    for _ in 0..20 {
        let shop = world.shop().await;
        let serial = world.get(&shop, Ask::new(Kind::ShortLived)).await;
        world.revoke_at(&shop, RevocationTarget::Stored { serial }, NOW).await;
    }
    let read = Logged::since(before).get("reads of the log").copied().unwrap_or_default();
    // A look by itself, at the moment of a commit, may find that it grew.
    assert!(read <= 5, "{read}");
    let receipts =
        world.follower.followed().commits.iter().map(|it| it.receipts.len()).sum::<usize>();
    assert_eq!(receipts, 20);
}

/// All that was followed, change by change.
fn flat(
    commits: &[Committed],
) -> (Vec<(u64, tegata_store::Change)>, Vec<tegata_store::ReceiptRow>) {
    let mut changes = Vec::new();
    for it in commits {
        let first = it.position.number - it.changes.len() as u64;
        changes.extend((first + 1..).zip(it.changes.iter().cloned()));
    }
    (changes, commits.iter().flat_map(|it| it.receipts.clone()).collect())
}

/// Acts that narrow, none of which makes another one impossible.
const DIFFERENT: [Act; 11] = [
    Act::RevokeLeaks,
    Act::RevokeOne,
    Act::RevokeStateless,
    Act::TightenRules,
    Act::TightenLimits,
    Act::SetGroup,
    Act::RevokeKind,
    Act::RevokeGroup,
    Act::RevokeAll,
    Act::TightenVerifier,
    Act::Suspend,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_server_has_written_is_the_same_in_its_memory_as_in_the_others() {
    let world = World::new::<Postgres<Plain>>().await;
    let shop = world.shop().await;
    let follower = Follower::new();
    let other = world.place.open(false, follower.on_commit()).await.unwrap();
    let begun = other.state().await.unwrap().view;
    let after = begun.position();
    follower.begin(begun);
    let mut scene = Scene::set(&world).await;
    for act in DIFFERENT {
        scene.perform(&world, act).await;
    }
    // It narrows, so the other server has all before its answer.
    world.revoke_at(&shop, RevocationTarget::All, NOW).await;
    let (changes, receipts) = flat(&world.follower.followed().commits);
    let changes: Vec<_> = changes.into_iter().filter(|it| it.0 > after.number).collect();
    let receipts: Vec<_> = receipts.into_iter().filter(|it| it.position > after).collect();
    assert!(changes.len() > 12 && receipts.len() > 6, "{} {}", changes.len(), receipts.len());
    assert_eq!(flat(&follower.followed().commits), (changes, receipts));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_whose_notifications_are_refused_acknowledges_without_them() {
    let _one = ONE.lock().await;
    let logged = Logged::new();
    let server = Postgres::<Plain>::server();
    // It hears the others, and cannot say anything.
    let mute = Proxy::spoiling(server.port(), &["NOTIFY"]).unwrap();
    let database = logged.place.database.clone();
    let world = World::at(Box::new(logged.place)).await;
    let shop = world.shop().await;
    let follower = Follower::new();
    let to = options(mute.url(&database), Some(server.url(&database)), false);
    let other = PostgresStore::open(to, follower.on_commit()).await.unwrap();
    follower.begin(other.state().await.unwrap().view);
    for _ in 0..20 {
        let serial = world.get(&shop, Ask::new(Kind::ShortLived)).await;
        world.revoke_at(&shop, RevocationTarget::Stored { serial }, NOW).await;
    }
    // After the first that was refused, the row is written by a message of its own.
    let rows = Logged::messages();
    let refused = |it: &&String| it.contains("STATEMENT:") && it.contains("UPDATE applied");
    let refused = rows.iter().filter(refused).filter(|it| it.contains("tegata_applied")).count();
    assert!(refused <= 1, "{refused}");
    let own =
        |it: &&String| it.contains("LOG:  statement:") && it.contains("UPDATE applied SET pos");
    assert!(rows.iter().filter(own).count() >= 10);
}
