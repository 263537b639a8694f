//! Groups: tokens of their own, at most two of a kind, and no issue evicts another
//! group's.

use crate::world::{Channel, World, by_assertion};
use serde_json::json;
use tegata_policy::channel::GroupSettings;
use tegata_server::authority::admin::{ActOptions, InChannel, Outcome};
use tegata_token::kind::Kind;

const FULL: &str = r#"{"message":"The maximum number of access tokens has already been issued"}"#;

async fn live(world: &World, tokens: &[String]) -> Vec<bool> {
    let mut live = Vec::new();
    for token in tokens {
        live.push(world.is_good(token).await);
    }
    live
}

async fn of_group(world: &World, shop: &Channel, group: &str) -> String {
    world.issue_to(shop, Kind::ShortLived, group).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_groups_third_token_evicts_its_first_and_no_other_groups() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let plain = world.issue(&shop, Kind::ShortLived).await;
    let b = of_group(&world, &shop, "b").await;
    let mut a = Vec::new();
    for _ in 0..3 {
        a.push(of_group(&world, &shop, "a").await);
    }
    assert_eq!(live(&world, &a).await, [false, true, true]);
    assert_eq!(live(&world, &[plain, b]).await, [true, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_full_channel_a_group_without_tokens_is_denied_and_nothing_is_evicted() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let mut tokens = Vec::new();
    for group in 0..15 {
        for _ in 0..2 {
            tokens.push(of_group(&world, &shop, &format!("g{group}")).await);
        }
    }
    world.short_lived(&shop, &[("group", "new")]).await.is(400, FULL);
    world.short_lived(&shop, &[]).await.is(400, FULL);
    assert!(live(&world, &tokens).await.iter().all(|live| *live));
    of_group(&world, &shop, "g7").await;
    let live = live(&world, &tokens).await;
    let revoked: Vec<_> = (0..30).filter(|&at| !live[at]).collect();
    assert_eq!(revoked, [14], "the first of g7");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_issued_with_a_groups_key_are_that_groups() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let assertion = world.assertion_of_group(&shop, "team").await;
    let fields = by_assertion(&assertion);
    for path in ["/oauth2/v2.1/token", "/oauth2/v3/token"] {
        let token = world.post(path, &fields).await.token();
        let verified = world.gateway(&token, "").await;
        assert_eq!(verified.header("x-tegata-group"), "team");
        let same = [&fields[..], &[("group", "team")]].concat();
        world.post(path, &same).await.token();
        let other = [&fields[..], &[("group", "other")]].concat();
        let refused = world.post(path, &other).await;
        assert_eq!((refused.status, &refused.json()["error"]), (400, &json!("invalid_request")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_has_at_most_a_hundred_groups_and_deleting_one_makes_room() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let v21 = async |group: &str| world.v21(&shop, &[("group", group)]).await;
    let contact = GroupSettings { contact: Some("team@example".into()), ..Default::default() };
    for group in 0..100 {
        let group = format!("k{group}").parse().unwrap();
        world.admin().change_group(shop.id, group, contact.clone().into()).await.unwrap();
    }
    let refused = v21("one-more").await;
    assert_eq!((refused.status, &refused.json()["error"]), (400, &json!("invalid_request")));
    v21("k5").await.token();
    world
        .admin()
        .delete_group(shop.id, "k99".parse().unwrap(), &ActOptions::default())
        .await
        .unwrap();
    v21("one-more").await.token();
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_a_group_revokes_all_its_kinds_and_nothing_else() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let (v21, stateless, short) = (
        world.issue_to(&shop, Kind::V21, "a").await,
        world.issue_to(&shop, Kind::Stateless, "a").await,
        world.issue_to(&shop, Kind::ShortLived, "a").await,
    );
    let others =
        [world.issue(&shop, Kind::V21).await, world.issue_to(&shop, Kind::Stateless, "b").await];
    let group = InChannel::Group("a".parse().unwrap());
    let options = ActOptions::default();
    let revoked = world.admin().revoke_in_channel(shop.id, group, &options).await.unwrap();
    assert!(matches!(revoked, Outcome::Done((), taken) if taken.tokens == Some(2)));
    assert!(!world.is_good(&v21).await);
    assert!(!world.is_good(&stateless).await);
    assert!(!world.is_good(&short).await);
    for other in &others {
        assert!(world.is_good(other).await);
    }
    // The group can still be used, and new tokens of it are active.
    let again = world.issue_to(&shop, Kind::Stateless, "a").await;
    assert!(world.is_good(&again).await);
}
