//! The token rules, applied by the store under its own lock.

use crate::world::{Ask, NOW, World, by, denied, group, signing_key};
use tegata_policy::{
    channel::GroupSettings,
    denied::Denied,
    rules::{TokenRules, WhenFull},
};
use tegata_store::{ChannelPatch, RevocationCause, RevocationTarget, SigningKeyChange, TokenState};
use tegata_token::{id::Serial, kind::Kind, time::DAY, view::ChannelState};

pub async fn the_31st_v21_token_is_denied_and_the_30_stay_active(world: World) {
    let shop = world.shop().await;
    for serial in 1..=30 {
        assert_eq!(world.get(&shop, Ask::new(Kind::V21)).await, Serial(serial));
    }
    let refused = world.ask(&shop, Ask::new(Kind::V21)).await;
    assert_eq!(denied(refused), Denied::Full(Kind::V21));
    assert_eq!(world.living(&shop, Kind::V21, NOW).await, Vec::from_iter(1..=30));
    let ids = world.live_v21(shop.id, None, NOW).await.unwrap();
    let rows: Vec<_> = world.rows(&shop, NOW).await.iter().map(|row| row.id).collect();
    assert_eq!(ids, rows);
    // The denied one took no serial.
    world.revoke_at(&shop, RevocationTarget::Stored { serial: Serial(7) }, NOW).await;
    assert_eq!(world.get(&shop, Ask::new(Kind::V21)).await, Serial(31));
}

pub async fn the_31st_short_lived_token_evicts_the_oldest(world: World) {
    let shop = world.shop().await;
    for serial in 1..=30 {
        assert_eq!(world.get(&shop, Ask::new(Kind::ShortLived)).await, Serial(serial));
    }
    let at = NOW.plus(5);
    for serial in 31..=45 {
        world.get(&shop, Ask::new(Kind::ShortLived).at(at)).await;
        let oldest = world.row(&shop, Serial(serial - 30), at).await;
        assert_eq!(oldest.state, TokenState::Revoked);
        assert_eq!(oldest.revocation, Some((RevocationCause::Evicted, at)));
        assert_eq!(oldest.replaced_by, Some(Serial(serial)));
        let living = world.living(&shop, Kind::ShortLived, at).await;
        assert_eq!(living, Vec::from_iter(serial - 29..=serial));
    }
}

pub async fn kinds_channels_and_groups_are_counted_apart(world: World) {
    let (shop, other) = (world.shop().await, world.shop().await);
    for _ in 0..30 {
        world.get(&shop, Ask::new(Kind::V21)).await;
        world.get(&shop, Ask::new(Kind::ShortLived)).await;
    }
    world.get(&shop, Ask::new(Kind::LongLived)).await;
    world.get(&other, Ask::new(Kind::V21)).await;
    world.get(&other, Ask::new(Kind::ShortLived)).await;
    assert_eq!(world.living(&shop, Kind::V21, NOW).await.len(), 30);
    assert_eq!(world.living(&shop, Kind::ShortLived, NOW).await.len(), 30);
    assert_eq!(world.living(&shop, Kind::LongLived, NOW).await, [61]);
    assert_eq!(world.living(&other, Kind::V21, NOW).await, [1]);
}

pub async fn the_third_token_of_a_group_evicts_its_oldest(world: World) {
    let shop = world.shop().await;
    let other = world.get(&shop, Ask::new(Kind::V21).group("b")).await;
    let none = world.get(&shop, Ask::new(Kind::V21)).await;
    let kind = world.get(&shop, Ask::new(Kind::ShortLived).group("a")).await;
    let ask = || Ask::new(Kind::V21).group("a");
    let [first, second] = [world.get(&shop, ask()).await, world.get(&shop, ask()).await];
    let third = world.get(&shop, ask()).await;
    let living = world.living(&shop, Kind::V21, NOW).await;
    assert_eq!(living, [other.0, none.0, second.0, third.0]);
    assert_eq!(world.living(&shop, Kind::ShortLived, NOW).await, [kind.0]);
    let revoked = world.row(&shop, first, NOW).await;
    assert_eq!(
        (revoked.revocation, revoked.replaced_by),
        (Some((RevocationCause::Evicted, NOW)), Some(third))
    );
    let of_a = world.live_v21(shop.id, Some(group("a")), NOW).await.unwrap();
    let [second, third] =
        [world.row(&shop, second, NOW).await.id, world.row(&shop, third, NOW).await.id];
    assert_eq!(of_a, [second, third]);
}

pub async fn a_group_that_denies_when_full_keeps_its_tokens(world: World) {
    let shop = world.shop().await;
    let patch = ChannelPatch {
        group_cap: Some(3),
        group_when_full: Some(WhenFull::Deny),
        ..ChannelPatch::default()
    };
    world.patch(&shop, patch).await;
    let own = GroupSettings {
        cap: Some(1),
        when_full: Some(WhenFull::EvictOldest),
        ..GroupSettings::default()
    };
    world.set_group(shop.id, group("b"), own.into(), by(NOW)).await.unwrap();
    for _ in 0..3 {
        world.get(&shop, Ask::new(Kind::ShortLived).group("a")).await;
    }
    let refused = world.ask(&shop, Ask::new(Kind::ShortLived).group("a")).await;
    assert_eq!(denied(refused), Denied::GroupFull(Kind::ShortLived));
    assert_eq!(world.living(&shop, Kind::ShortLived, NOW).await, [1, 2, 3]);
    world.get(&shop, Ask::new(Kind::ShortLived).group("b")).await;
    world.get(&shop, Ask::new(Kind::ShortLived).group("b")).await;
    assert_eq!(world.living(&shop, Kind::ShortLived, NOW).await, [1, 2, 3, 5]);
}

pub async fn in_a_full_channel_an_issue_evicts_only_from_its_own_group(world: World) {
    let shop = world.shop().await;
    world.patch(&shop, ChannelPatch { group_cap: Some(30), ..ChannelPatch::default() }).await;
    let ask = |name: Option<&str>| {
        let ask = Ask::new(Kind::ShortLived);
        name.map_or(ask.clone(), |name| ask.group(name))
    };
    world.get(&shop, ask(None)).await;
    for _ in 2..=28 {
        world.get(&shop, ask(Some("a"))).await;
    }
    world.get(&shop, ask(Some("b"))).await;
    world.get(&shop, ask(None)).await;
    let living = || world.living(&shop, Kind::ShortLived, NOW);
    assert_eq!(living().await.len(), 30);
    // The oldest of its own group, even if it is not the oldest of all.
    world.get(&shop, ask(Some("b"))).await;
    assert!(!living().await.contains(&29));
    world.get(&shop, ask(Some("a"))).await;
    assert!(!living().await.contains(&2));
    world.get(&shop, ask(None)).await;
    assert!(!living().await.contains(&1));
    assert_eq!(living().await.len(), 30);
    // An issue never evicts another group's token.
    let refused = world.ask(&shop, ask(Some("c"))).await;
    assert_eq!(denied(refused), Denied::Full(Kind::ShortLived));
    assert_eq!(living().await.len(), 30);
    // v2.1 evicts none, unless the group's own cap made room before.
    world.patch(&shop, ChannelPatch { group_cap: Some(2), ..ChannelPatch::default() }).await;
    for n in 0..15 {
        let ask = || Ask::new(Kind::V21).group(&format!("g{n}"));
        world.get(&shop, ask()).await;
        world.get(&shop, ask()).await;
    }
    let refused = world.ask(&shop, Ask::new(Kind::V21)).await;
    assert_eq!(denied(refused), Denied::Full(Kind::V21));
    world.get(&shop, Ask::new(Kind::V21).group("g3")).await;
    assert_eq!(world.living(&shop, Kind::V21, NOW).await.len(), 30);
}

pub async fn expired_and_revoked_tokens_do_not_count(world: World) {
    let shop = world.shop().await;
    for n in 0..30 {
        world.get(&shop, Ask::new(Kind::V21).life(100 + n)).await;
    }
    let ask = |at| world.ask(&shop, Ask::new(Kind::V21).at(at));
    assert_eq!(denied(ask(NOW.plus(99)).await), Denied::Full(Kind::V21));
    // The first second at which it is expired is the first at which it does not count.
    assert_eq!(ask(NOW.plus(100)).await.unwrap().claims.serial, Serial(31));
    assert_eq!(denied(ask(NOW.plus(100)).await), Denied::Full(Kind::V21));
    let first = world.row(&shop, Serial(1), NOW.plus(100)).await;
    assert_eq!((first.state, first.revocation), (TokenState::Expired, None));
    world.revoke_at(&shop, RevocationTarget::Stored { serial: Serial(20) }, NOW.plus(100)).await;
    assert_eq!(ask(NOW.plus(100)).await.unwrap().claims.serial, Serial(32));
}

pub async fn tokens_of_a_suspended_channel_count(world: World) {
    let shop = world.shop().await;
    for _ in 0..30 {
        world.get(&shop, Ask::new(Kind::V21)).await;
    }
    let state = |state| ChannelPatch { state: Some(state), ..ChannelPatch::default() };
    world.patch(&shop, state(ChannelState::Suspended)).await;
    assert_eq!(world.living(&shop, Kind::V21, NOW).await.len(), 30);
    world.patch(&shop, state(ChannelState::Active)).await;
    let refused = world.ask(&shop, Ask::new(Kind::V21)).await;
    assert_eq!(denied(refused), Denied::Full(Kind::V21));
}

pub async fn tokens_of_a_revoked_key_do_not_count_and_are_listed_as_revoked(world: World) {
    let shop = world.shop().await;
    let expired = world.ask(&shop, Ask::new(Kind::V21).life(5)).await.unwrap().claims;
    let mut tokens = vec![expired];
    let revoked = world.get(&shop, Ask::new(Kind::ShortLived)).await;
    world.revoke_at(&shop, RevocationTarget::Stored { serial: revoked }, NOW).await;
    for _ in 0..30 {
        let issued = world.ask(&shop, Ask::new(Kind::V21).at(NOW.plus(5))).await.unwrap();
        tokens.push(issued.claims);
    }
    tokens.push(world.ask(&shop, Ask::new(Kind::LongLived)).await.unwrap().claims);
    let at = NOW.plus(10);
    let remove = SigningKeyChange::Revoke { key: signing_key(1).id, successor: signing_key(2) };
    let of_key = world.change_signing_keys(remove, by(at)).await.unwrap();
    assert_eq!(of_key.tokens, Some(31), "those that were active until then");

    assert!(world.live_v21(shop.id, None, at).await.unwrap().is_empty());
    for token in &tokens[1..] {
        let row = world.row(&shop, token.serial, at).await;
        assert_eq!(row.state, TokenState::Revoked);
        assert_eq!(row.revocation, Some((RevocationCause::Requested, at)));
    }
    let expired = world.row(&shop, tokens[0].serial, at).await;
    assert_eq!(
        (expired.state, expired.revocation),
        (TokenState::Expired, None),
        "it expired before"
    );
    let revoked = world.row(&shop, revoked, at).await;
    assert_eq!(revoked.revocation, Some((RevocationCause::Requested, NOW)));

    for _ in 0..30 {
        let issued = world.ask(&shop, Ask::new(Kind::V21).at(at)).await.unwrap();
        assert_eq!(issued.claims.key, signing_key(2).id);
        tokens.push(issued.claims);
    }
    let full = world.ask(&shop, Ask::new(Kind::V21).at(at)).await;
    assert_eq!(denied(full), Denied::Full(Kind::V21));
    // A reissue has no active predecessor to delay.
    let reissued = world.ask(&shop, Ask::new(Kind::LongLived).delay(60).at(at)).await.unwrap();
    assert_eq!(reissued.previous_until, None);
    tokens.push(reissued.claims);
    // A revocation does not revoke them again.
    let revoked = world.revoke_at(&shop, RevocationTarget::All, at).await;
    assert_eq!(revoked.tokens, 31);
    crate::agree::everything(&world, &tokens, at).await;
}

pub async fn tokens_of_a_limited_key_count_if_issued_within_the_limit(mut world: World) {
    let shop = world.shop().await;
    let mut tokens = Vec::new();
    for n in 0..30 {
        let ask = Ask::new(Kind::V21).at(NOW.plus(n));
        tokens.push(world.ask(&shop, ask).await.unwrap().claims);
    }
    let at = NOW.plus(30);
    let add = SigningKeyChange::Add(signing_key(2));
    world.change_signing_keys(add, by(at)).await.unwrap();
    let promote = SigningKeyChange::Promote(signing_key(2).id);
    world.change_signing_keys(promote, by(at)).await.unwrap();
    world.close();
    world.place.limit_key(signing_key(1).id, NOW.plus(20)).await;
    world.reopen().await;

    assert_eq!(world.living(&shop, Kind::V21, at).await, Vec::from_iter(1..=20));
    let first_out = world.row(&shop, Serial(21), at).await;
    assert_eq!(first_out.state, TokenState::Revoked);
    let view = world.state().await.unwrap().view;
    for token in &tokens {
        let row = world.row(&shop, token.serial, at).await;
        crate::agree::row_and_view(&row, token, &view, at);
    }
    for _ in 0..10 {
        world.get(&shop, Ask::new(Kind::V21).at(at)).await;
    }
    let full = world.ask(&shop, Ask::new(Kind::V21).at(at)).await;
    assert_eq!(denied(full), Denied::Full(Kind::V21));
    // When the key is revoked altogether, only the still active ones are revoked by it.
    let remove = SigningKeyChange::Revoke { key: signing_key(1).id, successor: signing_key(3) };
    let of_key = world.change_signing_keys(remove, by(at.plus(1))).await.unwrap();
    assert_eq!(of_key.tokens, Some(20));
}

pub async fn legacy_2020_counts_short_and_long_lived_tokens_together(world: World) {
    let shop = world.shop().await;
    let rules = Some(TokenRules::Legacy2020);
    world.patch(&shop, ChannelPatch { rules, ..ChannelPatch::default() }).await;
    let mut tokens = Vec::new();
    for n in 1..=30 {
        let kind = if n % 3 == 0 { Kind::LongLived } else { Kind::ShortLived };
        tokens.push(world.ask(&shop, Ask::new(kind)).await.unwrap().claims);
    }
    assert_eq!(world.living(&shop, Kind::LongLived, NOW).await.len(), 10, "several may be active");
    for n in 31..=40 {
        let kind = if n % 2 == 0 { Kind::LongLived } else { Kind::ShortLived };
        tokens.push(world.ask(&shop, Ask::new(kind)).await.unwrap().claims);
        let out = world.row(&shop, Serial(n - 30), NOW).await;
        assert_eq!(
            out.revocation,
            Some((RevocationCause::Evicted, NOW)),
            "the oldest of both kinds"
        );
        assert_eq!(out.replaced_by, Some(Serial(n)));
        let both = world.living(&shop, Kind::LongLived, NOW).await.len()
            + world.living(&shop, Kind::ShortLived, NOW).await.len();
        assert_eq!(both, 30);
        crate::agree::everything(&world, &tokens, NOW).await;
    }
    for _ in 0..30 {
        tokens.push(world.ask(&shop, Ask::new(Kind::V21)).await.unwrap().claims);
    }
    let delayed = world.ask(&shop, Ask::new(Kind::LongLived).delay(1)).await;
    assert_eq!(denied(delayed), Denied::DelayUnderLegacyRules);
    crate::agree::everything(&world, &tokens, NOW).await;
}

pub async fn tightened_rules_evict_nothing_until_the_next_issue(world: World) {
    let shop = world.shop().await;
    let rules = |rules| ChannelPatch { rules: Some(rules), ..ChannelPatch::default() };
    let mut tokens = Vec::new();
    for _ in 0..30 {
        tokens.push(world.ask(&shop, Ask::new(Kind::ShortLived)).await.unwrap().claims);
    }
    tokens.push(world.ask(&shop, Ask::new(Kind::LongLived)).await.unwrap().claims);

    // 31 of both kinds: two are evicted for the next one.
    world.patch(&shop, rules(TokenRules::Legacy2020)).await;
    assert_eq!(world.living(&shop, Kind::ShortLived, NOW).await.len(), 30);
    tokens.push(world.ask(&shop, Ask::new(Kind::LongLived)).await.unwrap().claims);
    assert_eq!(world.living(&shop, Kind::ShortLived, NOW).await, Vec::from_iter(3..=30));
    assert_eq!(world.living(&shop, Kind::LongLived, NOW).await, [31, 32]);
    crate::agree::everything(&world, &tokens, NOW).await;
    for _ in 0..10 {
        tokens.push(world.ask(&shop, Ask::new(Kind::LongLived)).await.unwrap().claims);
    }
    assert_eq!(world.living(&shop, Kind::LongLived, NOW).await.len(), 12);

    // And back: twelve long-lived ones stay active until the next reissue; with a delay
    // the newest of them does so beyond it.
    world.patch(&shop, rules(TokenRules::Current)).await;
    assert_eq!(world.living(&shop, Kind::LongLived, NOW).await.len(), 12);
    let at = NOW.plus(5);
    let reissue = Ask::new(Kind::LongLived).delay(60).at(at);
    let reissued = world.ask(&shop, reissue).await.unwrap();
    assert_eq!(reissued.previous_until, Some(at.plus(60)));
    tokens.push(reissued.claims.clone());
    assert_eq!(world.living(&shop, Kind::LongLived, at).await, [42, 43]);
    let out = world.row(&shop, Serial(41), at).await;
    assert_eq!(out.revocation, Some((RevocationCause::Reissued, at)));
    assert_eq!(out.replaced_by, Some(reissued.claims.serial));
    for at in [at, at.plus(59), at.plus(60)] {
        crate::agree::everything(&world, &tokens, at).await;
    }
    // A smaller cap of a group works in the same way.
    for _ in 0..2 {
        tokens.push(world.ask(&shop, Ask::new(Kind::V21).group("a")).await.unwrap().claims);
    }
    let cap = GroupSettings { cap: Some(1), ..GroupSettings::default() };
    world.set_group(shop.id, group("a"), cap.into(), by(at)).await.unwrap();
    assert_eq!(world.living(&shop, Kind::V21, at).await, [44, 45]);
    tokens.push(world.ask(&shop, Ask::new(Kind::V21).group("a")).await.unwrap().claims);
    assert_eq!(world.living(&shop, Kind::V21, at).await, [46]);
    crate::agree::everything(&world, &tokens, at).await;
}

pub async fn the_token_rules_use_the_later_of_now_and_the_written_time(world: World) {
    let shop = world.shop().await;
    let life = DAY;
    for _ in 0..30 {
        world.get(&shop, Ask::new(Kind::V21).life(life)).await;
    }
    let late = NOW.plus(life);
    let issued = world.ask(&shop, Ask::new(Kind::V21).at(late)).await.unwrap();
    assert_eq!(issued.claims.issued_at, late);
    // The clock is set back: what has expired stays out of the count, and no token has an
    // earlier time than an older one.
    let issued = world.ask(&shop, Ask::new(Kind::V21).life(60).at(NOW)).await.unwrap();
    assert_eq!(issued.claims.issued_at, late);
    assert_eq!(issued.claims.expires_at, late.plus(60));
    let revoked = world
        .revoke_at(&shop, RevocationTarget::Stored { serial: issued.claims.serial }, NOW)
        .await;
    assert_eq!(revoked.tokens, 1);
    let row = world.row(&shop, issued.claims.serial, late).await;
    assert_eq!(row.revocation, Some((RevocationCause::Requested, late)));
}
