//! The follower of `tegata-verifier` against a real `tegata serve`.

use crate::{
    line::{Channel, With, provider, token_in},
    process::{Server, http::Request, key::Key, serve},
};
use serde_json::{Value, json};
use std::{process::Command, time::Duration};
use tegata_verifier::{Denied, Settings, Verifier, standing::Stale};

const STALENESS: Duration = Duration::from_secs(1);

struct World {
    server: Server,
    channel: Channel,
    key: Key,
    verifier_token: String,
    /// The store is in it.
    _home: tempfile::TempDir,
}

async fn world(of_provider: bool) -> World {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(serve(home.path(), &[])).await;
    let provider = provider(&server).await;
    let key = Key::generate();
    let channel = Channel::create(&server, &provider, &key).await;
    let mut body = json!({ "name": "test", "max_staleness": 2_000 });
    if of_provider {
        body["provider_id"] = provider.into();
    }
    let made = server.create("/verifiers", body).await;
    let verifier_token = made["verifier_token"].as_str().unwrap().to_owned();
    World { server, channel, key, verifier_token, _home: home }
}

impl World {
    async fn verifier(&self) -> Verifier {
        let url = format!("http://{}", self.server.address()).parse().unwrap();
        let mut settings = Settings::new(url, &self.verifier_token).unwrap();
        settings.wanted.staleness = STALENESS;
        let verifier = Verifier::start(settings).unwrap();
        until("fresh", async || verifier.health().stale.is_none()).await;
        verifier
    }

    /// A token of each kind that clients issue.
    async fn tokens(&self) -> Vec<String> {
        let assertion = self.channel.assertion(&self.key, 1);
        let requests = [
            Channel::issue_v21(&assertion, With::default()),
            self.channel.issue_short_lived(With::default()),
            self.channel.issue_stateless(With::default()),
        ];
        let mut tokens = Vec::new();
        for request in requests {
            let response = self.server.ask(&request).await;
            assert_eq!(response.status, 200, "{}", response.text());
            tokens.push(token_in(&response));
        }
        tokens
    }

    /// Does an act and waits for its receipt.
    async fn act(&self, method: &str, path: &str, body: &Value) -> Value {
        let response = self.server.ask(&Request::admin(method, path, Some(body))).await;
        assert!(response.status < 300, "{}", response.text());
        let found = response.json();
        let position = found["position"].as_str().or(found["receipt"]["position"].as_str());
        let position = position.unwrap_or_else(|| panic!("no position in {found}")).to_owned();
        let path = format!("/receipts/{position}?wait_seconds=20");
        let receipt = self.server.ask(&Request::admin("GET", &path, None)).await.json();
        assert_eq!(receipt["state"], "complete", "{receipt}");
        receipt
    }
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..2_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 20 seconds: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_with_a_complete_receipt_is_in_force_at_the_verifier() {
    for of_provider in [false, true] {
        let world = world(of_provider).await;
        let verifier = world.verifier().await;
        let tokens = world.tokens().await;
        for token in &tokens {
            verifier.verify(token.as_bytes()).await.unwrap();
        }
        let path = format!("/channels/{}/revocations", world.channel.id);
        let receipt = world.act("POST", &path, &json!({ "kind": "short-lived" })).await;
        let states: Vec<_> = receipt["verifiers"].as_array().unwrap().iter().collect();
        assert_eq!(states.len(), 1, "{receipt}");
        assert_eq!(states[0]["state"], "acknowledged", "{receipt}");
        assert_eq!(states[0]["instance"], verifier.health().instance.as_str());
        assert!(verifier.verify(tokens[0].as_bytes()).await.is_ok());
        let denied = verifier.verify(tokens[1].as_bytes()).await.unwrap_err();
        assert!(matches!(denied, Denied::Invalid(_)), "{denied}");
        let path = format!("/channels/{}", world.channel.id);
        world.act("PATCH", &path, &json!({ "state": "suspended" })).await;
        let denied = verifier.verify(tokens[0].as_bytes()).await.unwrap_err();
        assert_eq!(denied.to_string(), "the token is not active: its channel is suspended");
        let response = world
            .server
            .ask(&Request::admin("PATCH", &path, Some(&json!({ "state": "active" }))))
            .await;
        assert_eq!(response.status, 200);
        // The follower asks before it rejects a token for a suspension that may be over.
        until("resumed", async || verifier.verify(tokens[0].as_bytes()).await.is_ok()).await;
        verifier.stop(Duration::from_secs(10)).await.unwrap();
        let path = format!("/channels/{}/revocations", world.channel.id);
        let receipt = world.act("POST", &path, &json!({ "all": true })).await;
        assert_eq!(receipt["verifiers"], json!([]), "the instance is gone: {receipt}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_makes_the_verifier_stale_and_a_new_key_is_learned() {
    let world = world(false).await;
    let verifier = world.verifier().await;
    let tokens = world.tokens().await;
    let signal = |name: &str| {
        let process = world.server.process.id().to_string();
        assert!(Command::new("kill").args([name, &process]).status().unwrap().success());
    };
    signal("-STOP");
    until("stale", async || verifier.health().stale.is_some()).await;
    let denied = verifier.verify(tokens[0].as_bytes()).await.unwrap_err();
    assert!(matches!(denied, Denied::Unknown(Stale::Age { .. })), "{denied}");
    signal("-CONT");
    until("fresh", async || verifier.verify(tokens[0].as_bytes()).await.is_ok()).await;
    // A new key is active at once only if the active one is revoked.
    let jwks = world.server.ask(&Request::new("GET", "/.well-known/jwks.json", &[], "")).await;
    let kid = jwks.json()["keys"][0]["kid"].as_str().unwrap().to_owned();
    world.act("POST", "/revocations", &json!({ "signing_key": kid })).await;
    assert!(verifier.verify(tokens[0].as_bytes()).await.is_err());
    let new = world.channel.issue_stateless(With::default());
    let new = token_in(&world.server.ask(&new).await);
    verifier.verify(new.as_bytes()).await.unwrap();
}
