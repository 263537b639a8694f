//! A grant whose channel changed between authorization and issue is authorized again,
//! within the transaction.

use crate::world::{Ask, NOW, World, by, denied, group};
use tegata_policy::channel::RevokeTokens;
use tegata_policy::{
    channel::GroupSettings,
    denied::Denied,
    rules::{TokenRules, WhenFull},
    secret::PlainSecret,
};
use tegata_store::{ChannelPatch, RevocationTarget};
use tegata_token::{
    id::{SigningKeyId, TokenId},
    kind::Kind,
    verify::{Invalid, verify_claims},
    view::{ChannelState, RevokedBy},
};

pub async fn a_grant_by_a_secret_that_was_replaced_is_denied(world: World) {
    let shop = world.shop().await;
    let grant = world.grant(&shop, &Ask::new(Kind::ShortLived)).await;
    let secret = PlainSecret::from_random([2; 16]).hash();
    world.replace_secret(shop.id, secret, 0, RevokeTokens::None, by(NOW)).await.unwrap();
    assert_eq!(denied(world.take(grant, NOW).await), Denied::WrongSecret);
}

pub async fn a_grant_by_a_previous_secret_that_is_still_valid_is_used(world: World) {
    let shop = world.shop().await;
    let ask = Ask::new(Kind::ShortLived);
    let [one, two] = [world.grant(&shop, &ask).await, world.grant(&shop, &ask).await];
    let secret = PlainSecret::from_random([2; 16]).hash();
    world.replace_secret(shop.id, secret, 60, RevokeTokens::None, by(NOW)).await.unwrap();
    world.take(one, NOW.plus(59)).await.unwrap();
    assert_eq!(denied(world.take(two, NOW.plus(60)).await), Denied::WrongSecret);
}

pub async fn a_grant_by_a_key_that_was_deleted_is_denied(world: World) {
    let shop = world.shop().await;
    let grant = world.grant(&shop, &Ask::new(Kind::V21)).await;
    world.delete_key(shop.id, shop.kid, false, by(NOW)).await.unwrap();
    assert_eq!(denied(world.take(grant, NOW).await), Denied::UnknownAssertionKey);
}

pub async fn a_grant_of_a_channel_that_was_suspended_is_denied_until_it_is_resumed(world: World) {
    let shop = world.shop().await;
    for kind in [Kind::V21, Kind::ShortLived, Kind::LongLived] {
        let ask = Ask::new(kind);
        let [one, two] = [world.grant(&shop, &ask).await, world.grant(&shop, &ask).await];
        let state = |state| ChannelPatch { state: Some(state), ..ChannelPatch::default() };
        world.patch(&shop, state(ChannelState::Suspended)).await;
        assert_eq!(denied(world.take(one, NOW).await), Denied::Suspended);
        world.patch(&shop, state(ChannelState::Active)).await;
        world.take(two, NOW).await.unwrap();
    }
}

pub async fn a_grant_of_a_channel_that_was_deleted_is_denied(world: World) {
    let shop = world.shop().await;
    let mut grants = Vec::new();
    for kind in [Kind::V21, Kind::ShortLived, Kind::LongLived] {
        grants.push(world.grant(&shop, &Ask::new(kind)).await);
    }
    let state = Some(ChannelState::Deleted);
    world.patch(&shop, ChannelPatch { state, ..ChannelPatch::default() }).await;
    for grant in grants {
        let why = denied(world.take(grant, NOW).await);
        assert!(matches!(why, Denied::UnknownChannel | Denied::UnknownAssertionKey), "{why:?}");
    }
    assert!(world.rows(&shop, NOW).await.is_empty());
}

pub async fn a_grant_whose_delay_the_new_token_rules_forbid_is_denied(world: World) {
    let shop = world.shop().await;
    let first = world.get(&shop, Ask::new(Kind::LongLived)).await;
    let grant = world.grant(&shop, &Ask::new(Kind::LongLived).delay(60)).await;
    let rules = Some(TokenRules::Legacy2020);
    world.patch(&shop, ChannelPatch { rules, ..ChannelPatch::default() }).await;
    assert_eq!(denied(world.take(grant, NOW).await), Denied::DelayUnderLegacyRules);
    assert_eq!(world.living(&shop, Kind::LongLived, NOW).await, [first.0]);
}

pub async fn a_grant_is_admitted_by_the_caps_at_the_time_of_issue(world: World) {
    let shop = world.shop().await;
    let ask = Ask::new(Kind::ShortLived).group("a");
    let first = world.get(&shop, ask.clone()).await;
    let [one, two] = [world.grant(&shop, &ask).await, world.grant(&shop, &ask).await];

    let refuse =
        GroupSettings { cap: Some(1), when_full: Some(WhenFull::Deny), ..GroupSettings::default() };
    world.set_group(shop.id, group("a"), refuse.into(), by(NOW)).await.unwrap();
    assert_eq!(denied(world.take(one, NOW).await), Denied::GroupFull(Kind::ShortLived));
    assert_eq!(world.living(&shop, Kind::ShortLived, NOW).await, [first.0]);

    let end_oldest = GroupSettings { cap: Some(1), ..GroupSettings::default() };
    world.set_group(shop.id, group("a"), end_oldest.into(), by(NOW)).await.unwrap();
    let second = world.take(two, NOW).await.unwrap().claims.serial;
    assert_eq!(world.living(&shop, Kind::ShortLived, NOW).await, [second.0]);
}

pub async fn a_grant_for_a_stateless_token_is_authorized_again_when_its_assertion_is_taken(
    world: World,
) {
    let shop = world.shop().await;
    let single_use_assertions = Some(true);
    world.patch(&shop, ChannelPatch { single_use_assertions, ..ChannelPatch::default() }).await;
    let stale = world.grant(&shop, &Ask::new(Kind::Stateless).jti("a")).await;
    let fresh = world.grant(&shop, &Ask::new(Kind::Stateless).jti("b")).await;
    world.take_assertion(fresh, NOW).await.unwrap();
    world.delete_key(shop.id, shop.kid, false, by(NOW)).await.unwrap();
    let taken = world.take_assertion(stale, NOW).await;
    assert_eq!(denied(taken), Denied::UnknownAssertionKey);
}

pub async fn a_stateless_token_authorized_before_a_bulk_revocation_is_revoked_by_it(world: World) {
    let shop = world.shop().await;
    let key: SigningKeyId = crate::world::signing_key(1).id;
    let claims = |grant: &tegata_policy::authorize::Grant| {
        grant.stateless_claims(TokenId([world.fresh() as u8; 16]), key, NOW)
    };
    let before = world.grant(&shop, &Ask::new(Kind::Stateless)).await;
    let token = claims(&before);
    world.revoke_at(&shop, RevocationTarget::Kind(Kind::Stateless), NOW).await;
    let after = claims(&world.grant(&shop, &Ask::new(Kind::Stateless)).await);
    let late = claims(&before);

    let view = world.state().await.unwrap().view;
    assert_eq!(verify_claims(&token, NOW, &view), Err(Invalid::Revoked(RevokedBy::Cutoff)));
    assert_eq!(verify_claims(&late, NOW, &view), Err(Invalid::Revoked(RevokedBy::Cutoff)));
    assert_eq!(verify_claims(&after, NOW, &view), Ok(after.expires_at));
}

pub async fn a_denied_grant_changes_nothing(world: World) {
    let shop = world.shop().await;
    let first = world.ask(&shop, Ask::new(Kind::ShortLived)).await.unwrap().claims;
    let grant = world.grant(&shop, &Ask::new(Kind::ShortLived).key("k")).await;
    let state = Some(ChannelState::Suspended);
    world.patch(&shop, ChannelPatch { state, ..ChannelPatch::default() }).await;
    let before = world.state().await.unwrap();
    let late = NOW.plus(1000);
    assert_eq!(denied(world.take(grant, late).await), Denied::Suspended);
    let after = world.state().await.unwrap();
    assert_eq!(after.view.position(), before.view.position());
    assert_eq!(after.written_at, NOW, "a denied act writes no time");
    assert_eq!(world.rows(&shop, NOW).await.len(), 1);
    crate::agree::everything(&world, &[first], NOW).await;
}
