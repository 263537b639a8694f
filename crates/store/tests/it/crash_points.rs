//! The rollback guard and the revocation journal beside a store that loses power:
//! whatever a crash leaves of the three files, the next start succeeds and no revoked
//! token is active; an older state of the store beside newer files does not open, or
//! loses no revocation.
//!
//! At each sync of the store its disk is copied. Each copy is combined with all states
//! that the two other files can have then: the journal without its newest lines, with a
//! part of them, with zeros, with all; the rollback guard as it is, or as it was after
//! any earlier commit, since it follows the store with a delay.

use crate::{
    place::Place,
    rounds,
    world::{Ask, NOW, World, by, signing_key},
};
use async_trait::async_trait;
use faulty_vfs::{FaultyVfs, SyncStage};
use rusqlite::Connection;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tegata_policy::channel::RevokeTokens;
use tegata_policy::secret::PlainSecret;
use tegata_store::{
    ChannelPatch, OnCommit, RevocationTarget, SigningKeyChange, Store,
    sqlite::{Faults, OpenError, Options, RollbackGuardFile, SqliteStore},
};
use tegata_token::{
    claims::Claims, id::SigningKeyId, kind::Kind, time::UnixTime, verify::verify_claims,
    view::ChannelState,
};
use tempfile::TempDir;

/// A store with a rollback guard and a revocation journal, in one folder.
pub struct Kept {
    /// The folder.
    pub folder: TempDir,
    vfs: Option<String>,
}

impl Kept {
    fn options(&self) -> Options {
        let path = self.folder.path().join("guard");
        static STARTS: AtomicU64 = AtomicU64::new(1);
        let mut fresh = [0; 16];
        fresh[..8].copy_from_slice(&STARTS.fetch_add(1, Relaxed).to_be_bytes());
        Options {
            issuer: crate::world::ISSUER.into(),
            guard: Some(RollbackGuardFile { path, fresh }),
            revocation_journal: Some(self.folder.path().join("journal")),
            faults: Faults { vfs: self.vfs.clone(), synchronous_off: false, ..Faults::default() },
            ..Options::default()
        }
    }

    /// The store's file.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("tegata.db")
    }
}

#[async_trait]
impl Place for Kept {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), vfs: None }
    }

    fn another(&self) -> Box<dyn Place> {
        Box::new(Self::new())
    }

    async fn open(&self, _dev: bool, on_commit: OnCommit) -> Result<Box<dyn Store>, String> {
        let store = SqliteStore::open(&self.path(), self.options(), on_commit);
        store.map(|it| Box::new(it) as Box<dyn Store>).map_err(|error| error.to_string())
    }

    async fn limit_key(&self, _key: SigningKeyId, _before: UnixTime) {
        unreachable!("no case here limits a key");
    }
}

/// The tokens that acknowledged and pending acts concern at a moment.
#[derive(Clone, Default)]
struct Known {
    living: Vec<Claims>,
    /// Their revocation is requested, and not acknowledged yet.
    doubtful: Vec<Claims>,
    revoked: Vec<Claims>,
}

/// The three files at a moment.
struct Moment {
    store: Vec<(String, Vec<u8>)>,
    log: Option<Vec<u8>>,
    guard: Option<Vec<u8>>,
    known: Known,
    /// The newest commit may not be in the journal yet.
    before: bool,
}

fn read(path: &Path) -> Option<Vec<u8>> {
    fs::read(path).ok()
}

/// Runs a history; returns the files that each sync would have left.
async fn live(seed: u64) -> Vec<Moment> {
    let folder = tempfile::tempdir().unwrap();
    let vfs = FaultyVfs::new(folder.path()).unwrap();
    let (moments, known) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::default()));
    let (seen, knows): (_, Arc<Mutex<Known>>) = (moments.clone(), known.clone());
    let (disk, home) = (vfs.clone(), folder.path().to_owned());
    vfs.on_sync(move |point| {
        let moment = |torn: Option<u64>| {
            let copy = tempfile::tempdir().unwrap();
            match torn {
                Some(seed) => disk.power_loss_torn(copy.path(), seed).unwrap(),
                None => disk.power_loss(copy.path()).unwrap(),
            }
            let files = ["tegata.db", "tegata.db-wal", "tegata.db-journal"];
            let there = |name: &str| Some((name.to_owned(), read(&copy.path().join(name))?));
            seen.lock().unwrap().push(Moment {
                store: files.into_iter().filter_map(there).collect(),
                log: read(&home.join("journal")),
                guard: read(&home.join("guard")),
                known: knows.lock().unwrap().clone(),
                before: point.stage == SyncStage::Before && torn.is_none(),
            });
        };
        moment(None);
        if point.stage == SyncStage::Before {
            moment(Some(seed));
        }
    });
    let place = Kept { folder, vfs: Some(vfs.name().into()) };
    history(World::at(Box::new(place)).await, &known).await;
    vfs.clear_on_sync();
    Arc::into_inner(moments).unwrap().into_inner().unwrap()
}

async fn history(mut world: World, known: &Mutex<Known>) {
    let shops = [world.shop().await, world.shop().await, world.shop().await];
    for shop in &shops {
        for kind in [Kind::V21, Kind::V21, Kind::V21, Kind::ShortLived, Kind::LongLived] {
            let issued = world.ask(shop, Ask::new(kind)).await.unwrap();
            known.lock().unwrap().living.push(issued.claims);
        }
    }
    let [first, second, third] = &shops;
    let token = |at: usize| known.lock().unwrap().living[at].clone();
    let (single, again) = (token(0).serial, token(1).serial);
    revoking(known, |it| it.channel == first.id && it.serial == single, async {
        world.revoke_at(first, RevocationTarget::Stored { serial: single }, NOW).await;
    })
    .await;
    revoking(known, |it| it.channel == second.id && it.kind == Kind::V21, async {
        world.revoke_at(second, RevocationTarget::Kind(Kind::V21), NOW).await;
    })
    .await;
    let issued = world.ask(second, Ask::new(Kind::V21)).await.unwrap();
    known.lock().unwrap().living.push(issued.claims);
    world.reopen().await;
    revoking(known, |it| it.channel == third.id, async {
        let secret = PlainSecret::from_caller("another one".to_owned());
        world.replace_secret(third.id, secret.hash(), 0, RevokeTokens::All, by(NOW)).await.unwrap();
    })
    .await;
    revoking(known, |it| it.channel == first.id && it.serial == again, async {
        world.revoke_at(first, RevocationTarget::Stored { serial: again }, NOW).await;
    })
    .await;
    revoking(known, |it| it.channel == second.id, async {
        let patch =
            ChannelPatch { state: Some(ChannelState::Suspended), ..ChannelPatch::default() };
        world.change_channel(second.id, patch, by(NOW)).await.unwrap();
    })
    .await;
    world.reopen().await;
    revoking(known, |_| true, async {
        let key = signing_key(1).id;
        let change = SigningKeyChange::Revoke { key, successor: signing_key(2) };
        world.change_signing_keys(change, by(NOW)).await.unwrap();
    })
    .await;
    world.close();
}

/// Runs an act that revokes the tokens that `which` selects.
async fn revoking(
    known: &Mutex<Known>,
    which: impl Fn(&Claims) -> bool,
    act: impl Future<Output = ()>,
) {
    {
        let mut now = known.lock().unwrap();
        let living = std::mem::take(&mut now.living).into_iter();
        (now.doubtful, now.living) = living.partition(|it| which(it));
    }
    act.await;
    let mut now = known.lock().unwrap();
    let revoked = std::mem::take(&mut now.doubtful);
    now.revoked.extend(revoked);
}

/// Combines the files of several moments, and opens the store.
fn start(
    store: &Moment,
    log: Option<&[u8]>,
    guard: Option<&[u8]>,
) -> (Kept, Result<SqliteStore, OpenError>) {
    let place = <Kept as Place>::new();
    let put = |name: &str, bytes: &[u8]| fs::write(place.folder.path().join(name), bytes).unwrap();
    for (name, bytes) in &store.store {
        put(name, bytes);
    }
    log.iter().for_each(|bytes| put("journal", bytes));
    guard.iter().for_each(|bytes| put("guard", bytes));
    // What a crash left of the file that was to replace the rollback guard.
    put("guard.new", b"{\"epoch\":1,\"po");
    let store = SqliteStore::open(&place.path(), place.options(), Box::new(|_| {}));
    (place, store)
}

async fn living(store: &SqliteStore, tokens: &[Claims]) -> usize {
    let view = store.state().await.unwrap().view;
    tokens.iter().filter(|token| verify_claims(token, NOW, &view).is_ok()).count()
}

/// The rollback guard as of the commit that the store has in `moment`; `like` is one of
/// the same run.
fn mark_at(moment: &Moment, like: &[u8]) -> Option<Vec<u8>> {
    let copy = tempfile::tempdir().unwrap();
    for (name, bytes) in &moment.store {
        fs::write(copy.path().join(name), bytes).unwrap();
    }
    let conn = Connection::open(copy.path().join("tegata.db")).unwrap();
    let sql = "SELECT epoch, position, commits, guard FROM authority";
    let row = conn.query_row(sql, [], |row| {
        let start: Vec<u8> = row.get(3)?;
        Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?, row.get::<_, u64>(2)?, start))
    });
    let (epoch, position, commits, start) = row.ok()?;
    let mut guard: serde_json::Value = serde_json::from_slice(like).unwrap();
    let start: String = start.iter().map(|byte| format!("{byte:02x}")).collect();
    (guard["start"] == start).then(|| {
        guard["epoch"] = epoch.into();
        guard["position"] = position.into();
        guard["commits"] = commits.into();
        format!("{guard}\n").into_bytes()
    })
}

/// The states of the journal between `before` and `now`.
fn logs<'a>(before: Option<&'a [u8]>, now: Option<&'a [u8]>) -> Vec<Option<Vec<u8>>> {
    let (Some(before), Some(now)) = (before, now) else {
        return vec![before.map(<[u8]>::to_vec), now.map(<[u8]>::to_vec)];
    };
    let Some(new) = now.strip_prefix(before).filter(|new| !new.is_empty()) else {
        return vec![Some(now.to_vec())];
    };
    let cuts = if rounds(1) > 1 { 12 } else { 3 };
    let mut all = vec![Some(before.to_vec()), Some(now.to_vec())];
    for cut in 1..=cuts {
        let there = &new[..new.len() * cut / (cuts + 1)];
        all.push(Some([before, there].concat()));
        let zeros = vec![0; new.len() - there.len()];
        all.push(Some([before, there, &zeros].concat()));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_crash_at_any_point_the_store_starts_and_revoked_tokens_stay_revoked() {
    let (mut starts, mut moments_seen, mut with_journal) = (0, 0, 0);
    for seed in 0..rounds(1) as u64 {
        let moments = live(seed).await;
        for (at, moment) in moments.iter().enumerate() {
            let earlier = &moments[..at];
            let log_before = earlier.iter().rev().find_map(|it| it.log.as_deref());
            let logs = match moment.before {
                true => logs(log_before, moment.log.as_deref()),
                false => vec![moment.log.clone()],
            };
            let marks = moment.guard.iter().flat_map(|guard| {
                let older = earlier.iter().rev().step_by(7).find_map(|it| mark_at(it, guard));
                let newest = mark_at(moment, guard);
                [Some(guard.clone()), older, newest].into_iter().flatten()
            });
            let mut marks: Vec<_> = marks.map(Some).collect();
            marks.push(moment.guard.clone());
            marks.dedup();
            for log in &logs {
                for guard in &marks {
                    let (_place, store) = start(moment, log.as_deref(), guard.as_deref());
                    let store = store.unwrap_or_else(|error| {
                        let text = |it: &Option<Vec<u8>>| {
                            it.as_ref().map(|it| String::from_utf8_lossy(it).into_owned())
                        };
                        panic!("moment {at}: {error}\n{:?}\n{:?}", text(guard), text(log))
                    });
                    let known = &moment.known;
                    assert_eq!(living(&store, &known.revoked).await, 0, "moment {at}");
                    assert_eq!(
                        living(&store, &known.living).await,
                        known.living.len(),
                        "moment {at}"
                    );
                    starts += 1;
                }
            }
            moments_seen += 1;
            with_journal += usize::from(!moment.known.revoked.is_empty());
        }
    }
    println!("{moments_seen} moments, {with_journal} of them with a journal; {starts} starts");
    assert!(moments_seen > 60 && with_journal > 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_older_store_beside_newer_files_does_not_open_or_loses_no_revocation() {
    let moments = live(1).await;
    let (mut refused, mut redone) = (0, 0);
    let step = if rounds(1) > 1 { 1 } else { 4 };
    for (at, old) in moments.iter().enumerate().step_by(step) {
        for now in moments[at..].iter().step_by(step) {
            // The rollback guard may be as old as the store, on the same disk.
            for guard in [&now.guard, &old.guard] {
                let (_place, store) = start(old, now.log.as_deref(), guard.as_deref());
                match store {
                    // A store that was never started has no journal.
                    Err(OpenError::WentBack { .. } | OpenError::Revocations(_)) => refused += 1,
                    Err(other) => panic!("{other}"),
                    Ok(store) => {
                        let active = living(&store, &now.known.revoked).await;
                        assert_eq!(active, 0, "moment {at} beside a later one");
                        redone += usize::from(now.known.revoked.len() > old.known.revoked.len());
                    }
                }
            }
        }
    }
    println!("{refused} did not open; {redone} started, and revoked again what they lacked");
    assert!(refused > 100 && redone > 0);
}
