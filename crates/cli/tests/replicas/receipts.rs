//! Receipts where servers share a store: whichever is asked, they count the followers of all.

use crate::{
    Channel, Field, Key,
    process::{Server, http::Request},
    provider,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// The instance of a verifier that asks one of the servers for changes.
struct Follower<'a> {
    server: &'a Server,
    verifier: String,
    authorization: String,
    instance: String,
    staleness: u32,
}

impl<'a> Follower<'a> {
    /// Of a verifier that `created` makes, and that `server` answers.
    async fn new(created: &Server, server: &'a Server, staleness: u32) -> Self {
        let verifier = created.create("/verifiers", json!({ "name": "gateway" })).await;
        Self {
            server,
            verifier: verifier["verifier_id"].as_str().unwrap().to_owned(),
            authorization: format!("Bearer {}", verifier["verifier_token"].as_str().unwrap()),
            instance: "i".repeat(22),
            staleness,
        }
    }

    async fn ask(&self, what: &str) -> Value {
        let Self { instance, staleness, .. } = self;
        let join = if what.contains('?') { '&' } else { '?' };
        let path = format!(
            "/feed/{what}{join}speaks=1&instance={instance}&staleness={staleness}&on_stale=deny"
        );
        let with = [("authorization", &*self.authorization)];
        let response = self.server.ask(&Request::new("GET", &path, &with, "")).await;
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()
    }
}

/// Revokes all tokens of a channel, and waits for the receipt.
async fn revoke(server: &Server, channel: &Channel, wait: u32) -> Value {
    let path = format!("/channels/{}/revocations", channel.id);
    let body = json!({ "all": true, "wait_seconds": wait });
    server.ask(&Request::admin("POST", &path, Some(&body))).await.json()
}

async fn receipt(server: &Server, position: &str) -> Value {
    let path = format!("/receipts/{position}");
    server.ask(&Request::admin("GET", &path, None)).await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_counts_the_followers_of_all_servers() {
    let field = Field::new();
    let (a, b) = (field.start("a").await, field.start("b").await);
    let channel = Channel::create(&a, &provider(&a).await, &Key::generate()).await;
    let follower = Follower::new(&a, &b, 30_000).await;
    let snapshot = follower.ask("snapshot").await;
    let mut at = snapshot["snapshot"]["position"].as_str().unwrap().to_owned();
    let follow = async {
        // The follower asks the other server until it has acknowledged the revocation.
        for _ in 0..10 {
            let changes = follower.ask(&format!("changes?after={at}&hold=2000")).await;
            at = changes["through"].as_str().unwrap().to_owned();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let began = Instant::now();
    let (revoked, ()) = tokio::join!(revoke(&a, &channel, 30), follow);
    let answer = &revoked["receipt"];
    eprintln!("complete after at most {:?}: {answer}", began.elapsed());
    assert_eq!(answer["state"], "complete", "{answer}");
    assert_eq!(answer["verifiers"][0]["state"], "acknowledged", "{answer}");
    // Any server shows it.
    let shown = receipt(&b, revoked["position"].as_str().unwrap()).await;
    assert_eq!(shown["state"], "complete", "{shown}");
    assert_eq!(shown["verifiers"][0]["instance"], *follower.instance, "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_counts_the_follower_of_a_verifier_that_was_deleted_just_before() {
    let field = Field::new();
    let (a, b) = (field.start("a").await, field.start("b").await);
    let channel = Channel::create(&a, &provider(&a).await, &Key::generate()).await;
    // One server registers it, and the other one has no time to learn of it by itself.
    let follower = Follower::new(&a, &b, 60_000).await;
    follower.ask("snapshot").await;
    let path = format!("/verifiers/{}", follower.verifier);
    let deleted = b.ask(&Request::admin("DELETE", &path, None)).await;
    assert!(deleted.status < 300, "{}", deleted.text());
    let receipt = revoke(&a, &channel, 0).await["receipt"].clone();
    assert_eq!(receipt["state"], "pending", "it may accept tokens for its staleness: {receipt}");
    assert_eq!(receipt["verifiers"][0]["instance"], *follower.instance, "{receipt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_server_calls_a_receipt_complete_before_the_lease_of_a_silent_instance_is_over() {
    let field = Field::new();
    let (a, b) = (field.start("a").await, field.start("b").await);
    let provider = provider(&a).await;
    let first = Channel::create(&a, &provider, &Key::generate()).await;
    let second = Channel::create(&a, &provider, &Key::generate()).await;
    let silent = Follower::new(&a, &a, 5_000).await;
    silent.ask("snapshot").await;
    // From here on both servers have run for longer than the lease.
    let answer = revoke(&a, &first, 20).await["receipt"].clone();
    assert_eq!(answer["verifiers"][0]["state"], "lease-expired", "{answer}");
    silent.ask("snapshot").await;
    let revoked = revoke(&a, &second, 0).await;
    // Asked before the list of instances is stored, and answered after it.
    let path = format!("/receipts/{}?wait_seconds=2", revoked["position"].as_str().unwrap());
    let get = Request::admin("GET", &path, None);
    let (at_a, at_b) = tokio::join!(a.ask(&get), b.ask(&get));
    for shown in [at_a.json(), at_b.json()] {
        assert_eq!(shown["state"], "pending", "{shown}");
        assert_eq!(shown["verifiers"][0]["state"], "waiting", "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_whose_instances_no_server_has_listed_yet_is_pending() {
    let field = Field::new();
    let a = field.start("a").await;
    let revoked = {
        let channel = Channel::create(&a, &provider(&a).await, &Key::generate()).await;
        revoke(&a, &channel, 5).await
    };
    assert_eq!(revoked["receipt"]["state"], "complete", "no verifier follows: {revoked}");
    // As the server leaves it that has committed an act and not read the instances yet, at a
    // position that the server which is asked does not have in memory.
    let unlisted = "INSERT INTO receipt SELECT epoch, position + 1, 0, NULL, 0, false, NULL
                    FROM authority RETURNING epoch || '-' || position";
    let position = field.postgres.ask(&field.database, unlisted).unwrap()[0][0].clone().unwrap();
    let shown = receipt(&a, &position).await;
    assert_eq!(shown["state"], "pending", "{shown}");
    let listed = "UPDATE receipt SET list = '[]' WHERE at = 0 RETURNING 1";
    assert_eq!(field.postgres.ask(&field.database, listed).unwrap().len(), 1);
    let shown = receipt(&a, &position).await;
    assert_eq!(shown["state"], "complete", "{shown}");
}
