//! A store that is rolled back, by one commit or to a backup, beside a newer journal:
//! what was narrowed stays narrowed, and tokens issued from then on are active.

use crate::{
    agree,
    crash_points::Kept,
    lost_instances,
    narrowing::{ALL, Act, LATER, OTHERS, Scene, finish_provider_revocations},
    place::Place,
    world::{World, after, by, signing_key},
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};
use tegata_store::{
    Change, Recovery, SigningKeyChange,
    sqlite::{self, Recovering, RollbackGuardFile},
};
use tegata_token::{id::ChannelId, key::KeyState, view::View};

/// The store and its rollback guard, which are on one disk, without the journal.
const FILES: [&str; 3] = ["tegata.db", "tegata.db-wal", "guard"];

/// Reads them while nothing is written. That releases the locks of this process on the
/// store, and no other process has any.
fn copy(folder: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let read = |name: &str| (folder.join(name), fs::read(folder.join(name)).ok());
    FILES.map(read).into()
}

fn put_back(files: &[(PathBuf, Option<Vec<u8>>)], folder: &Path) {
    for (path, bytes) in files {
        match bytes {
            Some(bytes) => fs::write(path, bytes).unwrap(),
            None => drop(fs::remove_file(path)),
        }
    }
    // Shared memory does not survive.
    let _ = fs::remove_file(folder.join("tegata.db-shm"));
}

/// The state of a second process that follows the log.
struct Follower {
    view: View,
    channels: Vec<(ChannelId, String)>,
    keys: String,
}

impl Follower {
    async fn new(world: &World, scene: &Scene) -> Self {
        let state = world.state().await.unwrap();
        let mut channels = Vec::new();
        for id in [scene.shop.id, scene.other.id] {
            let channel = world.channel(id).await.unwrap();
            let secrets = channel.iter().flat_map(|it| &it.secrets);
            let secrets: Vec<_> = secrets.map(|it| it.hash.to_stored()).collect();
            channels.push((id, format!("{channel:?} {secrets:?}")));
        }
        Self { view: state.view, channels, keys: format!("{:?}", state.signing_keys) }
    }

    /// Reads the next entries of the log, and compares with the store's state.
    async fn follow(&self, world: &World, scene: &Scene, act: Act) {
        let now = Self::new(world, scene).await;
        let read = world.changes(self.view.position(), 1_000).await.unwrap();
        let changes: Vec<_> = read.unwrap().into_iter().map(|(_, change)| change).collect();
        let position = now.view.position();
        let view = after(&self.view, &changes, position);
        agree::views(&view, &now.view, [scene.shop.id, scene.other.id]);
        for ((id, then), (_, now)) in self.channels.iter().zip(&now.channels) {
            let discards =
                |it: &Change| matches!(it, Change::Channel { channel, .. } if channel == id);
            assert!(then == now || changes.iter().any(discards), "{act:?}: {then}\nis\n{now}");
        }
        let key = |it: &Change| matches!(it, Change::SigningKey(_));
        assert!(self.keys == now.keys || changes.iter().any(key), "{act:?}: the keys");
    }
}

/// What a server does at its start.
async fn start(world: &mut World) {
    world.reopen_alone().await;
    let keys = world.state().await.unwrap().signing_keys;
    if !keys.iter().any(|key| key.state == KeyState::Active) {
        let add = SigningKeyChange::Add(signing_key(7));
        world.change_signing_keys(add, by(LATER)).await.unwrap();
    }
}

#[tokio::test]
async fn a_commit_that_only_the_journal_has_is_replayed_with_its_counters() {
    for act in ALL {
        let place = <Kept as Place>::new();
        let folder = place.folder.path().to_owned();
        let mut world = World::at(Box::new(place)).await;
        let mut scene = Scene::set(&world).await;
        scene.prepare(&world, act).await;
        let files = copy(&folder);
        let follower = Follower::new(&world, &scene).await;
        scene.perform(&world, act).await;
        let revocations = scene.revocations(&world).await;
        let journal = fs::read_to_string(folder.join("journal")).unwrap().lines().count();

        world.close();
        put_back(&files, &folder);
        start(&mut world).await;
        assert_eq!(scene.revocations(&world).await, act.replayed(revocations), "{act:?}");
        follower.follow(&world, &scene, act).await;
        let lines = fs::read_to_string(folder.join("journal")).unwrap().lines().count();
        assert_eq!(lines, journal, "{act:?}: its lines are already there");
        scene.new_tokens_are_good(&world, act, LATER).await;
        for _ in 0..2 {
            start(&mut world).await;
            scene.new_tokens_are_good(&world, act, LATER).await;
        }
    }
}

/// Replays the journal. `key` is the new signing key's number.
async fn recover(store: &Path, folder: &Path, key: u8) {
    let journal = folder.join("journal");
    let recovering = Recovering::open(store, Recovery::Replay(&journal), false).unwrap();
    let guard = RollbackGuardFile { path: folder.join("guard"), fresh: [key; 16] };
    let (lost, by) = (Vec::new(), by(LATER));
    recovering.recover(signing_key(key), lost, false, guard, by).await.unwrap();
}

#[tokio::test]
async fn a_recovery_counts_instances_of_verifiers_that_were_created_or_changed_since_the_backup() {
    let place = <Kept as Place>::new();
    let (store, folder) = (place.path(), place.folder.path().to_owned());
    let mut world = World::at(Box::new(place)).await;
    lost_instances::before_the_backup(&world).await;
    let backup = folder.join("backup.db");
    sqlite::backup(&store, &backup, &mut |_, _| ()).unwrap();
    lost_instances::after_the_backup(&world).await;
    world.close();

    sqlite::restore(&backup, &store, false, &mut |_, _| ()).unwrap();
    recover(&store, &folder, 8).await;
    start(&mut world).await;
    lost_instances::are_counted_by_the_first_recovery(&world).await;
    lost_instances::after_the_first_recovery(&world).await;
    world.close();
    recover(&store, &folder, 9).await;
    start(&mut world).await;
    lost_instances::are_counted_by_the_second_recovery(&world).await;
}

#[tokio::test]
async fn a_narrowing_act_after_a_backup_survives_a_restore_and_a_replay() {
    for act in ALL {
        let place = <Kept as Place>::new();
        let (store, folder) = (place.path(), place.folder.path().to_owned());
        let mut world = World::at(Box::new(place)).await;
        let mut scene = Scene::set(&world).await;
        let backup = folder.join("backup.db");
        sqlite::backup(&store, &backup, &mut |_, _| ()).unwrap();
        scene.prepare(&world, act).await;
        scene.perform(&world, act).await;
        let revocations = scene.revocations(&world).await;
        world.close();

        sqlite::restore(&backup, &store, false, &mut |_, _| ()).unwrap();
        recover(&store, &folder, 8).await;
        start(&mut world).await;
        assert_eq!(scene.revocations(&world).await, act.replayed(revocations), "{act:?}");
        finish_provider_revocations(&world).await;
        scene.new_tokens_are_good(&world, act, LATER).await;
    }
}

#[tokio::test]
async fn after_a_recovery_no_receipt_stands_at_a_position_that_is_still_to_come() {
    let place = <Kept as Place>::new();
    let (store, folder) = (place.path(), place.folder.path().to_owned());
    let mut world = World::at(Box::new(place)).await;
    for _ in 0..50 {
        world.shop().await;
    }
    let job = world.begin_provider_revocation(world.provider, by(LATER)).await.unwrap();
    let (_, done) = world.continue_provider_revocation(job, 50, LATER).await.unwrap();
    let under_way = world.provider_revocations().await.unwrap();
    assert!(!done && under_way[0].channels_left == 0, "only its end is missing: {under_way:?}");
    let backup = folder.join("backup.db");
    sqlite::backup(&store, &backup, &mut |_, _| ()).unwrap();
    world.close();

    sqlite::restore(&backup, &store, false, &mut |_, _| ()).unwrap();
    recover(&store, &folder, 8).await;
    start(&mut world).await;
    finish_provider_revocations(&world).await;
    assert!(world.provider_revocations().await.unwrap().is_empty());
    let head = world.state().await.unwrap().view.position();
    world.close();
    let sql = "SELECT count(*) FROM receipt WHERE epoch = ?1 AND position > ?2";
    let store = rusqlite::Connection::open(&store).unwrap();
    let ahead: i64 =
        store.query_row(sql, (head.epoch as i64, head.number as i64), |row| row.get(0)).unwrap();
    assert_eq!(ahead, 0);
}

#[test]
fn every_act_of_the_store_is_tested_as_narrowing_or_listed_as_not_narrowing() {
    let acts = [include_str!("../../src/acts.rs"), include_str!("../../src/people.rs")].map(|it| {
        let (_, acts) = it.split_once("// ---- Acts.").unwrap();
        acts.split_once("\n}\n").unwrap().0
    });
    let name = |line: &str| -> Option<String> {
        let (name, _) = line.trim().strip_prefix("async fn ")?.split_once('(')?;
        Some(name.to_owned())
    };
    let there: BTreeSet<String> = acts.iter().flat_map(|it| it.lines()).filter_map(name).collect();
    let narrowing = ALL.map(Act::of_store);
    let known = narrowing.iter().chain(&OTHERS).map(|&name| name.to_owned());
    assert_eq!(there, BTreeSet::from_iter(known));
}
