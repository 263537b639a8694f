//! Power fails at any instant, and no acknowledged act is lost.
//!
//! Many clients act at once on a disk that forgets what was not synced. At random
//! instants, and while a commit is held before or after its sync, the state that a
//! power loss would leave is copied, with a list of the acts acknowledged by then. Each
//! copy is opened by the ordinary VFS and checked.

use crate::{
    disk,
    place::{Place, Sqlite},
    rounds,
    world::{Ask, NOW, Shop, World, group},
};
use faulty_vfs::{FaultyVfs, SyncStage};
use rusqlite::{Connection, OpenFlags};
use std::{
    panic::AssertUnwindSafe,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tegata_policy::rules::Rule;
use tegata_store::{AuditFilter, ChannelPatch, Error, RevocationTarget, Store, sqlite::Faults};
use tegata_token::{
    claims::Claims,
    id::{ChannelId, TokenId},
    kind::Kind,
    verify::verify_claims,
};
use tokio::sync::Notify;

const CLIENTS: usize = 12;
const ACTS: usize = 40;

/// What the clients know to be committed.
#[derive(Clone, Default)]
struct Acknowledged {
    issued: Vec<Claims>,
    revoked: Vec<Claims>,
    /// The highest revision of each channel.
    revisions: Vec<(ChannelId, u64)>,
    /// Acts that write an audit event.
    audited: usize,
}

/// A disk after a power loss, and what must be on it.
struct Loss {
    copy: Sqlite,
    acknowledged: Acknowledged,
    /// Acts that were begun and not answered then.
    in_flight: usize,
    held: bool,
}

/// The shared state of one round.
struct Round {
    vfs: FaultyVfs,
    acknowledged: Mutex<Acknowledged>,
    begun: AtomicUsize,
    answered: AtomicUsize,
    progress: Notify,
    losses: Mutex<Vec<Loss>>,
}

impl Round {
    /// Simulates a power loss now; with a seed, the last writes are torn.
    fn lose_power(&self, torn: Option<u64>, held: bool) {
        // In this order: acts that are acknowledged later are not required.
        let answered = self.answered.load(Ordering::SeqCst);
        let acknowledged = self.acknowledged.lock().unwrap().clone();
        let in_flight = self.begun.load(Ordering::SeqCst) - answered;
        let copy = Sqlite::new();
        match torn {
            Some(seed) => self.vfs.power_loss_torn(copy.folder.path(), seed).unwrap(),
            None => self.vfs.power_loss(copy.folder.path()).unwrap(),
        }
        self.losses.lock().unwrap().push(Loss { copy, acknowledged, in_flight, held });
    }
}

/// Pseudorandom numbers (Steele et al., "SplitMix", 2014).
struct Lots(u64);

impl Lots {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ mixed >> 31) % end as u64) as usize
    }
}

/// One client: acts on its channel, and records what was acknowledged.
async fn client(world: Arc<World>, round: Arc<Round>, shop: Shop, seed: u64) {
    let mut lots = Lots(seed);
    let group = format!("g{}", seed % 7);
    // Stateless tokens are issued without the store; their revocations are on its disk.
    let mut own: Vec<Claims> = Vec::new();
    for _ in 0..ACTS {
        round.begun.fetch_add(1, Ordering::SeqCst);
        let known = || round.acknowledged.lock().unwrap();
        match lots.below(12) {
            0..=5 => {
                let kind = [Kind::V21, Kind::ShortLived, Kind::LongLived][lots.below(3)];
                let mut ask = Ask::new(kind).delay(0);
                ask.group = Some(self::group(&group)).filter(|_| lots.below(2) == 0);
                if let Ok(issued) = world.ask(&shop, ask).await {
                    known().issued.push(issued.claims.clone());
                    own.push(issued.claims);
                }
            }
            6..=7 => {
                if let Some(token) = own.pop() {
                    world
                        .revoke_at(&shop, RevocationTarget::Stored { serial: token.serial }, NOW)
                        .await;
                    let mut known = known();
                    known.revoked.push(token);
                    known.audited += 1;
                }
            }
            8 => {
                let of = Some(self::group(&group));
                let of_group = |it: &&Claims| it.channel == shop.id && it.group == of;
                let ends: Vec<_> = known().issued.iter().filter(of_group).cloned().collect();
                let target = RevocationTarget::Group(self::group(&group));
                match world.revoke(shop.id, target, false, crate::world::by(NOW)).await {
                    Err(Error::NotFound("group")) => continue,
                    done => done.unwrap(),
                };
                let mut known = known();
                known.revoked.extend(ends);
                known.audited += 1;
            }
            9 => {
                let grant = world.grant(&shop, &Ask::new(Kind::Stateless)).await;
                let id = TokenId(u128::from(world.fresh()).to_be_bytes());
                let token = grant.stateless_claims(id, crate::world::signing_key(1).id, NOW);
                let expires_at = token.expires_at;
                world.revoke_at(&shop, RevocationTarget::Stateless { id, expires_at }, NOW).await;
                let mut known = known();
                known.revoked.push(token);
                known.audited += 1;
            }
            10 => {
                let cap = Some(1 + lots.below(3));
                let patch = ChannelPatch { group_cap: cap, ..ChannelPatch::default() };
                let channel = world.patch(&shop, patch).await;
                let mut known = known();
                known.revisions.push((shop.id, channel.unwrap().revision));
                known.audited += 1;
            }
            _ => {
                let other = world.shop().await;
                let mut known = known();
                known.revisions.push((other.id, 2));
                known.audited += 2;
            }
        }
        round.answered.fetch_add(1, Ordering::SeqCst);
        round.progress.notify_one();
    }
}

/// A checkpoint of SQLite's log; its automatic one would come much later.
async fn checkpoint(path: &Path, vfs: &FaultyVfs) {
    let (path, vfs) = (path.to_owned(), vfs.name().to_owned());
    let checkpoint = move || {
        let flags = OpenFlags::default();
        let conn = Connection::open_with_flags_and_vfs(path, flags, vfs.as_str()).unwrap();
        conn.execute_batch("PRAGMA wal_checkpoint(PASSIVE)").unwrap();
    };
    tokio::task::spawn_blocking(checkpoint).await.unwrap();
}

/// Runs the clients with power losses; returns what each loss leaves.
async fn live(seed: u64, synchronous_off: bool) -> Vec<Loss> {
    let folder = tempfile::tempdir().unwrap();
    let vfs = FaultyVfs::new(folder.path()).unwrap();
    let faults = Faults { vfs: Some(vfs.name().into()), synchronous_off, ..Faults::default() };
    let path = folder.path().join("tegata.db");
    let mut world = World::at(Box::new(Sqlite { folder, faults })).await;
    let mut shops = Vec::new();
    for _ in 0..3 {
        shops.push(world.shop().await);
    }
    let round = Arc::new(Round {
        vfs: vfs.clone(),
        acknowledged: Mutex::default(),
        begun: AtomicUsize::new(0),
        answered: AtomicUsize::new(0),
        progress: Notify::new(),
        losses: Mutex::default(),
    });

    let lots = Mutex::new(Lots(seed));
    let hook = Arc::downgrade(&round);
    vfs.on_sync(move |point| {
        let Some(round) = hook.upgrade() else { return };
        let mut lots = lots.lock().unwrap();
        // The database file itself is synced by checkpoints only.
        if lots.below(if point.is_wal() { 12 } else { 3 }) == 0 {
            let torn = (lots.below(2) == 0).then(|| lots.below(1 << 30) as u64);
            round.lose_power(torn, point.stage == SyncStage::Before);
        }
    });
    let arc = Arc::new(world);
    let mut clients = tokio::task::JoinSet::new();
    for n in 0..CLIENTS {
        let shop = shops[n % shops.len()].clone();
        clients.spawn(client(arc.clone(), round.clone(), shop, seed * 100 + n as u64));
    }
    let mut lots = Lots(!seed);
    loop {
        tokio::select! {
            client = clients.join_next() => match client {
                Some(client) => client.unwrap(),
                None => break,
            },
            // At any instant, while the clients continue.
            () = round.progress.notified() => match lots.below(16) {
                0 => {
                    let torn = (lots.below(2) == 0).then(|| lots.below(1 << 30) as u64);
                    let round = round.clone();
                    let losing = move || round.lose_power(torn, false);
                    tokio::task::spawn_blocking(losing).await.unwrap();
                }
                1 => checkpoint(&path, &vfs).await,
                _ => {}
            },
        }
    }
    vfs.clear_on_sync();
    world = Arc::into_inner(arc).unwrap();
    world.close();
    std::mem::take(&mut *round.losses.lock().unwrap())
}

/// What is wrong with a disk; empty if nothing is.
async fn missing(loss: &Loss) -> Vec<String> {
    let asked = catch(disk::whole(&loss.copy)).await;
    let whole = match asked {
        Ok(whole) => whole,
        Err(why) => return vec![format!("inconsistent: {why}")],
    };
    let mut missing = Vec::new();
    let must = &loss.acknowledged;
    for token in &must.issued {
        let found = whole.tokens.iter().find(|it| it.id == token.id);
        if found != Some(token) {
            missing.push(format!("issued: {token:?}, found {found:?}"));
        }
    }
    let view = whole.store.state().await.unwrap().view;
    for token in &must.revoked {
        if let Ok(until) = verify_claims(token, NOW, &view) {
            missing.push(format!("revoked: {token:?} is active until {until:?}"));
        }
    }
    for &(channel, revision) in &must.revisions {
        let found = whole.store.channel(channel).await.unwrap().map(|it| it.revision);
        if found.is_none_or(|found| found < revision) {
            missing.push(format!("changed: {channel} to {revision}, found {found:?}"));
        }
    }
    let audited = whole.store.audit(AuditFilter::default(), crate::world::ALL).await.unwrap().len();
    if audited < must.audited {
        missing.push(format!("audited: {} acts, found {audited}", must.audited));
    }
    for (&(channel, kind), &living) in &whole.living {
        let most = Rule::of(kind).cap.unwrap().most;
        if living > most {
            missing.push(format!("capped: {living} {kind} tokens are active in {channel}"));
        }
    }
    missing
}

/// The panic of a future as text.
async fn catch<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = Box::pin(future);
    std::future::poll_fn(move |context| {
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        match polled {
            Ok(poll) => poll.map(Ok),
            Err(why) => {
                let text = why.downcast_ref::<String>().cloned();
                let text = text.or_else(|| why.downcast_ref::<&str>().map(|it| (*it).into()));
                std::task::Poll::Ready(Err(text.unwrap_or_default()))
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_power_loss_at_any_instant_loses_nothing_that_was_acknowledged() {
    let (mut copies, mut held, mut in_flight) = (0, 0, 0);
    let (mut looked_for, mut acknowledged) = (0, 0);
    for seed in 1..=rounds(2) as u64 {
        let mut most = 0;
        for loss in live(seed, false).await {
            let missing = missing(&loss).await;
            assert!(missing.is_empty(), "seed {seed}: {missing:#?}");
            let it = &loss.acknowledged;
            let here = it.issued.len() + it.revoked.len() + it.revisions.len();
            copies += 1;
            held += usize::from(loss.held);
            in_flight += loss.in_flight;
            looked_for += here;
            most = most.max(here);
        }
        acknowledged += most;
    }
    println!(
        "{acknowledged} acknowledged acts; {copies} power losses, {held} of them before a sync, \
         with {in_flight} acts in flight; {looked_for} times an act was looked for, and found"
    );
    assert!(copies > 20 && held > 3 && in_flight > 20 && acknowledged > 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_sync_the_same_test_fails() {
    let losses = live(1, true).await;
    let mut lost = 0;
    for loss in &losses {
        let missing = missing(loss).await;
        lost += missing.iter().filter(|what| what.starts_with("issued")).count();
        lost += usize::from(missing.iter().any(|what| what.starts_with("inconsistent")));
    }
    println!("{} power losses without sync: {lost} losses found", losses.len());
    assert!(lost > 0, "the test finds nothing");
}
