//! Verifiers that report uses of revoked tokens.

use super::world::{Channel, Follower, World};
use reqwest::Method;
use serde_json::{Value, json};

/// A follower, and a token that was revoked.
struct Scene<'a> {
    world: &'a World,
    follower: Follower<'a>,
    channel: Channel,
    token: Value,
    /// The position of the follower before the revocation.
    before: String,
}

impl<'a> Scene<'a> {
    async fn new(world: &'a World, on_stale: &'static str) -> Self {
        let verifier = world.verifier(json!({ "name": "gateway", "allow": true })).await;
        let channel = world.channel().await;
        world.token(&channel).await;
        let path = format!("/channels/{}/tokens", channel.id);
        let listed = world.admin(Method::GET, &path, None).await.is(200).json();
        let token = listed["tokens"][0]["token_id"].clone();
        let follower = world.follower(&verifier, "one").with(60_000, on_stale);
        let before = follower.snapshot().await;
        world.revoke(&channel, 0).await;
        Self { world, follower, channel, token, before }
    }

    /// Reports a use of the token; the warnings then.
    async fn uses(&self, minute: i64) -> Value {
        let channel = &self.channel.id;
        let used =
            json!([{ "token_id": self.token, "channel": channel, "count": 1, "source": "x" }]);
        let minutes = [json!({ "minute": minute, "uses": used })];
        let report = json!({ "instance": self.follower.instance, "minutes": minutes }).to_string();
        let token = format!("Bearer {}", self.follower.token);
        let headers = [("authorization", &*token), ("content-type", "application/json")];
        self.world.send(Method::POST, "/feed/usage", &headers, Some(report)).await.is(204);
        let listed = self.world.admin(Method::GET, "/warnings", None).await.is(200).json();
        listed["verifiers"].clone()
    }

    /// Whether it warns of the token.
    #[track_caller]
    fn warns(&self, warnings: &Value) {
        assert_eq!(warnings[0]["type"], "verifier.accepted-revoked", "{warnings}");
        assert_eq!(warnings[0]["accepted_token_id"], self.token);
    }
}

/// The minute that it is, and moves the clock on.
async fn minute_before(world: &World, seconds: u64) -> i64 {
    let now = world.running().authority.now().0 / 60 * 60;
    let body = json!({ "advance_seconds": seconds }).to_string();
    let json = [("content-type", "application/json")];
    world.send(Method::POST, "/dev/clock", &json, Some(body)).await.is(200);
    now
}

#[tokio::test]
async fn a_verifier_that_accepts_a_token_after_it_acknowledged_the_revocation_is_a_warning() {
    for on_stale in ["deny", "allow"] {
        let world = World::new().await;
        let scene = Scene::new(&world, on_stale).await;
        let through = scene.follower.catch_up(&scene.before).await;
        let now = minute_before(&world, 300).await;
        assert_eq!(scene.uses(now).await, json!([]), "it may be before the revocation");
        // What another channel changes is not waited for.
        world.revoke(&world.channel().await, 0).await;
        scene.follower.catch_up(&through).await;
        assert_eq!(scene.uses(now + 60).await, json!([]), "its clock may have been set");
        // The first minute that begins a minute later for certain.
        scene.warns(&scene.uses(now + 180).await);
        let metrics = world.send(Method::GET, "/metrics", &[], None).await.is(200);
        let metrics = String::from_utf8(metrics.bytes).unwrap();
        assert!(metrics.contains("tegata_feed_accepted_revoked_total 1"), "{metrics}");
    }
}

#[tokio::test]
async fn a_verifier_that_accepts_a_token_after_its_lease_is_a_warning_unless_it_may() {
    for on_stale in ["allow", "deny"] {
        let world = World::new().await;
        let scene = Scene::new(&world, on_stale).await;
        // It has acknowledged what was before the revocation.
        scene.follower.changes(&scene.before, 0).await.is(200);
        let now = minute_before(&world, 300).await;
        // Within the lease of 66 seconds.
        assert_eq!(scene.uses(now + 60).await, json!([]));
        let warnings = scene.uses(now + 180).await;
        match on_stale {
            "allow" => assert!(!warnings.to_string().contains("accepted-revoked"), "{warnings}"),
            _ => scene.warns(&warnings),
        }
    }
}
