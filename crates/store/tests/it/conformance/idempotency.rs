//! The same request repeated under its `Idempotency-Key`.

use crate::world::{Ask, NOW, World, by, denied, group, signing_key};
use std::sync::Arc;
use tegata_policy::channel::RevokeTokens;
use tegata_policy::{denied::Denied, secret::PlainSecret};
use tegata_store::{ChannelPatch, RevocationTarget, SigningKeyChange};
use tegata_token::{kind::Kind, time::DAY, view::ChannelState};

pub async fn a_retry_gets_the_same_token_again(mut world: World) {
    let shop = world.shop().await;
    for kind in [Kind::V21, Kind::ShortLived, Kind::LongLived] {
        let ask = |at| Ask::new(kind).key("k").at(at);
        let first = world.ask(&shop, ask(NOW)).await.unwrap();
        assert!(!first.again);
        let again = world.ask(&shop, ask(NOW.plus(1000))).await.unwrap();
        assert!(again.again);
        assert_eq!(again.claims, first.claims);
        assert_eq!(again.issuer, first.issuer);
        assert_eq!(again.previous_until, first.previous_until);
        world.reopen().await;
        let again = world.ask(&shop, ask(NOW.plus(2000))).await.unwrap();
        assert_eq!((again.again, again.claims), (true, first.claims));
    }
    assert_eq!(world.rows(&shop, NOW).await.len(), 3);
    // Without a key each request issues its own token.
    world.get(&shop, Ask::new(Kind::ShortLived)).await;
    world.get(&shop, Ask::new(Kind::ShortLived)).await;
    assert_eq!(world.rows(&shop, NOW).await.len(), 5);
}

pub async fn a_retry_of_a_reissue_returns_the_same_expiry_of_the_previous_token(world: World) {
    let shop = world.shop().await;
    world.get(&shop, Ask::new(Kind::LongLived)).await;
    let ask = |key, at| Ask::new(Kind::LongLived).delay(500).key(key).at(at);
    let first = world.ask(&shop, ask("k", NOW)).await.unwrap();
    assert_eq!(first.previous_until, Some(NOW.plus(500)));
    let again = world.ask(&shop, ask("k", NOW.plus(100))).await.unwrap();
    assert_eq!(again.previous_until, first.previous_until);
    // Once the next reissue revoked it at once, there is no such time.
    world.get(&shop, ask("l", NOW.plus(200))).await;
    let again = world.ask(&shop, ask("k", NOW.plus(200))).await.unwrap();
    assert_eq!((again.again, again.previous_until), (true, None));
}

pub async fn other_parameters_under_the_same_key_are_denied(world: World) {
    let shop = world.shop().await;
    let life = |life| Ask::new(Kind::V21).key("k").life(life);
    world.get(&shop, life(1000)).await;
    assert_eq!(denied(world.ask(&shop, life(999)).await), Denied::IdempotencyMismatch);
    let delay = |delay| Ask::new(Kind::LongLived).key("k").delay(delay);
    world.get(&shop, delay(5)).await;
    assert_eq!(denied(world.ask(&shop, delay(6)).await), Denied::IdempotencyMismatch);
    assert_eq!(world.rows(&shop, NOW).await.len(), 2);
    assert!(world.ask(&shop, life(1000)).await.unwrap().again);
}

pub async fn a_retry_is_denied_once_the_token_is_revoked_or_expired_or_its_key_revoked(
    world: World,
) {
    let shop = world.shop().await;
    let ask = |key| Ask::new(Kind::V21).key(key).life(1000);
    let revoked = Denied::IdempotencyInactive;

    let serial = world.get(&shop, ask("revoked")).await;
    world.revoke_at(&shop, RevocationTarget::Stored { serial }, NOW).await;
    assert_eq!(denied(world.ask(&shop, ask("revoked")).await), revoked);

    world.get(&shop, ask("expired")).await;
    let late = NOW.plus(1000);
    assert!(world.ask(&shop, ask("expired").at(NOW.plus(999))).await.unwrap().again);
    assert_eq!(denied(world.ask(&shop, ask("expired").at(late)).await), revoked);

    let long = |key| Ask::new(Kind::LongLived).key(key).delay(60).at(late);
    world.get(&shop, long("first")).await;
    world.get(&shop, long("second")).await;
    assert!(world.ask(&shop, long("first").at(late.plus(59))).await.unwrap().again);
    assert_eq!(denied(world.ask(&shop, long("first").at(late.plus(60))).await), revoked);

    world.get(&shop, ask("key-gone").at(late.plus(60))).await;
    let remove = SigningKeyChange::Revoke { key: signing_key(1).id, successor: signing_key(2) };
    world.change_signing_keys(remove, by(late.plus(60))).await.unwrap();
    assert_eq!(denied(world.ask(&shop, ask("key-gone").at(late.plus(60))).await), revoked);
    // The key belongs to that token as long as the row exists.
    let years = late.plus(1000 * DAY);
    assert_eq!(denied(world.ask(&shop, ask("revoked").at(years)).await), revoked);
}

pub async fn the_key_is_scoped_by_channel_kind_group_and_assertion_key(world: World) {
    let (shop, other) = (world.shop().await, world.shop().await);
    let second = world.register(shop.id, 1, None).await.unwrap();
    let ask = |kind| Ask::new(kind).key("k");
    let mut ids = Vec::new();
    for (shop, ask) in [
        (&shop, ask(Kind::V21)),
        (&other, ask(Kind::V21)),
        (&shop, ask(Kind::ShortLived)),
        (&shop, ask(Kind::V21).group("a")),
        (&shop, ask(Kind::V21).group("b")),
        (&shop, ask(Kind::V21).signed(second, 1)),
        (&shop, ask(Kind::LongLived)),
    ] {
        let issued = world.ask(shop, ask.clone()).await.unwrap();
        assert!(!issued.again, "{ask:?}");
        assert!(world.ask(shop, ask).await.unwrap().again);
        ids.push(issued.claims.id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 7);
}

pub async fn a_retry_is_authenticated_first(world: World) {
    let shop = world.shop().await;
    let ask = || Ask::new(Kind::ShortLived).key("k");
    world.get(&shop, ask()).await;
    let stale = world.grant(&shop, &ask()).await;
    let secret = PlainSecret::from_random([2; 16]).hash();
    world.replace_secret(shop.id, secret, 0, RevokeTokens::None, by(NOW)).await.unwrap();
    assert_eq!(denied(world.take(stale, NOW).await), Denied::WrongSecret);
    let other = world.shop().await;
    let stale = world.grant(&other, &ask()).await;
    let state = Some(ChannelState::Suspended);
    world.patch(&other, ChannelPatch { state, ..ChannelPatch::default() }).await;
    assert_eq!(denied(world.take(stale, NOW).await), Denied::Suspended);
}

pub async fn concurrent_retries_create_one_row(world: World) {
    let shop = world.shop().await;
    let world = Arc::new(world);
    for round in 0..10 {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let (world, shop) = (world.clone(), shop.clone());
            let ask = Ask::new(Kind::V21).key(&round.to_string());
            let grant = world.grant(&shop, &ask).await;
            tasks.spawn(async move { world.take(grant, NOW).await.unwrap() });
        }
        let issued = tasks.join_all().await;
        assert_eq!(issued.iter().filter(|it| !it.again).count(), 1);
        assert!(issued.iter().all(|it| it.claims == issued[0].claims));
        assert_eq!(world.rows(&shop, NOW).await.len(), round + 1);
    }
}

pub async fn a_retried_token_keeps_its_signing_key_and_form(world: World) {
    let shop = world.shop().await;
    let ask = || Ask::new(Kind::V21).key("k").group("a");
    let first = world.ask(&shop, ask()).await.unwrap();
    let add = SigningKeyChange::Add(signing_key(2));
    world.change_signing_keys(add, by(NOW)).await.unwrap();
    let promote = SigningKeyChange::Promote(signing_key(2).id);
    world.change_signing_keys(promote, by(NOW)).await.unwrap();
    let again = world.ask(&shop, ask()).await.unwrap();
    assert_eq!(again.claims, first.claims);
    assert_eq!(again.claims.key, signing_key(1).id, "signed again with the retired key");
    assert_eq!(&*again.issuer, crate::world::ISSUER);
    let group = again.claims.group;
    assert_eq!(group, Some(self::group("a")));
    let fresh = world.ask(&shop, Ask::new(Kind::V21)).await.unwrap();
    assert_eq!(fresh.claims.key, signing_key(2).id);
}
