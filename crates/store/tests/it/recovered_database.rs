//! A database that is put back from a backup, beside a newer journal of a server: what was
//! narrowed stays narrowed, and tokens issued from then on are active.

use crate::{
    lost_instances,
    narrowing::{ALL, Act, LATER, Scene},
    place::Place,
    postgres_place::{self, Plain, Postgres},
    world::{Ask, NOW, World, by, signing_key},
};
use async_trait::async_trait;
use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tegata_store::{
    OnCommit, Recovered, Recovery, ReplaceRootToken, RootTokenHash, Store, TokenName, TokenState,
    postgres::{
        PostgresLook, PostgresOpenError, PostgresOptions, PostgresStore, RecoveringPostgres,
    },
};
use tegata_token::{id::SigningKeyId, kind::Kind, time::UnixTime, verify::verify_claims};
use tempfile::TempDir;

/// A database, and the files of a server on it: a rollback guard and a revocation journal.
#[derive(Clone)]
struct Kept {
    database: Arc<Mutex<String>>,
    folder: Arc<TempDir>,
}

impl Kept {
    fn database(&self) -> String {
        self.database.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn url(&self) -> String {
        Postgres::<Plain>::server().url(&self.database())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A copy of the database, while no store is open.
    fn backup(&self) -> String {
        let server = Postgres::<Plain>::server();
        server.disconnect(&self.database());
        // It may not have signed off, and then others would wait for it for seconds.
        server.sql(&self.database(), "DELETE FROM replica").unwrap();
        server.disconnect(&self.database());
        server.copy(&self.database()).unwrap()
    }

    /// Puts a copy in the database's place.
    fn restore(&self, backup: String) {
        *self.database.lock().unwrap() = backup;
    }

    async fn recover(&self, how: Recovery<'_>, dry_run: bool) -> Recovered {
        self.recover_with(8, how, dry_run).await
    }

    /// `key` is the new signing key's number.
    async fn recover_with(&self, key: u8, how: Recovery<'_>, dry_run: bool) -> Recovered {
        let open = RecoveringPostgres::open(&self.url(), how, dry_run).await.unwrap();
        let (lost, token) = (Vec::new(), Some(AFTER_RECOVERY));
        open.recover(signing_key(key), lost, false, token, by(LATER)).await.unwrap()
    }
}

#[async_trait]
impl Place for Kept {
    fn new() -> Self {
        let database = postgres_place::fresh(Postgres::<Plain>::server());
        Self {
            database: Arc::new(Mutex::new(database)),
            folder: Arc::new(tempfile::tempdir().unwrap()),
        }
    }

    fn another(&self) -> Box<dyn Place> {
        Box::new(Self::new())
    }

    async fn open(&self, dev: bool, on_commit: OnCommit) -> Result<Box<dyn Store>, String> {
        let options = PostgresOptions {
            guard: Some(self.file("guard")),
            journal: Some(self.file("journal")),
            ..postgres_place::options(self.url(), None, dev)
        };
        let store = PostgresStore::open(options, on_commit).await;
        store.map(|it| Box::new(it) as Box<dyn Store>).map_err(|error| error.to_string())
    }

    async fn limit_key(&self, _key: SigningKeyId, _before: UnixTime) {
        unreachable!("no case here limits a key");
    }
}

/// Replays a narrowing act from a journal. No journal has the end of a revocation of a
/// provider's tokens, so the recovery goes through with it.
async fn replayed(act: Act) {
    let place = <Kept as Place>::new();
    let mut world = World::at(Box::new(place.clone())).await;
    let mut scene = Scene::set(&world).await;
    world.close();
    let backup = place.backup();
    world.reopen().await;
    scene.prepare(&world, act).await;
    scene.perform(&world, act).await;
    let revocations = scene.revocations(&world).await;
    world.close();

    place.restore(backup);
    let refused = place.open(false, Box::new(|_| {})).await.err().unwrap();
    assert!(refused.contains("not the newest state"), "{act:?}: {refused}");
    let journal = place.file("journal");
    place.recover(Recovery::Replay(&journal), false).await;
    world.reopen_alone().await;
    if act != Act::BeginProviderRevocation {
        assert_eq!(scene.revocations(&world).await, act.replayed(revocations), "{act:?}");
    }
    scene.new_tokens_are_good(&world, act, LATER).await;
}

#[tokio::test]
async fn a_narrowing_act_after_a_backup_survives_a_restore_and_a_replay() {
    let every = if crate::is_long() { 1 } else { 4 };
    for act in ALL.into_iter().step_by(every) {
        replayed(act).await;
    }
}

#[tokio::test]
async fn a_recovery_counts_instances_of_verifiers_that_were_created_or_changed_since_the_backup() {
    let place = <Kept as Place>::new();
    let mut world = World::at(Box::new(place.clone())).await;
    lost_instances::before_the_backup(&world).await;
    world.close();
    let backup = place.backup();
    world.reopen().await;
    lost_instances::after_the_backup(&world).await;
    world.close();

    place.restore(backup);
    let journal = place.file("journal");
    place.recover_with(8, Recovery::Replay(&journal), false).await;
    world.reopen_alone().await;
    lost_instances::are_counted_by_the_first_recovery(&world).await;
    lost_instances::after_the_first_recovery(&world).await;
    world.close();
    place.recover_with(9, Recovery::Replay(&journal), false).await;
    world.reopen_alone().await;
    lost_instances::are_counted_by_the_second_recovery(&world).await;
}

/// A root administrator's token with this number.
const fn root_token(n: u8) -> RootTokenHash {
    RootTokenHash([n; 32])
}

/// The one that a recovery puts in force that revokes everything.
const AFTER_RECOVERY: RootTokenHash = root_token(9);

async fn replace(world: &World, new: u8, old: Option<u8>) -> bool {
    let instead_of = old.map(root_token);
    let act = ReplaceRootToken { new: root_token(new), instead_of, by: by(LATER) };
    world.replace_root_token(act).await.unwrap()
}

async fn in_force(world: &World) -> Option<RootTokenHash> {
    world.catch_up().await.unwrap();
    let (stored, followed) = (world.root_tokens().await.unwrap().in_force, world.root_token());
    assert_eq!(stored, followed);
    stored
}

/// A database with the first root token, its backup, and its state after two replacements.
async fn with_root_tokens() -> (Kept, World, String) {
    let place = <Kept as Place>::new();
    let mut world = World::at(Box::new(place.clone())).await;
    assert!(replace(&world, 1, None).await);
    world.close();
    let backup = place.backup();
    world.reopen().await;
    assert!(replace(&world, 2, Some(1)).await);
    assert!(replace(&world, 3, Some(2)).await);
    assert!(!replace(&world, 1, Some(3)).await, "one that was replaced never comes back");
    assert!(!replace(&world, 4, Some(2)).await, "another one is in force");
    assert_eq!(in_force(&world).await, Some(root_token(3)));
    world.close();
    (place, world, backup)
}

#[tokio::test]
async fn a_root_token_that_was_replaced_after_a_backup_stays_replaced_after_a_replay() {
    let (place, mut world, backup) = with_root_tokens().await;
    place.restore(backup);
    let journal = place.file("journal");
    // The second time nothing is left to do.
    for key in [8, 9] {
        place.recover_with(key, Recovery::Replay(&journal), false).await;
        world.reopen_alone().await;
        assert_eq!(in_force(&world).await, Some(root_token(3)));
        for stolen in [1, 2] {
            assert!(!replace(&world, stolen, Some(3)).await, "it never comes back");
        }
        world.close();
    }
}

#[tokio::test]
async fn a_recovery_without_a_journal_puts_another_root_token_in_force() {
    let (place, mut world, backup) = with_root_tokens().await;
    place.restore(backup);
    place.recover(Recovery::RevokeEverything { log: None, clock: None }, false).await;
    world.reopen_alone().await;
    assert_eq!(in_force(&world).await, Some(AFTER_RECOVERY));
    assert!(!replace(&world, 1, Some(9)).await, "it never comes back");
}

#[tokio::test]
async fn a_replay_revokes_no_token_that_was_issued_long_before_the_database_was_written_last() {
    let place = <Kept as Place>::new();
    let mut world = World::at(Box::new(place.clone())).await;
    let shop = world.shop().await;
    // The last changes were made at NOW; these acts evict no token, and so make none.
    let (some, last) = (UnixTime(NOW.0 + 1_800), UnixTime(NOW.0 + 3_600));
    let [token, late] = [some, last].map(|at| Ask::new(Kind::V21).at(at));
    let position = world.state().await.unwrap().view.position();
    let token = world.ask(&shop, token).await.unwrap().claims;
    let late = world.ask(&shop, late).await.unwrap().claims;
    let state = world.state().await.unwrap();
    assert_eq!((state.view.position(), state.written_at), (position, last));
    world.close();
    let look = PostgresLook::at(&place.url()).await.unwrap();
    let known = look.store().await.unwrap().unwrap();
    assert_eq!(known.written_at, last, "doctor compares the clock with that");

    let journal = place.file("journal");
    let (url, how) = (place.url(), Recovery::Replay(&journal));
    let open = RecoveringPostgres::open(&url, how, false).await.unwrap();
    assert_eq!(open.before().await.unwrap().written_at, last);
    let at = UnixTime(last.0 + 60);
    let done = open.recover(signing_key(8), Vec::new(), false, None, by(at)).await.unwrap();
    assert_eq!(done.issued_before, Some(UnixTime(last.0 - 45)));
    world.reopen_alone().await;
    let view = world.state().await.unwrap().view;
    assert!(verify_claims(&token, at, &view).is_ok(), "the database has had it all the time");
    assert!(verify_claims(&late, at, &view).is_err(), "one of that time may have been lost");
}

#[tokio::test]
async fn a_recovery_without_a_journal_revokes_everything() {
    let place = <Kept as Place>::new();
    let mut world = World::at(Box::new(place.clone())).await;
    let shop = world.shop().await;
    let token = world.ask(&shop, Ask::new(Kind::ShortLived)).await.unwrap();
    let before = world.state().await.unwrap();

    let how = Recovery::RevokeEverything { log: None, clock: None };
    let used = RecoveringPostgres::open(&place.url(), how, false).await.err().unwrap();
    assert!(matches!(used, PostgresOpenError::InUse(1)), "{used}");

    world.close();
    place.recover(how, true).await;
    world.reopen_alone().await;
    let same = world.state().await.unwrap();
    assert_eq!(same.view.position(), before.view.position(), "it was a dry run");
    world.close();

    let done = place.recover(how, false).await;
    assert!(done.epoch > before.view.position().epoch);
    assert_eq!((done.issued_before, done.old_keys, done.tokens), (None, 1, 1));
    world.reopen_alone().await;
    let row = world.token(shop.id, TokenName::Serial(token.claims.serial), LATER);
    assert_eq!(row.await.unwrap().unwrap().state, TokenState::Revoked);
    let new = world.ask(&shop, Ask::new(Kind::ShortLived)).await.unwrap();
    assert!(new.claims.serial.0 > token.claims.serial.0 + 1_000_000, "lost serials are not used");
    let journal = fs::read_to_string(place.file("journal")).unwrap();
    assert_eq!(journal.matches("begins").count(), 2, "it is complete from the recovery on");
}

#[tokio::test]
async fn a_recovery_that_sets_the_time_goes_by_the_databases_clock() {
    let place = <Kept as Place>::new();
    World::at(Box::new(place.clone())).await.close();
    let server = Postgres::<Plain>::server();
    let later = "UPDATE authority SET written_at = written_at + 400000000";
    server.sql(&place.database(), later).unwrap();
    // As the clock of a machine is that runs the recovery and is wrong by years.
    let how = Recovery::RevokeEverything { log: None, clock: Some(UnixTime(1_000_000_000)) };
    place.recover(how, false).await;
    let off = "SELECT abs(written_at - extract(epoch FROM clock_timestamp())) < 600 FROM authority";
    let rows = server.ask(&place.database(), off).unwrap();
    assert_eq!(rows, [[Some("t".to_owned())]]);
}

#[tokio::test]
async fn a_server_that_runs_during_a_recovery_gives_up() {
    let place = <Kept as Place>::new();
    let mut world = World::at(Box::new(place.clone())).await;
    let shop = world.shop().await;
    world.close();
    let how = Recovery::RevokeEverything { log: None, clock: None };
    let open = RecoveringPostgres::open(&place.url(), how, false).await.unwrap();
    world.reopen().await;
    open.recover(signing_key(8), Vec::new(), false, None, by(LATER)).await.unwrap();
    world.stopped().await;
    assert!(world.ask(&shop, Ask::new(Kind::ShortLived)).await.is_err());
    let server = Postgres::<Plain>::server();
    let rows = server.ask(&place.database(), "SELECT id FROM replica").unwrap();
    assert!(rows.is_empty(), "it has registered again, and acts would wait for it");
}

#[tokio::test]
async fn a_journal_takes_up_what_other_servers_did_while_its_own_was_down() {
    let place = <Kept as Place>::new();
    let mut world = World::at(Box::new(place.clone())).await;
    let mut scene = Scene::set(&world).await;
    world.close();
    let lines = || fs::read_to_string(place.file("journal")).unwrap().lines().count();
    let before = lines();
    {
        let server = Postgres::<Plain>::server().url(&place.database());
        let other = postgres_place::options(server, None, false);
        let other = PostgresStore::open(other, Box::new(|_| {})).await.unwrap();
        world.adopt(Box::new(other));
        scene.prepare(&world, Act::RevokeOne).await;
        scene.perform(&world, Act::RevokeOne).await;
        assert_eq!(lines(), before, "the other server keeps no journal");
    }
    world.reopen_alone().await;
    assert_eq!(lines(), before + 1);
}
