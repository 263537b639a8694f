//! Channels that accept each assertion once.

use crate::world::{Ask, NOW, Shop, World, denied};
use std::sync::Arc;
use tegata_policy::{denied::Denied, rules::WhenFull};
use tegata_store::{ChannelPatch, Old};
use tegata_token::{kind::Kind, time::DAY};

async fn strict(world: &World) -> Shop {
    let shop = world.shop().await;
    let patch = ChannelPatch { single_use_assertions: Some(true), ..ChannelPatch::default() };
    world.patch(&shop, patch).await;
    shop
}

pub async fn a_channel_with_single_use_assertions_accepts_each_once(world: World) {
    let shop = strict(&world).await;
    let ask = |jti| Ask::new(Kind::V21).jti(jti);
    world.get(&shop, ask("a")).await;
    assert_eq!(denied(world.ask(&shop, ask("a")).await), Denied::AssertionUsed);
    world.get(&shop, ask("b")).await;
    let stateless = |jti| Ask::new(Kind::Stateless).jti(jti);
    let grant = world.grant(&shop, &stateless("c")).await;
    world.take_assertion(grant.clone(), NOW).await.unwrap();
    let again = world.take_assertion(grant, NOW).await;
    assert_eq!(denied(again), Denied::AssertionUsed);
    // A channel that accepts assertions more than once does so.
    let loose = world.shop().await;
    world.get(&loose, ask("a")).await;
    world.get(&loose, ask("a")).await;
}

pub async fn one_assertion_in_concurrent_requests_yields_exactly_one_token(world: World) {
    let shop = strict(&world).await;
    let world = Arc::new(world);
    for round in 0..10 {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..16 {
            // Stored and stateless issues compete for the same assertion.
            let kind = if (n + round) % 2 == 0 { Kind::V21 } else { Kind::Stateless };
            let ask = Ask::new(kind).jti(&format!("round {round}")).life(60);
            let grant = world.grant(&shop, &ask).await;
            let world = world.clone();
            tasks.spawn(async move {
                match kind {
                    Kind::V21 => world.take(grant, NOW).await.map(drop),
                    _ => world.take_assertion(grant, NOW).await.map(drop),
                }
            });
        }
        let (won, lost): (Vec<_>, Vec<_>) =
            tasks.join_all().await.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 15));
        for lost in lost {
            assert_eq!(denied(lost), Denied::AssertionUsed);
        }
    }
}

pub async fn an_assertion_is_single_use_across_stored_and_stateless_tokens(world: World) {
    let shop = strict(&world).await;
    world.get(&shop, Ask::new(Kind::V21).jti("a")).await;
    let grant = world.grant(&shop, &Ask::new(Kind::Stateless).jti("a")).await;
    assert_eq!(denied(world.take_assertion(grant, NOW).await), Denied::AssertionUsed);
    let grant = world.grant(&shop, &Ask::new(Kind::Stateless).jti("b")).await;
    world.take_assertion(grant, NOW).await.unwrap();
    let used = world.ask(&shop, Ask::new(Kind::V21).jti("b")).await;
    assert_eq!(denied(used), Denied::AssertionUsed);
}

pub async fn a_denied_issue_does_not_use_up_the_assertion(world: World) {
    let shop = strict(&world).await;
    let patch = ChannelPatch {
        group_cap: Some(1),
        group_when_full: Some(WhenFull::Deny),
        ..ChannelPatch::default()
    };
    world.patch(&shop, patch).await;
    let ask = |jti| Ask::new(Kind::V21).jti(jti).group("a");
    let first = world.get(&shop, ask("a")).await;
    assert_eq!(denied(world.ask(&shop, ask("b")).await), Denied::GroupFull(Kind::V21));
    world.revoke_at(&shop, tegata_store::RevocationTarget::Stored { serial: first }, NOW).await;
    world.get(&shop, ask("b")).await;
    // A retry under its key is answered with the same token, not denied.
    let retried = |world: World| async move {
        let shop = strict(&world).await;
        let ask = || Ask::new(Kind::V21).jti("c").key("k");
        world.get(&shop, ask()).await;
        assert!(world.ask(&shop, ask()).await.unwrap().again);
    };
    retried(world).await;
}

pub async fn assertions_are_distinguished_by_channel(world: World) {
    let (shop, other) = (strict(&world).await, strict(&world).await);
    world.get(&shop, Ask::new(Kind::V21).jti("a")).await;
    world.get(&other, Ask::new(Kind::V21).jti("a")).await;
    assert_eq!(
        denied(world.ask(&other, Ask::new(Kind::V21).jti("a")).await),
        Denied::AssertionUsed
    );
}

pub async fn a_used_assertion_is_remembered_until_a_day_after_its_expiry(world: World) {
    let shop = strict(&world).await;
    let mut expires_at = NOW;
    for jti in ["a", "b", "c"] {
        let grant = world.grant(&shop, &Ask::new(Kind::Stateless).jti(jti)).await;
        expires_at = grant.assertion().unwrap().expires_at;
        world.take_assertion(grant, NOW).await.unwrap();
    }
    let late = expires_at.plus(DAY);
    // Entries of the log are trimmed by their own age, and are not counted here.
    while world.trim(Old::LogAndAssertions { most: 100 }, late).await.unwrap() > 0 {}
    let grant = world.grant(&shop, &Ask::new(Kind::Stateless).jti("a")).await;
    assert_eq!(denied(world.take_assertion(grant, NOW).await), Denied::AssertionUsed);
    let later = late.plus(1);
    assert_eq!(world.trim(Old::LogAndAssertions { most: 2 }, later).await.unwrap(), 2);
    assert_eq!(world.trim(Old::LogAndAssertions { most: 2 }, later).await.unwrap(), 1);
    assert_eq!(world.trim(Old::LogAndAssertions { most: 2 }, later).await.unwrap(), 0);
}
