//! What becomes of the uses that instances report.

use crate::world::{Channel, Follower, World};
use reqwest::Method;
use serde_json::{Value, json};

/// The tokens of a channel, newest first.
async fn tokens(world: &World, channel: &Channel) -> Vec<Value> {
    let path = format!("/channels/{}/tokens", channel.id);
    let listed = world.admin(Method::GET, &path, None).await.is(200).json();
    listed["tokens"].as_array().unwrap().clone()
}

/// Reports uses in this order, in the running minute.
async fn report(follower: &Follower<'_>, uses: Vec<Value>) {
    let minute = follower.world.running().authority.now().0 / 60 * 60;
    let minutes = [json!({ "minute": minute, "uses": uses })];
    let body = json!({ "instance": follower.instance, "minutes": minutes }).to_string();
    let token = format!("Bearer {}", follower.token);
    let headers = [("authorization", &*token), ("content-type", "application/json")];
    follower.world.send(Method::POST, "/feed/usage", &headers, Some(body)).await.is(204);
    follower.world.running().authority.flush_last_used().await.unwrap();
}

fn used(channel: &Channel, id: &Value) -> Value {
    json!({ "token_id": id, "channel": channel.id, "count": 1, "source": "192.0.2.1" })
}

#[tokio::test]
async fn who_used_a_token_before_its_revocation_is_known_although_it_was_reported_later() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let channel = world.channel().await;
    world.token(&channel).await;
    let id = tokens(&world, &channel).await[0]["token_id"].clone();
    let follower = world.follower(&verifier, "one");
    follower.snapshot().await;
    world.revoke(&channel, 0).await;
    report(&follower, vec![used(&channel, &id)]).await;
    let path = format!("/channels/{}/tokens/{}", channel.id, id.as_str().unwrap());
    let shown = world.admin(Method::GET, &path, None).await.is(200).json();
    assert_eq!(shown["recent_uses"][0]["source"], "192.0.2.1", "{shown:#}");
    assert!(shown["revoked_at"].is_string() && shown["last_used_at"].is_string(), "{shown:#}");
}

#[tokio::test]
async fn the_first_uses_of_a_report_that_names_too_many_tokens_are_recorded() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let channel = world.channel().await;
    for _ in 0..4 {
        world.token(&channel).await;
    }
    let stored = tokens(&world, &channel).await;
    let stored = stored.iter().map(|it| used(&channel, &it["token_id"]));
    // As of stateless tokens, which have no row.
    let unknown = (0..8_000).map(|n| used(&channel, &json!(format!("{n:0>21}A"))));
    let follower = world.follower(&verifier, "one");
    follower.snapshot().await;
    report(&follower, stored.chain(unknown).collect()).await;
    for token in tokens(&world, &channel).await {
        assert!(token["last_used_at"].is_string(), "{token:#}");
    }
}
