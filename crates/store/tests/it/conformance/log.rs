//! The change log: its order, its readers, its follower, and what is removed from it.

use crate::{
    agree,
    world::{ALL, Ask, Follower, NOW, World, by, denied, group, signing_key},
};
use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};
use tegata_policy::{denied::Denied, rules::TokenRules};
use tegata_store::{
    AuditFilter, Change, ChannelPatch, Old, RevocationTarget, SigningKeyChange, Stamp, Store,
};
use tegata_token::{
    id::{ChannelId, Position, Serial, TokenId},
    kind::Kind,
    time::{DAY, UnixTime},
    verify::{Invalid, verify_claims},
    view::{ChannelChange, ChannelState, RevokedBy, RevokedToken, View},
};

/// Some entries of each type.
async fn some_entries(world: &World) {
    let shop = world.shop().await;
    for _ in 0..3 {
        world.get(&shop, Ask::new(Kind::LongLived).delay(5)).await;
        world.get(&shop, Ask::new(Kind::V21).group("a")).await;
    }
    world.revoke_at(&shop, RevocationTarget::Group(group("a")), NOW).await;
    let stateless = RevocationTarget::Stateless { id: TokenId([1; 16]), expires_at: NOW.plus(900) };
    world.revoke_at(&shop, stateless, NOW).await;
    for state in [ChannelState::Suspended, ChannelState::Active, ChannelState::Deleted] {
        world.patch(&shop, ChannelPatch { state: Some(state), ..Default::default() }).await;
    }
    let successor = signing_key(world.fresh() as u8);
    let change = SigningKeyChange::RevokeAll { successor };
    world.change_signing_keys(change, by(NOW)).await.unwrap();
}

pub async fn positions_are_contiguous_and_in_the_order_of_commits(world: World) {
    // The follower itself checks that each commit continues where the last one stopped.
    let shops = [world.shop().await, world.shop().await, world.shop().await];
    let world = Arc::new(world);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..120 {
        let (world, shop) = (world.clone(), shops[n % 3].clone());
        tasks.spawn(async move {
            let ask = Ask::new(Kind::ShortLived).group(&format!("g{}", n % 7));
            let issued = world.ask(&shop, ask).await.unwrap();
            let target = RevocationTarget::Stored { serial: issued.claims.serial };
            if n % 4 == 0 {
                world.revoke_at(&shop, target, NOW).await;
            }
            issued.claims
        });
    }
    let tokens = tasks.join_all().await;
    agree::everything(&world, &tokens, NOW).await;
    let grown = agree::log(&**world).await;
    agree::views(&grown, &world.follower.followed().view, shops.iter().map(|shop| shop.id));
    let followed = world.follower.followed();
    let most = followed.commits.iter().map(|commit| commit.changes.len()).max();
    println!("{} commits, at most {most:?} changes in one", followed.commits.len());
}

pub async fn changes_returns_what_was_reported(mut world: World) {
    some_entries(&world).await;
    world.reopen().await;
    some_entries(&world).await;
    let reported: Vec<Change> = world
        .follower
        .followed()
        .commits
        .iter()
        .flat_map(|commit| commit.changes.clone())
        .collect();
    let head = world.state().await.unwrap().view.position();
    assert_eq!(reported.len() as u64, head.number);
    for after in 0..=reported.len() {
        for most in [2, 1000] {
            let from = Position { epoch: head.epoch, number: after as u64 };
            let given = world.changes(from, most).await.unwrap().expect("it is kept");
            let expected = &reported[after..reported.len().min(after + most)];
            assert!(given.iter().map(|(_, entry)| entry).eq(expected));
            for (at, (position, _)) in given.iter().enumerate() {
                let number = (after + at) as u64 + 1;
                assert_eq!(*position, Position { epoch: head.epoch, number });
            }
        }
    }
}

pub async fn a_position_of_another_epoch_or_beyond_the_log_gets_no_changes(world: World) {
    let head = world.state().await.unwrap().view.position();
    let changes = |epoch, number| world.changes(Position { epoch, number }, 10);
    assert_eq!(changes(head.epoch, head.number).await.unwrap(), Some(Vec::new()));
    assert!(changes(head.epoch, head.number + 1).await.unwrap().is_none());
    assert!(changes(head.epoch + 1, head.number).await.unwrap().is_none());
    assert!(changes(0, 0).await.unwrap().is_none());
    assert!(changes(head.epoch, 0).await.unwrap().is_some());
}

pub async fn the_commit_is_reported_before_any_act_of_it_is_answered(world: World) {
    // The callback of this store returns when the test lets it.
    let (entered, enters) = mpsc::channel();
    let (leave, leaves) = mpsc::channel::<()>();
    let (entered, leaves) = (Mutex::new(entered), Mutex::new(leaves));
    let place = world.place.another();
    let follower = Follower::new();
    let follow = follower.on_commit();
    let on_commit = move |commit: &tegata_store::Committed| {
        follow(commit);
        entered.lock().unwrap().send(()).unwrap();
        // A failing test drops the other end, which releases the writer.
        let _ = leaves.lock().unwrap().recv();
    };
    let store: Arc<dyn Store> = place.open(false, Box::new(on_commit)).await.unwrap().into();
    // Dropped before the store if the test fails, since the store waits for its writer.
    let leave = leave;
    let unknown_channel = ChannelId::from_number(1).unwrap();
    // A denial needs no commit to wait for, where other servers commit, too.
    let refusals = if store.is_shared() { &[false][..] } else { &[false, true] };
    for &refused in refusals {
        let store = store.clone();
        let mut answer = tokio::spawn(async move {
            match refused {
                false => {
                    let add = SigningKeyChange::Add(signing_key(1));
                    store.change_signing_keys(add, by(NOW)).await.is_ok()
                }
                true => {
                    store.revoke(unknown_channel, RevocationTarget::All, by(NOW)).await.is_err()
                }
            }
        });
        enters.recv_timeout(Duration::from_secs(20)).unwrap();
        let early = tokio::time::timeout(Duration::from_millis(50), &mut answer).await;
        assert!(early.is_err(), "answered before the commit was reported");
        leave.send(()).unwrap();
        assert!(answer.await.unwrap());
    }
    drop(leave);

    // And under load no response precedes the follower.
    let shop = world.shop().await;
    let world = Arc::new(world);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (world, shop) = (world.clone(), shop.clone());
        tasks.spawn(async move {
            let claims = world.ask(&shop, Ask::new(Kind::ShortLived)).await.unwrap().claims;
            let target = RevocationTarget::Stored { serial: claims.serial };
            let revoked = world.revoke_at(&shop, target, NOW).await;
            let view: View = world.follower.followed().view.clone();
            assert!(view.position() >= revoked.position);
            assert!(matches!(verify_claims(&claims, NOW, &view), Err(Invalid::Revoked(_))));
        });
    }
    tasks.join_all().await;
}

pub async fn an_act_is_committed_even_if_its_caller_stops_waiting(world: World) {
    let shop = world.shop().await;
    let serial = world.get(&shop, Ask::new(Kind::V21)).await;
    let gone = world.revoke(shop.id, RevocationTarget::Stored { serial }, false, by(NOW));
    let begun = tokio::select! {
        biased;
        _ = gone => false,
        () = std::future::ready(()) => true,
    };
    assert!(begun);
    // Nothing that the caller does later waits for it on every backend.
    let committed = async {
        while !world.living(&shop, Kind::V21, NOW).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), committed).await.expect("it is committed");
}

pub async fn a_revocation_returns_the_position_of_its_entry(world: World) {
    let shop = world.shop().await;
    let mut serials = Vec::new();
    for _ in 0..20 {
        serials.push(world.get(&shop, Ask::new(Kind::V21)).await);
    }
    let begin = world.state().await.unwrap().view.position().number;
    let world = Arc::new(world);
    let mut tasks = tokio::task::JoinSet::new();
    for serial in serials {
        let (world, id) = (world.clone(), shop.id);
        // Among others in its batch, some of which fail or write nothing.
        tasks.spawn(async move {
            let unknown_channel = ChannelId::from_number(1).unwrap();
            let (revoked, failed, empty) = tokio::join!(
                world.revoke(id, RevocationTarget::Stored { serial }, false, by(NOW)),
                world.revoke(unknown_channel, RevocationTarget::All, false, by(NOW)),
                world.revoke(id, RevocationTarget::All, true, by(NOW)),
            );
            assert!(failed.is_err() && empty.is_ok());
            (serial, revoked.unwrap().position)
        });
    }
    let mut found = Vec::new();
    for (serial, position) in tasks.join_all().await {
        let before = Position { number: position.number - 1, ..position };
        let entry = world.changes(before, 1).await.unwrap().unwrap().remove(0).1;
        let Change::Tokens { channel, change, .. } = entry else { panic!("{entry:?}") };
        assert_eq!(channel, shop.id);
        match change {
            ChannelChange::Revoked { tokens } => {
                let kind = Kind::V21;
                assert_eq!(tokens[0].token, RevokedToken::Stored { kind, serial });
            }
            ChannelChange::Cutoff { cutoffs } => assert!(!cutoffs[0].except.contains(&serial)),
            other => panic!("{other:?}"),
        }
        found.push(position.number);
    }
    found.sort();
    assert_eq!(found, Vec::from_iter(begin + 1..=begin + 20));
}

pub async fn an_act_that_changes_nothing_commits_nothing(world: World) {
    let shop = world.shop().await;
    let token = world.ask(&shop, Ask::new(Kind::V21).key("k")).await.unwrap().claims;
    let at = NOW.plus(60);
    // Each may be reported, but only a commit has a written time.
    let written = || {
        let followed = world.follower.followed();
        followed.commits.iter().filter(|commit| commit.written_at.is_some()).count()
    };
    let before = written();
    for target in [RevocationTarget::Stored { serial: token.serial }, RevocationTarget::All] {
        assert_eq!(world.revoke(shop.id, target, true, by(at)).await.unwrap().tokens, 1);
    }
    world.is_writable().await.unwrap();
    assert_eq!(world.forget(100, at).await.unwrap(), 0);
    assert_eq!(world.trim(Old::LogAndAssertions { most: 100 }, at).await.unwrap(), 0);
    assert_eq!(world.trim(Old::Audit { kept_from: 1, most: 100 }, UnixTime(0)).await.unwrap(), 0);
    assert_eq!(
        world.trim(Old::Tokens { rows: Vec::new(), before: at }, UnixTime(0)).await.unwrap(),
        0
    );
    assert_eq!(world.queue_warnings(Vec::new(), at).await.unwrap(), 0);
    world.stamp(Vec::new()).await.unwrap();
    let again = world.ask(&shop, Ask::new(Kind::V21).key("k").at(at)).await.unwrap();
    assert!(again.again);
    assert_eq!(written(), before);
    assert_eq!(world.state().await.unwrap().written_at, NOW);
}

pub async fn forget_removes_exactly_the_revocations_that_no_longer_matter(world: World) {
    let (shop, quiet) = (world.shop().await, world.shop().await);
    let mut tokens = Vec::new();
    for life in [100, 200, 30 * DAY] {
        let token = world.ask(&shop, Ask::new(Kind::V21).life(life)).await.unwrap().claims;
        world.revoke_at(&shop, RevocationTarget::Stored { serial: token.serial }, NOW).await;
        tokens.push(token);
    }
    let cutoff = RevocationTarget::Kind(Kind::ShortLived);
    tokens.push(world.ask(&shop, Ask::new(Kind::ShortLived)).await.unwrap().claims);
    world.revoke_at(&shop, cutoff, NOW).await;
    for delay in [0, 60] {
        let reissue = Ask::new(Kind::LongLived).delay(delay);
        tokens.push(world.ask(&shop, reissue).await.unwrap().claims);
    }
    let stateless = RevocationTarget::Stateless { id: TokenId([1; 16]), expires_at: NOW.plus(900) };
    world.revoke_at(&quiet, stateless, NOW).await;

    let size = |view: &View| {
        let of = |shop: &crate::world::Shop| {
            view.channel(shop.id)
                .map_or(0, |it| it.cutoffs.len() + it.singles.len() + it.stateless.len())
        };
        of(&shop) + of(&quiet)
    };
    let mut held = size(&world.state().await.unwrap().view);
    assert!(held >= 6, "{held}");
    // A revocation stays for a day beyond the expiry of the last token that it affects.
    let steps = [
        (NOW, 0),
        (NOW.plus(100 + DAY - 1), 0),
        (NOW.plus(100 + DAY), 1),
        (NOW.plus(200 + DAY), 1),
        (NOW.plus(900 + DAY), 1),
        (NOW.plus(30 * DAY + DAY - 1), 0),
        (NOW.plus(30 * DAY + DAY), 2),
        (NOW.plus(400 * DAY), 0),
    ];
    for (at, goes) in steps {
        let before = world.state().await.unwrap().view;
        let gone = world.forget(100, at).await.unwrap();
        assert_eq!(gone, goes, "at {at:?}");
        held -= gone;
        let after = world.state().await.unwrap().view;
        assert_eq!(size(&after), held);
        agree::everything(&world, &tokens, at).await;
        // For a verifier whose clock is half a day behind nothing changes either.
        for token in &tokens {
            let late = at.plus(-DAY / 2);
            assert_eq!(verify_claims(token, late, &before), verify_claims(token, late, &after));
        }
    }
    let view = world.state().await.unwrap().view;
    assert!(view.channel(quiet.id).is_none(), "no revocation of it is left");
    let first_long = &tokens[4];
    let at = NOW.plus(400 * DAY);
    assert_eq!(verify_claims(first_long, at, &view), Err(Invalid::Revoked(RevokedBy::Cutoff)));

    // At most this many channels at once.
    let shops = [world.shop().await, world.shop().await, world.shop().await];
    for shop in &shops {
        let stateless =
            RevocationTarget::Stateless { id: TokenId([1; 16]), expires_at: at.plus(900) };
        world.revoke_at(shop, stateless, at).await;
    }
    let late = at.plus(900 + DAY);
    assert_eq!(world.forget(2, late).await.unwrap(), 2);
    assert_eq!(world.forget(2, late).await.unwrap(), 1);
    assert_eq!(world.forget(2, late).await.unwrap(), 0);
}

pub async fn trim_removes_old_entries_of_the_log(mut world: World) {
    some_entries(&world).await;
    let head = world.state().await.unwrap().view.position();
    let begin = Position { number: 0, ..head };
    world.trim(Old::LogAndAssertions { most: 100 }, NOW.plus(DAY)).await.unwrap();
    let kept = world.changes(begin, 1000).await.unwrap().unwrap();
    assert_eq!(kept.len() as u64, head.number, "a day old, not older");

    let shop = world.shop().await;
    let head = world.state().await.unwrap().view.position();
    let late = NOW.plus(DAY + 1);
    world.revoke_at(&shop, RevocationTarget::All, late).await;
    assert_eq!(
        world.trim(Old::LogAndAssertions { most: 2 }, late).await.unwrap(),
        2,
        "no more at once"
    );
    while world.trim(Old::LogAndAssertions { most: 2 }, late).await.unwrap() > 0 {}
    assert!(world.changes(begin, 1000).await.unwrap().is_none(), "too old");
    // The cutoff, and before it the entry that makes replicas discard the channel.
    let last = world.changes(head, 1000).await.unwrap().unwrap();
    assert_eq!(last.len(), 2);
    assert_eq!(last[0].0.number, head.number + 1);
    // An empty log begins at its head.
    assert_eq!(
        world.trim(Old::LogAndAssertions { most: 100 }, late.plus(DAY + 1)).await.unwrap(),
        2
    );
    world.reopen().await;
    let head = Position { number: head.number + 2, ..head };
    assert_eq!(world.changes(head, 10).await.unwrap(), Some(Vec::new()));
    let before = Position { number: head.number - 1, ..head };
    assert!(world.changes(before, 10).await.unwrap().is_none());
    // And continues from there.
    let revoked = world.revoke_at(&shop, RevocationTarget::All, late).await;
    assert_eq!(revoked.position.number, head.number + 2);
}

pub async fn the_written_time_never_decreases(mut world: World) {
    // The follower checks that no commit has an earlier time.
    let shop = world.shop().await;
    let written = || async { world.state().await.unwrap().written_at };
    assert_eq!(written().await, NOW);
    world.get(&shop, Ask::new(Kind::V21).at(NOW.plus(100))).await;
    assert_eq!(written().await, NOW.plus(100));
    world.get(&shop, Ask::new(Kind::V21).at(NOW.plus(50))).await;
    world.revoke_at(&shop, RevocationTarget::All, NOW).await;
    world.stamp(vec![Stamp::Token(shop.id, Serial(1), NOW.plus(500))]).await.unwrap();
    world.is_writable().await.unwrap();
    assert_eq!(written().await, NOW.plus(100));
    let rules = ChannelPatch { rules: Some(TokenRules::Legacy2020), ..ChannelPatch::default() };
    let delayed = Ask::new(Kind::LongLived).delay(1).at(NOW.plus(900));
    let grant = world.grant(&shop, &delayed).await;
    world.patch(&shop, rules).await;
    assert_eq!(denied(world.take(grant, NOW.plus(900)).await), Denied::DelayUnderLegacyRules);
    assert_eq!(written().await, NOW.plus(100), "a denial writes nothing");
    world.reopen().await;
    assert_eq!(world.state().await.unwrap().written_at, NOW.plus(100));
    let audit = world.audit(AuditFilter::of(shop.id), ALL).await.unwrap();
    assert!(audit.iter().rev().is_sorted_by_key(|row| row.at));
}
