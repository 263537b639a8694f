//! A new signing key signs once the verifiers know it.

use crate::world::World;
use reqwest::Method;
use serde_json::json;

impl World {
    /// Moves the clock, which runs the jobs; the state of a signing key after that.
    async fn state_after(&self, seconds: u64, kid: &str) -> String {
        let body = json!({ "advance_seconds": seconds }).to_string();
        let json = [("content-type", "application/json")];
        self.send(Method::POST, "/dev/clock", &json, Some(body)).await.is(200);
        let listed = self.admin(Method::GET, "/signing-keys", None).await.is(200).json();
        let keys = listed["signing_keys"].as_array().unwrap();
        let key = keys.iter().find(|it| it["kid"] == kid).unwrap();
        key["state"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_published_key_signs_once_each_verifier_has_acknowledged_it() {
    let world = World::new().await;
    let settings = json!({ "name": "gateway", "max_staleness": 86_400_000 });
    let verifier = world.verifier(settings).await;
    let follower = world.follower(&verifier, "one").with(86_400_000, "deny");
    let position = follower.snapshot().await;
    let made = world.admin(Method::POST, "/signing-keys", None).await.is(201).json();
    let kid = made["kid"].as_str().unwrap();
    assert_eq!(world.state_after(1_000, kid).await, "pending", "the follower may not know it");
    follower.catch_up(&position).await;
    assert_eq!(world.state_after(1, kid).await, "active");
}
