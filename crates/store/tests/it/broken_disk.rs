//! A disk that fails at any call: a batch is committed as a whole or not at all, an
//! unknown outcome is reported as unknown, and an act's failure affects no other act.

use crate::{
    agree, disk,
    place::{Place, Sqlite},
    rounds,
    world::{ALL, Ask, BoxFuture, NOW, Shop, World, by, group, signing_key},
};
use faulty_vfs::{Call, Fault, FaultyVfs};
use rusqlite::{Connection, OpenFlags, ffi};
use std::time::Duration;
use tegata_policy::channel::RevokeTokens;
use tegata_policy::{channel::GroupSettings, secret::PlainSecret};
use tegata_store::{
    AuditFilter, ChannelPatch, Error, Result, RevocationTarget, SigningKeyChange, Store,
    TokenFilter, TokenName, TokenState, sqlite::Faults,
};
use tegata_token::{
    id::{ChannelId, Position, Serial, TokenId},
    kind::Kind,
};

/// A store on a disk that can fail.
struct Live {
    world: World,
    vfs: FaultyVfs,
    path: std::path::PathBuf,
    /// Full of short-lived tokens, with a long-lived one and one of group `a`.
    shop: Shop,
    other: Shop,
}

impl Live {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vfs = FaultyVfs::new(folder.path()).unwrap();
        let path = folder.path().join("tegata.db");
        let faults =
            Faults { vfs: Some(vfs.name().into()), synchronous_off: false, ..Faults::default() };
        let world = World::at(Box::new(Sqlite { folder, faults })).await;
        let (shop, other) = (world.shop().await, world.shop().await);
        let mut waiting = Vec::new();
        for n in 0..30 {
            let ask = Ask::new(Kind::ShortLived);
            let ask = if n == 7 { ask.group("a") } else { ask };
            waiting.push(world.grant(&shop, &ask).await);
        }
        waiting.push(world.grant(&shop, &Ask::new(Kind::LongLived)).await);
        waiting.push(world.grant(&other, &Ask::new(Kind::V21)).await);
        let issues = waiting
            .into_iter()
            .map(|grant| -> BoxFuture<'_, _> { Box::pin(world.take(grant, NOW)) });
        for issued in world.together(issues, || {}).await {
            issued.unwrap();
        }
        Self { world, vfs, path, shop, other }
    }

    /// Acts of many types, of which the disk may fail all, and the rules deny only the last.
    async fn acts(&self) -> Vec<BoxFuture<'_, Result<()>>> {
        let (world, shop, other) = (&self.world, &self.shop, &self.other);
        let take = |grant| -> BoxFuture<'_, Result<()>> {
            Box::pin(async move { world.take(grant, NOW).await.map(drop) })
        };
        let long = Ask::new(Kind::LongLived).delay(60);
        let mut acts = vec![
            take(world.grant(shop, &Ask::new(Kind::ShortLived)).await),
            take(world.grant(shop, &long).await),
            take(world.grant(shop, &Ask::new(Kind::V21)).await),
        ];
        macro_rules! act {
            ($act:expr) => {
                acts.push(Box::pin(async move { $act.await.map(drop) }))
            };
        }
        act!(world.revoke(shop.id, RevocationTarget::AssertionKey(shop.kid), false, by(NOW)));
        act!(world.revoke(other.id, RevocationTarget::All, false, by(NOW)));
        let secret = PlainSecret::from_random([world.fresh() as u8; 16]).hash();
        act!(world.replace_secret(other.id, secret, 60, RevokeTokens::All, by(NOW)));
        let settings = GroupSettings { cap: Some(5), ..GroupSettings::default() };
        act!(world.set_group(other.id, group("b"), settings.into(), by(NOW)));
        let new = world.new_channel(&PlainSecret::from_random([9; 16]));
        act!(world.create_channel(new, by(NOW)));
        let successor = signing_key(world.fresh() as u8);
        let key = successor.id;
        act!(world.change_signing_keys(SigningKeyChange::Add(successor), by(NOW)));
        act!(world.change_signing_keys(SigningKeyChange::Promote(key), by(NOW)));
        let id = TokenId(u128::from(world.fresh()).to_be_bytes());
        let stateless = RevocationTarget::Stateless { id, expires_at: NOW.plus(900) };
        act!(world.revoke(shop.id, stateless, false, by(NOW)));
        act!(world.revoke(
            ChannelId::from_number(1).unwrap(),
            RevocationTarget::All,
            false,
            by(NOW)
        ));
        acts
    }

    /// Runs them in one commit, during which the fault occurs. Returns whether they were
    /// committed, and how often the fault occurred.
    async fn strike(&self, fault: Fault) -> (bool, u64) {
        let before = self.world.follower.followed().commits.len();
        let acts = self.acts().await;
        let many = acts.len();
        let mut answers = self.world.together(acts, || self.vfs.inject(fault)).await;
        let struck = self.vfs.heal().failed;
        let refused = answers.pop().unwrap();
        let done = answers.iter().all(Result::is_ok);
        if done {
            assert!(matches!(refused, Err(Error::NotFound("channel"))), "{refused:?}");
        } else {
            answers.push(refused);
            let unknown = |it: &Result<()>| matches!(it, Err(Error::Unavailable(_)));
            assert!(answers.iter().all(unknown), "{many} acts, one outcome: {answers:?}");
            assert!(struck > 0, "{answers:?} without a fault");
        }
        let commits = self.world.follower.followed().commits.len() - before;
        assert_eq!(commits, 1 + usize::from(done), "one commit before them, one for all of them");
        (done, struck)
    }

    /// The end of the log on the disk after a power loss, and the number of tokens.
    async fn head_after_power_loss(&self) -> (Position, usize) {
        let copy = Sqlite::new();
        self.vfs.power_loss(copy.folder.path()).unwrap();
        head(&copy).await
    }
}

/// The end of the log in a valid store, and the number of its tokens.
async fn head(copy: &Sqlite) -> (Position, usize) {
    let whole = disk::whole(copy).await;
    (whole.store.state().await.unwrap().view.position(), whole.tokens.len())
}

/// Asserts that memory and rows agree; returns the end of the log.
async fn memory_agrees(live: &Live) -> Position {
    let state = live.world.state().await.unwrap();
    let followed = live.world.follower.followed().view.clone();
    agree::views(&state.view, &followed, [live.shop.id, live.other.id]);
    state.view.position()
}

/// Which of this many calls fail, one in each run: all, or in a quick run some, with the
/// first and the last among them.
fn which_of(calls: u64) -> impl Iterator<Item = u64> {
    let step = if rounds(1) > 1 { 1 } else { 4 };
    (1..=calls).filter(move |&n| n % step == 1 % step || n + 2 >= calls)
}

/// The number of these calls in the batch when nothing fails.
async fn calls(call: Call) -> u64 {
    let live = Live::new().await;
    let (done, _) = live.strike(Fault::nth(u64::MAX).on(&[call])).await;
    assert!(done);
    live.vfs.tally().calls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_fails_the_whole_batch_and_the_store_continues_once_there_is_space() {
    let writes = calls(Call::Write).await;
    let mut failed = 0;
    for n in which_of(writes) {
        let live = Live::new().await;
        let before = memory_agrees(&live).await;
        for lasting in [false, true] {
            let fault = Fault::nth(n).on(&[Call::Write]).with(ffi::SQLITE_FULL);
            let fault = if lasting { fault.for_ever() } else { fault };
            let (done, struck) = live.strike(fault).await;
            assert!(struck > 0 && !done, "write {n} of {writes}");
            failed += 1;
            assert_eq!(memory_agrees(&live).await, before, "no commit was reported");
            assert_eq!(live.head_after_power_loss().await.0, before);
        }
        // With space again the store continues, and every act is committed.
        let (done, _) = live.strike(Fault::nth(u64::MAX)).await;
        assert!(done);
        let after = memory_agrees(&live).await;
        assert!(after > before);
        assert_eq!(live.head_after_power_loss().await.0, after);
    }
    println!("a batch makes {writes} writes; the disk was full in {failed} of them");
    assert!(failed > 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_outcome_is_unknown_stops_the_store() {
    let (mut failed, mut survived) = (0, 0);
    for call in [Call::Write, Call::Sync] {
        for n in which_of(calls(call).await) {
            let mut live = Live::new().await;
            let before = memory_agrees(&live).await;
            let (_, tokens) = live.head_after_power_loss().await;
            let (done, struck) = live.strike(Fault::nth(n).on(&[call])).await;
            assert!(struck > 0 && !done, "{call:?} {n}");
            failed += 1;
            // The store has stopped, reports it, and answers no act.
            let stopped = tokio::time::timeout(Duration::from_secs(20), live.world.stopped());
            stopped.await.expect("the store reports that it stopped");
            let acts = live.acts().await;
            for act in acts {
                assert!(matches!(act.await, Err(Error::NotNow(_))), "nothing was changed");
            }
            assert!(matches!(live.world.is_writable().await, Err(Error::NotNow(_))));
            assert_eq!(memory_agrees(&live).await, before, "no commit was reported");

            // After a restart all of the batch is there, or nothing.
            let lost = live.head_after_power_loss().await;
            live.world.close();
            let kept = head(&disk::copy(&live.path)).await;
            for (head, found) in [lost, kept] {
                let all = head > before && found == tokens + 3;
                assert!(all || (head == before && found == tokens), "{head:?} from {before:?}");
                survived += usize::from(all);
            }
            live.world.reopen().await;
            memory_is_fresh(&live).await;
        }
    }
    println!("{failed} commits failed; {survived} copies had the batch anyway");
    assert!(failed > 5 && survived > 0);
}

/// After a restart the acts succeed.
async fn memory_is_fresh(live: &Live) {
    let view = live.world.state().await.unwrap().view;
    live.world.follower.followed().view = view;
    let (done, _) = live.strike(Fault::nth(u64::MAX)).await;
    assert!(done);
    memory_agrees(live).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wal_checkpoint_that_fails_at_any_call_loses_nothing() {
    let mut failed = 0;
    for n in 1.. {
        let live = Live::new().await;
        let flags = OpenFlags::default();
        let conn = Connection::open_with_flags_and_vfs(&live.path, flags, live.vfs.name()).unwrap();
        live.vfs.inject(Fault::nth(n).on(&[Call::Write, Call::Sync, Call::Truncate]));
        let result = conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        let struck = live.vfs.heal().failed;
        assert_eq!(result.is_err(), struck > 0);
        let before = memory_agrees(&live).await;
        assert_eq!(live.head_after_power_loss().await.0, before);
        // The store continues with a write-ahead log that is partly copied.
        let (done, _) = live.strike(Fault::nth(u64::MAX)).await;
        assert!(done);
        let after = memory_agrees(&live).await;
        assert_eq!(live.head_after_power_loss().await.0, after);
        conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        assert_eq!(live.head_after_power_loss().await.0, after);
        if struck == 0 {
            break;
        }
        failed += 1;
    }
    println!("{failed} checkpoints failed, one at each call");
    assert!(failed > 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_read_gives_an_error_and_never_a_wrong_answer() {
    let mut live = Live::new().await;
    let (shop, serial) = (live.shop.clone(), Serial(3));
    let id = live.world.row(&shop, serial, NOW).await.id;
    macro_rules! ask {
        ($world:expr) => {{
            let world = $world;
            let begin = Position { epoch: 1, number: 0 };
            [
                format!("{:?}", world.channel(shop.id).await),
                format!("{:?}", world.token(shop.id, TokenName::Id(id), NOW).await),
                format!("{:?}", world.live_v21(live.other.id, None, NOW).await),
                format!("{:?}", world.tokens(shop.id, TokenFilter::default(), ALL, NOW).await),
                format!("{:?}", world.groups(shop.id, NOW).await),
                format!("{:?}", world.changes(begin, 100).await),
                format!("{:?}", world.state().await.map(|state| state.view.position())),
                format!("{:?}", world.audit(AuditFilter::default(), ALL).await),
            ]
        }};
    }
    let right = ask!(&live.world);
    let mut missing = 0;
    for n in which_of(60) {
        // Nothing is in memory yet, so each question reads the disk.
        live.world.reopen().await;
        live.vfs.inject(Fault::nth(n).on(&[Call::Read]).for_ever());
        let found = ask!(&live.world);
        live.vfs.heal();
        for (found, right) in found.iter().zip(&right) {
            let unknown = found.starts_with("Err(Unavailable");
            assert!(unknown || found == right, "{found} instead of {right}");
            missing += usize::from(unknown);
        }
        assert_eq!(ask!(&live.world), right, "it works again");
    }
    println!("{missing} reads failed");
    assert!(missing > 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_that_cannot_read_changes_nothing() {
    let (mut failed, mut done) = (0, 0);
    for n in which_of(40) {
        let mut live = Live::new().await;
        live.world.close();
        live.world.reopen().await;
        let (_, tokens) = live.head_after_power_loss().await;
        let acts = live.acts().await;
        let fault = Fault::nth(n).on(&[Call::Read]);
        let answers = live.world.together(acts, || live.vfs.inject(fault)).await;
        live.vfs.heal();
        for answer in &answers {
            let known = matches!(answer, Ok(()) | Err(Error::NotFound("channel")));
            assert!(known || matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
            *if known { &mut done } else { &mut failed } += 1;
        }
        // The reported commits, the rows and the disk agree, and hold exactly those of the
        // three issues that were acknowledged.
        let issued = answers[..3].iter().filter(|answer| answer.is_ok()).count();
        let head = memory_agrees(&live).await;
        assert_eq!(live.head_after_power_loss().await, (head, tokens + issued));
        let (done, _) = live.strike(Fault::nth(u64::MAX)).await;
        assert!(done, "the store continues");
    }
    println!("{failed} acts could not read; {done} of the same batches could");
    assert!(failed > 0 && done > 0);
}

/// A world on a working disk, whose channel `marked` a trigger can be set on.
async fn guarded() -> (World, Connection, Shop, Shop) {
    let place = Sqlite::new();
    let path = place.path();
    let world = World::at(Box::new(place)).await;
    let (shop, guarded) = (world.shop().await, world.shop().await);
    let patch = ChannelPatch { single_use_assertions: Some(true), ..ChannelPatch::default() };
    world.patch(&guarded, patch).await;
    world.get(&guarded, Ask::new(Kind::LongLived)).await;
    (world, Connection::open(path).unwrap(), shop, guarded)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_that_fails_half_way_changes_nothing_and_does_not_affect_its_batch() {
    // Every table that an issue or a revocation writes, the first and the last included.
    for (on, column) in [
        ("INSERT ON assertion_used", "channel"),
        ("INSERT ON token", "channel"),
        ("UPDATE ON channel_count", "channel"),
        ("UPDATE ON token", "channel"),
        ("INSERT ON channel_revocations", "channel"),
        ("INSERT ON audit", "channel"),
    ] {
        let (world, conn, shop, guarded) = guarded().await;
        let assertion = world.grant(&guarded, &Ask::new(Kind::V21).jti("once")).await;
        let long = world.grant(&guarded, &Ask::new(Kind::LongLived)).await;
        let healthy = world.grant(&shop, &Ask::new(Kind::V21)).await;
        let trigger = format!(
            "CREATE TRIGGER boom BEFORE {on} WHEN NEW.{column} = {}
             BEGIN SELECT RAISE(ABORT, 'marked'); END",
            guarded.id.number()
        );
        conn.execute_batch(&trigger).unwrap();
        let before_commits = world.follower.followed().commits.len();
        let before = (
            world.state().await.unwrap().view,
            format!("{:?}", world.rows(&guarded, NOW).await),
            world.audit(AuditFilter::of(guarded.id), ALL).await.unwrap().len(),
        );
        let id = |world: &World| TokenId(u128::from(world.fresh()).to_be_bytes());
        let (first, second) = (id(&world), id(&world));
        let acts: Vec<BoxFuture<'_, Result<()>>> = vec![
            Box::pin(async {
                world.revoke(shop.id, RevocationTarget::All, false, by(NOW)).await.map(drop)
            }),
            Box::pin(async {
                world.issue(assertion.clone(), first, NOW, Some(by(NOW))).await.map(drop)
            }),
            Box::pin(async { world.take(healthy.clone(), NOW).await.map(drop) }),
            Box::pin(async {
                world.issue(long.clone(), second, NOW, Some(by(NOW))).await.map(drop)
            }),
            Box::pin(async {
                world
                    .revoke(shop.id, RevocationTarget::Kind(Kind::ShortLived), false, by(NOW))
                    .await
                    .map(drop)
            }),
        ];
        let answers = world.together(acts, || {}).await;
        let fails = |n: usize| matches!(&answers[n], Err(Error::Unavailable(why)) if why.contains("marked"));
        // A v2.1 issue revokes nothing; a reissue takes no assertion.
        let (v21, reissue) = match on {
            "INSERT ON assertion_used" => (true, false),
            "UPDATE ON token" | "INSERT ON channel_revocations" => (false, true),
            _ => (true, true),
        };
        assert_eq!((fails(1), fails(3)), (v21, reissue), "{on}: {answers:?}");
        assert!([0, 2, 4].iter().all(|&n| answers[n].is_ok()), "{on}: {answers:?}");
        let commits = world.follower.followed().commits.len() - before_commits;
        // One to hold the writer; then one shared by the others, if the failed acts had
        // written nothing yet, or else one each.
        assert!((2..=1 + answers.len()).contains(&commits), "{on}: {commits} commits");
        assert_eq!(world.living(&shop, Kind::V21, NOW).await.len(), 1);

        let state = world.state().await.unwrap();
        agree::views(&state.view, &world.follower.followed().view, [shop.id, guarded.id]);
        if v21 && reissue {
            assert_eq!(before.1, format!("{:?}", world.rows(&guarded, NOW).await), "{on}");
            assert_eq!(before.0.channel(guarded.id), state.view.channel(guarded.id));
            let audited = world.audit(AuditFilter::of(guarded.id), ALL).await.unwrap();
            assert_eq!(audited.len(), before.2);
        }
        // The next issue takes the serial, and the failed issue did not use up its
        // assertion.
        conn.execute_batch("DROP TRIGGER boom").unwrap();
        if v21 {
            let issued = world.take(assertion, NOW).await.unwrap().claims;
            let rows = world.rows(&guarded, NOW).await;
            assert_eq!(issued.serial.0 as usize, rows.len(), "no gap in the serials");
        }
        if reissue {
            world.take(long, NOW).await.unwrap();
        }
        let tokens = disk::tokens(&conn).unwrap();
        agree::everything(&world, &tokens, NOW).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_that_rolls_the_transaction_back_fails_only_its_batch() {
    // As SQLite does when it runs out of space or memory within a statement; or the log
    // or its head, which are written last, cannot be written.
    for trigger in [
        "BEFORE INSERT ON token BEGIN SELECT RAISE(ROLLBACK, 'marked'); END",
        "BEFORE INSERT ON change_log BEGIN SELECT RAISE(ABORT, 'marked'); END",
        "BEFORE UPDATE ON authority BEGIN SELECT RAISE(ABORT, 'marked'); END",
    ] {
        let (world, conn, shop, guarded) = guarded().await;
        let [one, two] = [
            world.grant(&shop, &Ask::new(Kind::V21)).await,
            world.grant(&guarded, &Ask::new(Kind::V21)).await,
        ];
        let before = world.state().await.unwrap();
        let tokens = disk::tokens(&conn).unwrap();
        let arm = || conn.execute_batch(&format!("CREATE TRIGGER boom {trigger}")).unwrap();
        let provider = tegata_token::id::ProviderId::from_number(5).unwrap();
        let successor = signing_key(2);
        let acts: Vec<BoxFuture<'_, Result<()>>> = vec![
            Box::pin(async {
                world.revoke(shop.id, RevocationTarget::All, false, by(NOW)).await.map(drop)
            }),
            Box::pin(async {
                let all = SigningKeyChange::RevokeAll { successor };
                world.change_signing_keys(all, by(NOW.plus(9))).await.map(drop)
            }),
            Box::pin(async { world.take(one.clone(), NOW).await.map(drop) }),
            Box::pin(async {
                world.create_provider(provider, "P".into(), by(NOW)).await.map(drop)
            }),
        ];
        let answers = world.together(acts, arm).await;
        let unknown = |it: &Result<()>| matches!(it, Err(Error::Unavailable(_)));
        assert!(answers.iter().all(unknown), "{answers:?}");
        let after = world.state().await.unwrap();
        agree::views(&before.view, &after.view, [shop.id, guarded.id]);
        agree::views(&before.view, &world.follower.followed().view, [shop.id, guarded.id]);
        assert_eq!(before.written_at, after.written_at);
        assert_eq!(disk::tokens(&conn).unwrap(), tokens);
        assert_eq!(world.providers(Default::default(), ALL).await.unwrap().len(), 1);

        // The store and its memory continue: key, time and log.
        conn.execute_batch("DROP TRIGGER boom").unwrap();
        let issued = world.take(two, NOW).await.unwrap().claims;
        assert_eq!((issued.key, issued.issued_at), (signing_key(1).id, NOW));
        assert_eq!(world.row(&guarded, issued.serial, NOW).await.state, TokenState::Active);
        world.revoke_at(&shop, RevocationTarget::All, NOW).await;
        agree::everything(&world, &disk::tokens(&conn).unwrap(), NOW).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_whose_audit_event_cannot_be_written_fails() {
    let (world, conn, shop, _) = guarded().await;
    let token = world.get(&shop, Ask::new(Kind::V21).group("a")).await;
    let trigger = "CREATE TRIGGER boom BEFORE INSERT ON audit
                   BEGIN SELECT RAISE(ABORT, 'marked'); END";
    conn.execute_batch(trigger).unwrap();
    let before = world.state().await.unwrap().view;
    let snapshot = format!("{:?}", world.snapshot(&shop).await);
    let patch = ChannelPatch { group_cap: Some(9), ..ChannelPatch::default() };
    let all = SigningKeyChange::RevokeAll { successor: signing_key(2) };
    let secret = PlainSecret::from_random([2; 16]).hash();
    let unavailable = |result: Result<()>| {
        assert!(matches!(result, Err(Error::Unavailable(_))), "{result:?}");
    };
    unavailable(world.revoke(shop.id, RevocationTarget::All, false, by(NOW)).await.map(drop));
    unavailable(world.change_channel(shop.id, patch, by(NOW)).await.map(drop));
    unavailable(
        world.replace_secret(shop.id, secret, 0, RevokeTokens::All, by(NOW)).await.map(drop),
    );
    unavailable(world.change_signing_keys(all, by(NOW)).await.map(drop));
    unavailable(world.delete_key(shop.id, shop.kid, true, by(NOW)).await.map(drop));
    unavailable(world.delete_group(shop.id, group("a"), by(NOW)).await.map(drop));
    unavailable(world.register(shop.id, 1, None).await.map(drop));
    let after = world.state().await.unwrap().view;
    agree::views(&before, &after, [shop.id]);
    assert_eq!(snapshot, format!("{:?}", world.snapshot(&shop).await));
    assert_eq!(world.living(&shop, Kind::V21, NOW).await, [token.0]);
    // The first key is still active.
    world.get(&shop, Ask::new(Kind::ShortLived)).await;
    agree::everything(&world, &disk::tokens(&conn).unwrap(), NOW).await;
}
