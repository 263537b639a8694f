//! Revocations: of one token, a group, a kind, a key, all.

use crate::world::{Ask, NOW, Shop, World, by, denied, group, signing_key};
use futures_util::{StreamExt, stream};
use tegata_policy::channel::RevokeTokens;
use tegata_policy::{
    admit::MAX_SINGLE_REVOCATIONS,
    channel::GroupSettings,
    denied::Denied,
    rules::{ChannelType, GROUPS, MAX_STATELESS_REVOCATIONS},
    secret::PlainSecret,
};
use tegata_store::{
    AuditFilter, ChannelPatch, Error, NewChannel, Page, RevocationCause, RevocationTarget,
    SigningKeyChange, TokenFilter, TokenState,
};
use tegata_token::{
    claims::Claims,
    id::{AssertionKeyId, Serial, TokenId},
    kind::Kind,
    time::DAY,
    verify::verify_claims,
    view::ChannelState,
};

/// A channel with tokens of every type: kinds, groups, keys.
struct Full {
    shop: Shop,
    second: AssertionKeyId,
    stored: Vec<Claims>,
    stateless: Vec<Claims>,
}

async fn full(world: &World) -> Full {
    let shop = world.shop().await;
    let second = world.register(shop.id, 1, None).await.unwrap();
    let mut stored = Vec::new();
    for ask in [
        Ask::new(Kind::V21),
        Ask::new(Kind::V21).group("a"),
        Ask::new(Kind::V21).group("b"),
        Ask::new(Kind::V21).signed(second, 1),
        Ask::new(Kind::V21).signed(second, 1).group("a"),
        Ask::new(Kind::ShortLived),
        Ask::new(Kind::ShortLived).group("a"),
        Ask::new(Kind::LongLived),
    ] {
        stored.push(world.ask(&shop, ask).await.unwrap().claims);
    }
    let mut stateless = Vec::new();
    for mut ask in [
        Ask::new(Kind::Stateless),
        Ask::new(Kind::Stateless).group("a"),
        Ask::new(Kind::Stateless).signed(second, 1),
    ] {
        ask.by_assertion = ask.signed.is_some();
        let grant = world.grant(&shop, &ask).await;
        let id = TokenId(u128::from(world.fresh()).to_be_bytes());
        stateless.push(grant.stateless_claims(id, signing_key(1).id, NOW));
    }
    Full { shop, second, stored, stateless }
}

pub async fn every_revocation_revokes_exactly_its_target_and_a_dry_run_counts_the_same(
    world: World,
) {
    type Which = fn(&Full) -> RevocationTarget;
    type Ends = fn(&Claims, AssertionKeyId) -> bool;
    let cases: [(Which, Ends); 9] = [
        (
            |it| RevocationTarget::Stored { serial: it.stored[1].serial },
            |it, _| it.serial == Serial(2),
        ),
        (
            |it| RevocationTarget::Stored { serial: it.stored[7].serial },
            |it, _| it.serial == Serial(8),
        ),
        (|_| RevocationTarget::Group(group("a")), |it, _| it.group == Some(group("a"))),
        (|_| RevocationTarget::Kind(Kind::V21), |it, _| it.kind == Kind::V21),
        (|_| RevocationTarget::Kind(Kind::LongLived), |it, _| it.kind == Kind::LongLived),
        (|_| RevocationTarget::Kind(Kind::Stateless), |it, _| it.kind == Kind::Stateless),
        (|it| RevocationTarget::AssertionKey(it.second), |it, key| it.assertion_key == Some(key)),
        (|_| RevocationTarget::All, |_, _| true),
        (
            |it| RevocationTarget::Stateless { id: it.stateless[1].id, expires_at: NOW.plus(900) },
            |it, _| it.kind == Kind::Stateless && it.group.is_some(),
        ),
    ];
    for (target, ends) in cases {
        let it = full(&world).await;
        let target = target(&it);
        let at = NOW.plus(7);
        let stored = it.stored.iter().filter(|token| ends(token, it.second)).count();
        let one_stateless = matches!(target, RevocationTarget::Stateless { .. });
        let count = stored + usize::from(one_stateless);

        let before = (world.state().await.unwrap(), world.rows(&it.shop, at).await);
        let dry = world.revoke(it.shop.id, target.clone(), true, by(at)).await.unwrap();
        assert_eq!(dry.tokens, count, "{target:?}");
        let after = (world.state().await.unwrap(), world.rows(&it.shop, at).await);
        assert_eq!(dry.position, before.0.view.position());
        crate::agree::views(&before.0.view, &after.0.view, [it.shop.id]);
        assert_eq!(format!("{:?}", before.1), format!("{:?}", after.1));

        let revoked = world.revoke_at(&it.shop, target.clone(), at).await;
        assert_eq!(revoked.tokens, count, "{target:?}");
        let view = world.state().await.unwrap().view;
        for token in it.stored.iter().chain(&it.stateless) {
            let lives = verify_claims(token, at, &view).is_ok();
            assert_eq!(!lives, ends(token, it.second), "{target:?} and {token:?}");
        }
        for token in it.stored.iter().filter(|token| ends(token, it.second)) {
            let row = world.row(&it.shop, token.serial, at).await;
            assert_eq!(row.revocation, Some((RevocationCause::Requested, at)));
            assert_eq!(row.replaced_by, None);
        }
        crate::agree::everything(&world, &it.stored, at).await;
    }
}

pub async fn a_target_that_does_not_exist_is_denied_and_changes_nothing(world: World) {
    let it = full(&world).await;
    let login = world.new_channel(&PlainSecret::from_random([3; 16]));
    let login = NewChannel { channel_type: ChannelType::LineLogin, ..login };
    let login = world.create_channel(login, by(NOW)).await.unwrap().id;
    let unknown_key = AssertionKeyId([0xEE; 16]);
    let group_error = || Error::NotFound("group").to_string();
    let key_error = || Error::NotFound("assertion key").to_string();
    for (channel, target, error) in [
        (it.shop.id, RevocationTarget::Group(group("blu")), group_error()),
        (login, RevocationTarget::Group(group("a")), group_error()),
        (it.shop.id, RevocationTarget::AssertionKey(unknown_key), key_error()),
        (login, RevocationTarget::AssertionKey(it.second), key_error()),
        (
            login,
            RevocationTarget::Kind(Kind::V21),
            Denied::KindNotForChannel(Kind::V21).to_string(),
        ),
    ] {
        let before = (world.state().await.unwrap().view, audit_rows(&world).await);
        for dry_run in [true, false] {
            let refused = world.revoke(channel, target.clone(), dry_run, by(NOW)).await;
            assert_eq!(refused.unwrap_err().to_string(), error, "{target:?}");
        }
        let after = (world.state().await.unwrap().view, audit_rows(&world).await);
        assert_eq!(before.0.position(), after.0.position(), "{target:?}");
        assert_eq!(before.1, after.1, "{target:?}");
    }
    let deleted = world.delete_group(it.shop.id, group("blu"), by(NOW)).await;
    assert_eq!(deleted.unwrap_err().to_string(), group_error());
}

async fn audit_rows(world: &World) -> usize {
    world.audit(AuditFilter::default(), Page { before: None, most: 1000 }).await.unwrap().len()
}

pub async fn a_group_with_only_stateless_tokens_is_known_while_they_are_active(world: World) {
    let shop = world.shop().await;
    let ask = |at| Ask::new(Kind::Stateless).group("blue").at(at);
    let grant = world.grant(&shop, &ask(NOW)).await;
    assert!(!grant.knows_its_group(NOW), "the group has no row yet");
    let grant = world.take_assertion(grant, NOW).await.unwrap();
    let token = grant.stateless_claims(TokenId([5; 16]), signing_key(1).id, NOW);
    let names = async |at| {
        let groups = world.groups(shop.id, at).await.unwrap();
        groups.into_iter().map(|row| row.group).collect::<Vec<_>>()
    };
    assert_eq!(names(NOW).await, [group("blue")]);
    // For a day further uses write nothing.
    let commits = world.follower.followed().commits.len();
    let later = world.grant(&shop, &ask(NOW.plus(DAY))).await;
    assert!(later.knows_its_group(NOW.plus(DAY)));
    assert_eq!(world.follower.followed().commits.len(), commits);
    let stale = NOW.plus(DAY + 1);
    let later = world.grant(&shop, &ask(stale)).await;
    assert!(!later.knows_its_group(stale), "its row must be renewed");

    let revoked = world
        .revoke(shop.id, RevocationTarget::Group(group("blue")), false, by(NOW))
        .await
        .unwrap();
    assert_eq!(revoked.tokens, 0);
    let view = world.state().await.unwrap().view;
    assert!(verify_claims(&token, NOW, &view).is_err());
    let forgotten = NOW.plus(DAY + 900);
    assert_eq!(names(forgotten).await, []);
    let late =
        world.revoke(shop.id, RevocationTarget::Group(group("blue")), true, by(forgotten)).await;
    assert!(matches!(late, Err(Error::NotFound("group"))), "{late:?}");
}

pub async fn a_stateless_token_of_a_hundred_and_first_group_is_denied(world: World) {
    let shop = world.shop().await;
    let ask = |n: usize, at| Ask::new(Kind::Stateless).group(&format!("g{n}")).at(at);
    for n in 0..GROUPS {
        let grant = world.grant(&shop, &ask(n, NOW)).await;
        world.take_assertion(grant, NOW).await.unwrap();
    }
    let refused = |grant| async { denied(world.take_assertion(grant, NOW).await) };
    let more = world.grant(&shop, &ask(GROUPS, NOW)).await;
    assert_eq!(refused(more).await, Denied::TooManyGroups);
    let stored = world.ask(&shop, Ask::new(Kind::ShortLived).group("new")).await;
    assert_eq!(denied(stored), Denied::TooManyGroups);
    let known = world.grant(&shop, &ask(7, NOW)).await;
    world.take_assertion(known, NOW).await.unwrap();
    world.delete_group(shop.id, group("g7"), by(NOW)).await.unwrap();
    let more = world.grant(&shop, &ask(GROUPS, NOW)).await;
    world.take_assertion(more, NOW).await.unwrap();
    let later = NOW.plus(2 * DAY);
    let after = world.grant(&shop, &ask(GROUPS + 1, later)).await;
    world.take_assertion(after, later).await.unwrap();
}

pub async fn a_deleted_group_or_key_is_known_until_its_last_token_has_expired(world: World) {
    let shop = world.shop().await;
    let key = world.register(shop.id, 1, Some(group("red"))).await.unwrap();
    let other = world.register(shop.id, 2, None).await.unwrap();
    world.delete_key(shop.id, other, false, by(NOW)).await.unwrap();
    world.delete_group(shop.id, group("red"), by(NOW)).await.unwrap();
    assert_eq!(world.groups(shop.id, NOW).await.unwrap().len(), 0);
    let gone = world.delete_group(shop.id, group("red"), by(NOW)).await;
    assert!(matches!(gone, Err(Error::NotFound("group"))), "{gone:?}");
    let (last, over) = (NOW.plus(30 * DAY - 1), NOW.plus(30 * DAY));
    for target in [
        RevocationTarget::Group(group("red")),
        RevocationTarget::AssertionKey(key),
        RevocationTarget::AssertionKey(other),
    ] {
        world.revoke(shop.id, target.clone(), true, by(last)).await.unwrap();
        let late = world.revoke(shop.id, target.clone(), true, by(over)).await;
        assert!(matches!(late, Err(Error::NotFound(_))), "{target:?}: {late:?}");
    }
}

pub async fn a_deleted_group_that_is_used_again_is_forgotten_like_any_other(world: World) {
    let shop = world.shop().await;
    let stateless = |name: &str, at| {
        let ask = Ask::new(Kind::Stateless).group(name).at(at);
        async { world.ask(&shop, ask).await.unwrap() }
    };
    stateless("red", NOW).await;
    world.delete_group(shop.id, group("red"), by(NOW)).await.unwrap();
    for name in ["red", "blue"] {
        stateless(name, NOW.plus(5)).await;
    }
    for at in (0..30 * DAY).step_by(3_600).map(|later| NOW.plus(later)) {
        let listed = world.groups(shop.id, at).await.unwrap().len();
        assert!(listed == 2 || listed == 0, "{at:?}");
    }
    assert_eq!(world.groups(shop.id, NOW.plus(2 * DAY)).await.unwrap().len(), 0);
}

pub async fn a_revocation_takes_effect_once(world: World) {
    let it = full(&world).await;
    let shop = &it.shop;
    for target in [
        RevocationTarget::Stored { serial: Serial(1) },
        RevocationTarget::Stateless { id: it.stateless[0].id, expires_at: NOW.plus(900) },
        RevocationTarget::Group(group("a")),
        RevocationTarget::All,
    ] {
        let first = world.revoke_at(shop, target.clone(), NOW).await;
        let rows = world.rows(shop, NOW).await;
        let again = world.revoke_at(shop, target.clone(), NOW.plus(5)).await;
        assert_eq!(again.tokens, 0, "{target:?}");
        assert!(again.position > first.position, "it has a position of its own");
        let after = world.rows(shop, NOW).await;
        assert_eq!(format!("{rows:?}"), format!("{after:?}"), "the first revocation stays");
    }
    // An expired token cannot be revoked.
    let expired = RevocationTarget::Stateless { id: TokenId([9; 16]), expires_at: NOW.plus(5) };
    assert_eq!(world.revoke_at(shop, expired, NOW.plus(5)).await.tokens, 0);
}

pub async fn single_revocations_are_compacted_and_the_other_tokens_stay_active(world: World) {
    let shop = world.shop().await;
    let mut tokens = Vec::new();
    for n in 0..30 {
        tokens.push(world.ask(&shop, Ask::new(Kind::V21).life(5000 + n)).await.unwrap().claims);
        tokens.push(world.ask(&shop, Ask::new(Kind::ShortLived)).await.unwrap().claims);
    }
    let v21: Vec<_> = tokens.iter().filter(|it| it.kind == Kind::V21).cloned().collect();
    for (n, token) in v21.iter().enumerate().take(25) {
        let at = NOW.plus(n as i64);
        world.revoke_at(&shop, RevocationTarget::Stored { serial: token.serial }, at).await;
        crate::agree::everything(&world, &tokens, at).await;
        let view = world.state().await.unwrap().view;
        let revocations = view.channel(shop.id).unwrap();
        assert!(
            revocations.singles.len() <= MAX_SINGLE_REVOCATIONS && revocations.cutoffs.len() <= 1,
            "{revocations:?}"
        );
        if n % 10 == 9 {
            // The next ones are above the cutoff, not below it.
            let next = world.ask(&shop, Ask::new(Kind::V21).at(at)).await.unwrap();
            tokens.push(next.claims);
            crate::agree::everything(&world, &tokens, at).await;
        }
    }
    assert_eq!(world.living(&shop, Kind::ShortLived, NOW).await.len(), 30);
    assert_eq!(world.living(&shop, Kind::V21, NOW).await.len(), 7);
    // The newest of all, revoked at once, is compacted as well.
    for _ in 0..2 * MAX_SINGLE_REVOCATIONS {
        let token = world.ask(&shop, Ask::new(Kind::V21)).await.unwrap().claims;
        world.revoke_at(&shop, RevocationTarget::Stored { serial: token.serial }, NOW).await;
        tokens.push(token);
        crate::agree::everything(&world, &tokens, NOW.plus(30)).await;
    }
    assert_eq!(world.living(&shop, Kind::V21, NOW).await.len(), 7);
}

pub async fn stateless_revocations_are_bounded(world: World) {
    let shop = world.shop().await;
    let target = |n: usize, expires_at| RevocationTarget::Stateless {
        id: TokenId((n as u128).to_be_bytes()),
        expires_at,
    };
    let end = |n, expires_at, at| world.revoke(shop.id, target(n, expires_at), false, by(at));
    let all = (0..MAX_STATELESS_REVOCATIONS).map(|n| end(n, NOW.plus(900), NOW));
    let mut all = stream::iter(all).buffer_unordered(64);
    while let Some(done) = all.next().await {
        done.unwrap();
    }
    let held =
        || async { world.state().await.unwrap().view.channel(shop.id).unwrap().stateless.len() };
    assert_eq!(held().await, MAX_STATELESS_REVOCATIONS);
    let refused = end(MAX_STATELESS_REVOCATIONS, NOW.plus(900), NOW).await;
    assert_eq!(denied(refused), Denied::TooManyStatelessRevocations);
    // A token that is revoked already does not count again.
    end(0, NOW.plus(900), NOW).await.unwrap();
    // A bulk revocation always has room.
    world.revoke_at(&shop, RevocationTarget::Kind(Kind::Stateless), NOW).await;
    // Those that expired meanwhile do not count, even before they are forgotten.
    end(MAX_STATELESS_REVOCATIONS, NOW.plus(1800), NOW.plus(900)).await.unwrap();
    assert_eq!(held().await, MAX_STATELESS_REVOCATIONS + 1);
    let other = world.shop().await;
    world.revoke_at(&other, target(1, NOW.plus(1800)), NOW.plus(900)).await;
}

pub async fn deleting_a_key_or_a_group_or_replacing_a_secret_revokes_tokens_on_request(
    world: World,
) {
    let at = NOW.plus(3);
    for revoke in [false, true] {
        let it = full(&world).await;
        let deleted = world.delete_key(it.shop.id, it.second, revoke, by(at)).await.unwrap();
        let of_key = it.stored.iter().filter(|token| token.assertion_key == Some(it.second));
        assert_eq!(deleted.tokens, if revoke { of_key.count() } else { 0 });
        crate::agree::everything(&world, &it.stored, at).await;
        let view = world.state().await.unwrap().view;
        assert_eq!(verify_claims(&it.stateless[2], at, &view).is_err(), revoke);
        assert!(verify_claims(&it.stateless[0], at, &view).is_ok());
    }
    for revoke in [RevokeTokens::None, RevokeTokens::BySecret, RevokeTokens::All] {
        let it = full(&world).await;
        let secret = PlainSecret::from_random([2; 16]).hash();
        world.replace_secret(it.shop.id, secret, 0, revoke, by(at)).await.unwrap();
        let living = TokenFilter { state: Some(TokenState::Active), ..TokenFilter::default() };
        let living = world.rows_of(it.shop.id, living, at).await.len();
        let by_secret = [false, false, false, false, false, true, true, false, true, true, false];
        let revoked = by_secret.map(|it| match revoke {
            RevokeTokens::None => false,
            RevokeTokens::BySecret => it,
            RevokeTokens::All => true,
        });
        assert_eq!(living, revoked[..8].iter().filter(|it| !**it).count());
        let view = world.state().await.unwrap().view;
        let issued = it.stored.iter().chain(&it.stateless);
        let found: Vec<_> = issued.map(|it| verify_claims(it, at, &view).is_err()).collect();
        assert_eq!(found, revoked, "{revoke:?}");
        crate::agree::everything(&world, &it.stored, at).await;
        // The remaining key still gets tokens, and they are active.
        let fresh = world.ask(&it.shop, Ask::new(Kind::V21).at(at)).await.unwrap().claims;
        crate::agree::everything(&world, &[fresh], at).await;
    }
    let it = full(&world).await;
    let settings = GroupSettings { cap: Some(3), ..GroupSettings::default() };
    world.set_group(it.shop.id, group("a"), settings.into(), by(at)).await.unwrap();
    let bound = world.register(it.shop.id, 2, Some(group("a"))).await.unwrap();
    let mine = world.ask(&it.shop, Ask::new(Kind::V21).signed(bound, 2).at(at)).await.unwrap();
    assert_eq!(mine.claims.group, Some(group("a")));
    let deleted = world.delete_group(it.shop.id, group("a"), by(at)).await.unwrap();
    assert_eq!(deleted.tokens, 4);
    let snapshot = world.snapshot(&it.shop).await;
    assert!(snapshot.groups.is_empty());
    assert!(snapshot.assertion_keys.iter().all(|key| key.group.is_none()));
    let groups = world.groups(it.shop.id, at).await.unwrap();
    assert_eq!(groups.iter().map(|row| row.group.as_str()).collect::<Vec<_>>(), ["b"]);
    crate::agree::everything(&world, &it.stored, at).await;
}

pub async fn a_revocation_does_not_affect_tokens_issued_after_it(world: World) {
    let it = full(&world).await;
    for target in [
        RevocationTarget::Group(group("a")),
        RevocationTarget::AssertionKey(it.second),
        RevocationTarget::Kind(Kind::V21),
        RevocationTarget::All,
    ] {
        world.revoke_at(&it.shop, target.clone(), NOW).await;
        let ask = Ask::new(Kind::V21).group("a").signed(it.second, 1);
        let after = world.ask(&it.shop, ask).await.unwrap().claims;
        let stateless = world.grant(&it.shop, &Ask::new(Kind::Stateless).group("a")).await;
        let stateless = stateless.stateless_claims(TokenId([7; 16]), signing_key(1).id, NOW);
        let view = world.state().await.unwrap().view;
        assert_eq!(verify_claims(&after, NOW, &view), Ok(after.expires_at), "{target:?}");
        assert_eq!(verify_claims(&stateless, NOW, &view), Ok(stateless.expires_at), "{target:?}");
        crate::agree::everything(&world, &[after], NOW).await;
    }
}

pub async fn a_deleted_channel_keeps_the_records_of_its_tokens(world: World) {
    let shop = world.shop().await;
    let expired = world.ask(&shop, Ask::new(Kind::V21).life(50)).await.unwrap().claims;
    let revoked = world.ask(&shop, Ask::new(Kind::V21)).await.unwrap().claims;
    world.revoke_at(&shop, RevocationTarget::Stored { serial: revoked.serial }, NOW.plus(10)).await;
    let replaced = world.ask(&shop, Ask::new(Kind::LongLived)).await.unwrap().claims;
    let by_reissue = Ask::new(Kind::LongLived).delay(60).at(NOW.plus(10));
    let of_key = world.ask(&shop, by_reissue).await.unwrap().claims;
    let remove = SigningKeyChange::Revoke { key: signing_key(1).id, successor: signing_key(2) };
    world.change_signing_keys(remove, by(NOW.plus(100))).await.unwrap();
    let living = world.ask(&shop, Ask::new(Kind::V21).at(NOW.plus(150))).await.unwrap().claims;

    let at = NOW.plus(200);
    let state = Some(ChannelState::Deleted);
    let patch = ChannelPatch { state, ..ChannelPatch::default() };
    world.change_channel(shop.id, patch, by(at)).await.unwrap();

    let tokens = [expired, revoked, replaced, of_key, living];
    let mut revoked = Vec::new();
    for token in &tokens {
        revoked.push(world.row(&shop, token.serial, at).await.revocation);
    }
    assert_eq!(
        revoked,
        [
            None,
            Some((RevocationCause::Requested, NOW.plus(10))),
            Some((RevocationCause::Reissued, NOW.plus(70))),
            Some((RevocationCause::Requested, NOW.plus(100))),
            Some((RevocationCause::Requested, at)),
        ]
    );
    crate::agree::everything(&world, &tokens, at).await;
    crate::agree::everything(&world, &tokens, at.plus(100 * DAY)).await;
}
