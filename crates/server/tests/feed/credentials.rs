//! Replacing a verifier's credential, and what must not change an acknowledgement.

use crate::world::{World, are};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn receipts_name_the_instances_of_both_credentials_while_one_replaces_the_other() {
    let world = World::new().await;
    let channel = world.channel().await;
    let old = world.verifier(json!({ "name": "gateway" })).await;
    let (kept, left) = (world.follower(&old, "kept"), world.follower(&old, "left"));
    let position = kept.snapshot().await;
    left.snapshot().await;
    let new = world.verifier(json!({ "name": "gateway-2" })).await;
    // A program with the new credential is another instance.
    let rolled = world.follower(&new, "rolled");
    rolled.snapshot().await;
    let first = world.revoke(&channel, 0).await;
    are(&first["receipt"], &[("kept", "waiting"), ("left", "waiting"), ("rolled", "waiting")]);
    rolled.catch_up(&position).await;
    kept.catch_up(&position).await;
    let states = [("kept", "acknowledged"), ("left", "waiting"), ("rolled", "acknowledged")];
    are(&world.receipt(&first["position"], 0).await, &states);
    // The program stops, its receipt goes on; then the old credential is deleted while one of
    // its instances has not stopped.
    kept.ask("changes", &format!("&after={position}&hold=0&bye=1"), &[]).await.is(200);
    world.admin(Method::DELETE, &format!("/verifiers/{}", old.id), None).await.is(204);
    left.changes(&position, 0).await.is(401);
    let receipt = world.receipt(&first["position"], 0).await;
    are(&receipt, &states);
    assert_eq!(receipt["state"], "pending", "an instance of the old credential may be fresh");
    let second = world.revoke(&channel, 0).await;
    are(&second["receipt"], &[("left", "waiting"), ("rolled", "waiting")]);
    rolled.catch_up(&position).await;
    assert_eq!(world.receipt(&second["position"], 0).await["state"], "pending");
    // The new credential acknowledges nothing for an instance of the old one.
    let other = world.follower(&new, "left");
    other.snapshot().await;
    other.catch_up(&position).await;
    let states = [("left", "waiting"), ("rolled", "acknowledged")];
    are(&world.receipt(&second["position"], 0).await, &states);
}

#[tokio::test]
async fn a_request_that_acknowledges_nothing_leaves_what_was_acknowledged() {
    let world = World::new().await;
    let channel = world.channel().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let follower = world.follower(&verifier, "one");
    let before = follower.snapshot().await;
    let first = world.revoke(&channel, 0).await;
    let known = follower.catch_up(&before).await;
    let second = world.revoke(&channel, 0).await;
    let (epoch, head) = second["position"].as_str().unwrap().split_once('-').unwrap();
    let beyond = format!("{epoch}-{}", head.parse::<u64>().unwrap() + 1);
    for after in [&beyond, &format!("{epoch}1-{head}")] {
        follower.changes(after, 0).await.is(410);
    }
    // Both show that the store went back: an epoch that it does not know is none before its own.
    let metrics = world.send(Method::GET, "/metrics", &[], None).await.is(200);
    let metrics = String::from_utf8(metrics.bytes).unwrap();
    assert!(metrics.contains("tegata_feed_positions_beyond_head_total 2"), "{metrics}");
    for after in [&before, &known, &second["position"].as_str().unwrap().to_owned()] {
        let cannot = format!("&after={after}&hold=0&cannot=full");
        follower.ask("changes", &cannot, &[]).await.is(200);
    }
    follower.snapshot().await;
    follower.changes(&before, 0).await.is(200);
    are(&world.receipt(&first["position"], 0).await, &[("one", "acknowledged")]);
    assert_eq!(world.receipt(&second["position"], 0).await["state"], "pending");
    let path = format!("/verifiers/{}", verifier.id);
    let shown = world.admin(Method::GET, &path, None).await.is(200).json();
    assert_eq!(shown["instances"][0]["position"], json!(known), "{shown:#}");
}

#[tokio::test]
async fn the_position_before_an_act_does_not_acknowledge_it() {
    let world = World::new().await;
    let channel = world.channel().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let follower = world.follower(&verifier, "one");
    follower.snapshot().await;
    let revoked = world.revoke(&channel, 0).await;
    let position = revoked["position"].as_str().unwrap();
    let (epoch, number) = position.split_once('-').unwrap();
    let before = format!("{epoch}-{}", number.parse::<u64>().unwrap() - 1);
    follower.changes(&before, 0).await.is(200);
    are(&world.receipt(&revoked["position"], 0).await, &[("one", "waiting")]);
    follower.changes(position, 0).await.is(200);
    are(&world.receipt(&revoked["position"], 0).await, &[("one", "acknowledged")]);
}

#[tokio::test]
async fn a_verifier_that_is_created_twice_under_one_key_is_one() {
    let world = World::new().await;
    let create = async |key: &str| {
        let (body, header) = (json!({ "name": "gateway" }), [("idempotency-key", key)]);
        let made = world.admin_with(Method::POST, "/verifiers", &header, Some(body)).await;
        made.is(201).json()
    };
    let first = create("a").await;
    assert_eq!(create("a").await, first, "the token is shown again");
    assert_ne!(create("b").await, first);
    let listed = world.admin(Method::GET, "/verifiers", None).await.is(200).json();
    assert_eq!(listed["verifiers"].as_array().unwrap().len(), 2);
    let path = format!("/verifiers/{}", first["verifier_id"].as_str().unwrap());
    let tag = world.admin(Method::GET, &path, None).await.is(200).headers["etag"].clone();
    let change = async |name: &str| {
        let (body, header) = (json!({ "name": name }), [("if-match", tag.to_str().unwrap())]);
        world.admin_with(Method::PATCH, &path, &header, Some(body)).await
    };
    let changed = change("one").await.is(200);
    let events = world.admin(Method::GET, "/audit?limit=1", None).await.is(200).json();
    let id = changed.headers["x-line-request-id"].to_str().unwrap();
    assert_eq!(events["events"][0]["request_id"], id, "{events}");
    change("other").await.is(412);
}
