//! A disk that fails at any call: a whole batch happens or none of it, what
//! cannot be known is said to be unknown, and one act's failure is its own.

use crate::{
    agree, disk,
    place::{Place, Sqlite},
    rounds,
    world::{ALL, Ask, BoxFuture, NOW, Shop, World, by, group, signing_key},
};
use faulty_vfs::{Call, Fault, FaultyVfs};
use rusqlite::{Connection, OpenFlags, ffi};
use std::time::Duration;
use tegata_policy::{channel::GroupSettings, secret::PlainSecret};
use tegata_store::{
    ChannelPatch, Error, Result, RevocationTarget, SigningKeyChange, Store, TokenFilter, TokenName,
    TokenState, sqlite::Faults,
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
        let faults = Faults { vfs: Some(vfs.name().into()), synchronous_off: false };
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

    /// Acts of many sorts, which the disk may refuse and the law does not, save the last.
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
        act!(world.end(shop.id, RevocationTarget::AssertionKey(shop.kid), false, by(NOW)));
        act!(world.end(other.id, RevocationTarget::All, false, by(NOW)));
        let secret = PlainSecret::from_random([world.fresh() as u8; 16]).hash();
        act!(world.replace_secret(other.id, secret, 60, true, by(NOW)));
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
        act!(world.end(shop.id, stateless, false, by(NOW)));
        act!(world.end(ChannelId::from_number(1).unwrap(), RevocationTarget::All, false, by(NOW)));
        acts
    }

    /// Runs them in one commit, into which the fault falls. Whether they came to
    /// pass, and how often it struck.
    async fn strike(&self, fault: Fault) -> (bool, u64) {
        let before = self.world.told.heard().commits.len();
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
            assert!(answers.iter().all(unknown), "{many} acts, one fate: {answers:?}");
            assert!(struck > 0, "{answers:?} out of nothing");
        }
        let told = self.world.told.heard().commits.len() - before;
        assert_eq!(told, 1 + usize::from(done), "one commit before them, one for all of them");
        (done, struck)
    }

    /// Where the log ends, as the disk has it after a power loss.
    async fn head_after_power_loss(&self) -> (Position, usize) {
        let copy = Sqlite::new();
        self.vfs.power_loss(copy.folder.path()).unwrap();
        head(&copy).await
    }
}

/// Where the log ends in a store that is whole, and how many tokens it has.
async fn head(copy: &Sqlite) -> (Position, usize) {
    let whole = disk::whole(copy).await;
    (whole.store.state().await.unwrap().view.position(), whole.tokens.len())
}

/// Whether memory and rows say the same, and where the log ends.
async fn memory_agrees(live: &Live) -> Position {
    let state = live.world.state().await.unwrap();
    let told = live.world.told.heard().view.clone();
    agree::views(&state.view, &told, [live.shop.id, live.other.id]);
    state.view.position()
}

/// Which of so many calls are to fail, one in each run: all, or in a quick run
/// some, the first and the last among them.
fn which_of(calls: u64) -> impl Iterator<Item = u64> {
    let step = if rounds(1) > 1 { 1 } else { 4 };
    (1..=calls).filter(move |&n| n % step == 1 % step || n + 2 >= calls)
}

/// How many of these calls there are in the batch, when nothing fails.
async fn calls(call: Call) -> u64 {
    let live = Live::new().await;
    let (done, _) = live.strike(Fault::nth(u64::MAX).on(&[call])).await;
    assert!(done);
    live.vfs.tally().calls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_undoes_the_whole_batch_and_is_forgiven_once_there_is_room() {
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
            assert_eq!(memory_agrees(&live).await, before, "told of nothing");
            assert_eq!(live.head_after_power_loss().await.0, before);
        }
        // With room again everything goes on, and all of it is done.
        let (done, _) = live.strike(Fault::nth(u64::MAX)).await;
        assert!(done);
        let after = memory_agrees(&live).await;
        assert!(after > before);
        assert_eq!(live.head_after_power_loss().await.0, after);
    }
    println!("a batch makes {writes} writes; {failed} times one met a full disk");
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
            // The store has given up, says so, and answers no act.
            let stopped = tokio::time::timeout(Duration::from_secs(20), live.world.stopped());
            stopped.await.expect("the store says that it stopped");
            let acts = live.acts().await;
            for act in acts {
                assert!(matches!(act.await, Err(Error::Unavailable(_))));
            }
            assert!(matches!(live.world.is_writable().await, Err(Error::Unavailable(_))));
            assert_eq!(memory_agrees(&live).await, before, "told of nothing");

            // What a fresh start finds is all of the batch, or nothing.
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
    println!("{failed} commits failed; {survived} copies had the batch nevertheless");
    assert!(failed > 5 && survived > 0);
}

/// After a fresh start the acts go through.
async fn memory_is_fresh(live: &Live) {
    let view = live.world.state().await.unwrap().view;
    live.world.told.heard().view = view;
    let (done, _) = live.strike(Fault::nth(u64::MAX)).await;
    assert!(done);
    memory_agrees(live).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_fails_at_any_call_loses_nothing() {
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
        // And the store goes on, over a log that is half copied.
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
async fn a_read_that_fails_is_an_answer_that_is_missing_never_a_wrong_one() {
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
                format!("{:?}", world.audit(None, ALL).await),
            ]
        }};
    }
    let right = ask!(&live.world);
    let mut missing = 0;
    for n in which_of(60) {
        // Nothing is in memory yet, so each question reads.
        live.world.reopen().await;
        live.vfs.inject(Fault::nth(n).on(&[Call::Read]).for_ever());
        let found = ask!(&live.world);
        live.vfs.heal();
        for (found, right) in found.iter().zip(&right) {
            let unknown = found.starts_with("Err(Unavailable");
            assert!(unknown || found == right, "{found} where {right} is right");
            missing += usize::from(unknown);
        }
        assert_eq!(ask!(&live.world), right, "well again");
    }
    println!("{missing} answers were missing");
    assert!(missing > 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_that_cannot_read_does_nothing() {
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
        // What was told, what is in the rows and what is on the disk are the same,
        // and of the three issues those are there that were acknowledged.
        let issued = answers[..3].iter().filter(|answer| answer.is_ok()).count();
        let head = memory_agrees(&live).await;
        assert_eq!(live.head_after_power_loss().await, (head, tokens + issued));
        let (done, _) = live.strike(Fault::nth(u64::MAX)).await;
        assert!(done, "the store goes on");
    }
    println!("{failed} acts could not read, {done} of the same batches could");
    assert!(failed > 0 && done > 0);
}

/// A world on a healthy disk, whose channel `marked` a trigger can be set on.
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
async fn an_act_that_fails_half_way_leaves_no_trace_and_its_neighbours_alone() {
    // Every table that an issue or an ending writes, first and last ones.
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
        let told = world.told.heard().commits.len();
        let before = (
            world.state().await.unwrap().view,
            format!("{:?}", world.rows(&guarded, NOW).await),
            world.audit(Some(guarded.id), ALL).await.unwrap().len(),
        );
        let id = |world: &World| TokenId(u128::from(world.fresh()).to_be_bytes());
        let (first, second) = (id(&world), id(&world));
        let acts: Vec<BoxFuture<'_, Result<()>>> = vec![
            Box::pin(async {
                world.end(shop.id, RevocationTarget::All, false, by(NOW)).await.map(drop)
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
                    .end(shop.id, RevocationTarget::Kind(Kind::ShortLived), false, by(NOW))
                    .await
                    .map(drop)
            }),
        ];
        let answers = world.together(acts, || {}).await;
        let fails = |n: usize| matches!(&answers[n], Err(Error::Unavailable(why)) if why.contains("marked"));
        // A v2.1 issue ends nothing, a reissue takes no assertion.
        let (v21, reissue) = match on {
            "INSERT ON assertion_used" => (true, false),
            "UPDATE ON token" | "INSERT ON channel_revocations" => (false, true),
            _ => (true, true),
        };
        assert_eq!((fails(1), fails(3)), (v21, reissue), "{on}: {answers:?}");
        assert!([0, 2, 4].iter().all(|&n| answers[n].is_ok()), "{on}: {answers:?}");
        let commits = world.told.heard().commits.len() - told;
        // One to hold the writer; then one that they share, if those who failed had
        // written nothing yet, or else each had one of its own.
        assert!((2..=1 + answers.len()).contains(&commits), "{on}: {commits} commits");
        assert_eq!(world.living(&shop, Kind::V21, NOW).await.len(), 1);

        let state = world.state().await.unwrap();
        agree::views(&state.view, &world.told.heard().view, [shop.id, guarded.id]);
        if v21 && reissue {
            assert_eq!(before.1, format!("{:?}", world.rows(&guarded, NOW).await), "{on}");
            assert_eq!(before.0.channel(guarded.id), state.view.channel(guarded.id));
            let audited = world.audit(Some(guarded.id), ALL).await.unwrap();
            assert_eq!(audited.len(), before.2);
        }
        // The serial that it would have had is the next one's, and the assertion
        // that it did not use is good.
        conn.execute_batch("DROP TRIGGER boom").unwrap();
        if v21 {
            let issued = world.take(assertion, NOW).await.unwrap().claims;
            let rows = world.rows(&guarded, NOW).await;
            assert_eq!(issued.serial.0 as usize, rows.len(), "no hole in the count");
        }
        if reissue {
            world.take(long, NOW).await.unwrap();
        }
        let tokens = disk::tokens(&conn).unwrap();
        agree::everything(&world, &tokens, NOW).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_that_takes_the_transaction_down_takes_its_batch_along_and_no_more() {
    // As SQLite does by itself when it has no room or memory left in mid-statement;
    // or the log or its head cannot be written, last of all.
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
                world.end(shop.id, RevocationTarget::All, false, by(NOW)).await.map(drop)
            }),
            Box::pin(async {
                let all = SigningKeyChange::RemoveAll { successor };
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
        agree::views(&before.view, &world.told.heard().view, [shop.id, guarded.id]);
        assert_eq!(before.written_at, after.written_at);
        assert_eq!(disk::tokens(&conn).unwrap(), tokens);
        assert_eq!(world.providers(ALL).await.unwrap().len(), 1);

        // The store goes on, and its memory with it: key, time and log.
        conn.execute_batch("DROP TRIGGER boom").unwrap();
        let issued = world.take(two, NOW).await.unwrap().claims;
        assert_eq!((issued.key, issued.issued_at), (signing_key(1).id, NOW));
        assert_eq!(world.row(&guarded, issued.serial, NOW).await.state, TokenState::Active);
        world.revoke(&shop, RevocationTarget::All, NOW).await;
        agree::everything(&world, &disk::tokens(&conn).unwrap(), NOW).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_done_that_cannot_be_audited() {
    let (world, conn, shop, _) = guarded().await;
    let token = world.get(&shop, Ask::new(Kind::V21).group("a")).await;
    let trigger = "CREATE TRIGGER boom BEFORE INSERT ON audit
                   BEGIN SELECT RAISE(ABORT, 'marked'); END";
    conn.execute_batch(trigger).unwrap();
    let before = world.state().await.unwrap().view;
    let snapshot = format!("{:?}", world.snapshot(&shop).await);
    let patch = ChannelPatch { group_cap: Some(9), ..ChannelPatch::default() };
    let all = SigningKeyChange::RemoveAll { successor: signing_key(2) };
    let secret = PlainSecret::from_random([2; 16]).hash();
    let unavailable = |result: Result<()>| {
        assert!(matches!(result, Err(Error::Unavailable(_))), "{result:?}");
    };
    unavailable(world.end(shop.id, RevocationTarget::All, false, by(NOW)).await.map(drop));
    unavailable(world.change_channel(shop.id, patch, by(NOW)).await.map(drop));
    unavailable(world.replace_secret(shop.id, secret, 0, true, by(NOW)).await.map(drop));
    unavailable(world.change_signing_keys(all, by(NOW)).await.map(drop));
    unavailable(world.delete_key(shop.id, shop.kid, true, by(NOW)).await.map(drop));
    unavailable(world.delete_group(shop.id, group("a"), by(NOW)).await.map(drop));
    unavailable(world.register(shop.id, 1, None).await.map(drop));
    let after = world.state().await.unwrap().view;
    agree::views(&before, &after, [shop.id]);
    assert_eq!(snapshot, format!("{:?}", world.snapshot(&shop).await));
    assert_eq!(world.living(&shop, Kind::V21, NOW).await, [token.0]);
    // The first key signs still.
    world.get(&shop, Ask::new(Kind::ShortLived)).await;
    agree::everything(&world, &disk::tokens(&conn).unwrap(), NOW).await;
}
