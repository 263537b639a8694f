//! Signing keys and verifiers: a new key signs once every verifier can know it, and a
//! snapshot is signed.

use crate::world::World;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tegata_server::authority::signing_keys::JWKS_CACHE;
use tegata_token::{feed::SignedSnapshot, key::VerifyingKey};

/// Begins a rotation, and moves the clock to when the key has been published long enough.
async fn rotate(world: &World) {
    world.admin(Method::POST, "/signing-keys", Some(json!({}))).await.is(201);
    // The jobs run with the move, and begin to measure leases.
    advance(world, 0).await;
    advance(world, JWKS_CACHE.as_secs()).await;
}

/// Moves the clock; the jobs have run then.
async fn advance(world: &World, seconds: u64) {
    let form = [("content-type", "application/json")];
    let body = json!({ "advance_seconds": seconds }).to_string();
    world.send(Method::POST, "/dev/clock", &form, Some(body)).await.is(200);
}

async fn has_pending(world: &World) -> bool {
    let listed = world.admin(Method::GET, "/signing-keys", None).await.is(200).json();
    let keys = listed["signing_keys"].as_array().unwrap();
    keys.iter().any(|it| it["state"] == "pending")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_signs_once_every_instance_has_acknowledged_it() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let (one, two) = (world.follower(&verifier, "one"), world.follower(&verifier, "two"));
    let (at, _) = (one.snapshot().await, two.snapshot().await);
    rotate(&world).await;
    assert!(has_pending(&world).await, "neither has asked");
    one.catch_up(&at).await;
    advance(&world, 0).await;
    assert!(has_pending(&world).await, "one of two has asked");
    // A snapshot has the key, and says nothing about what is in force.
    let newest = two.snapshot().await;
    advance(&world, 0).await;
    assert!(has_pending(&world).await, "a snapshot acknowledges nothing");
    let path = format!("&after={at}&hold=0&cannot=unknown");
    two.ask("changes", &path, &[]).await.is(200);
    advance(&world, 0).await;
    assert!(has_pending(&world).await, "it cannot apply the key");
    two.catch_up(&newest).await;
    advance(&world, 0).await;
    assert!(!has_pending(&world).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_does_not_wait_for_an_instance_whose_lease_ran_out() {
    let world = World::new().await;
    let lenient = world.verifier(json!({ "name": "lenient", "allow": true })).await;
    // A stale view without the key lets no token of the key through, so the lease is enough.
    world.follower(&lenient, "allow").with(2_000, "allow").snapshot().await;
    world.follower(&lenient, "deny").with(2_000, "deny").snapshot().await;
    rotate(&world).await;
    assert!(has_pending(&world).await);
    let patience = Instant::now() + Duration::from_secs(20);
    while has_pending(&world).await {
        assert!(Instant::now() < patience, "the key waits for a lease that ran out");
        tokio::time::sleep(Duration::from_millis(20)).await;
        advance(&world, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_instance_does_not_hold_up_a_new_key() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let stopped = world.follower(&verifier, "stopped");
    let at = stopped.snapshot().await;
    rotate(&world).await;
    assert!(has_pending(&world).await);
    stopped.ask("changes", &format!("&after={at}&hold=0&bye=1"), &[]).await.is(200);
    advance(&world, 0).await;
    assert!(!has_pending(&world).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_instance_does_not_hold_up_a_new_key() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    world.follower(&verifier, "removed").snapshot().await;
    rotate(&world).await;
    assert!(has_pending(&world).await);
    let path = format!("/verifiers/{}/instances", verifier.id);
    world.admin(Method::DELETE, &path, None).await.is(200);
    advance(&world, 0).await;
    assert!(!has_pending(&world).await);
}

/// The exact bytes of the member `snapshot`, and the JWS after it.
fn signed(body: &[u8]) -> (Vec<u8>, String) {
    let text = std::str::from_utf8(body).unwrap();
    let (_, rest) = text.split_once(r#""snapshot":"#).unwrap();
    let (snapshot, jws) = rest.rsplit_once(r#","jws":""#).unwrap();
    (snapshot.as_bytes().to_vec(), jws.strip_suffix(r#""}"#).unwrap().to_owned())
}

async fn published(world: &World) -> Vec<VerifyingKey> {
    let set = world.send(Method::GET, "/.well-known/jwks.json", &[], None).await.is(200).json();
    let key = |it: &Value| {
        let x = it["x"].as_str().unwrap();
        let bytes = data_encoding::BASE64URL_NOPAD.decode(x.as_bytes()).unwrap();
        VerifyingKey::from_bytes(bytes.try_into().unwrap()).unwrap()
    };
    set["keys"].as_array().unwrap().iter().map(key).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_signed_with_a_published_key_at_each_position_and_for_each_provider() {
    let world = World::new().await;
    let channel = world.channel().await;
    let all = world.verifier(json!({ "name": "all" })).await;
    let own = json!({ "name": "own", "provider_id": channel.provider });
    let own = world.verifier(own).await;
    for _ in 0..2 {
        for verifier in [&all, &own] {
            let follower = world.follower(verifier, "copies");
            let answer = follower.ask("snapshot", "", &[]).await.is(200);
            let (snapshot, jws) = signed(&answer.bytes);
            let opened = SignedSnapshot::open(&snapshot, &jws, &published(&world).await).unwrap();
            let position = answer.json()["snapshot"]["position"].clone();
            assert_eq!(json!(opened.view.position()), position);
        }
        world.revoke(&channel, 0).await;
    }
    // A revoked key's copies are not opened with the keys that are published then.
    let follower = world.follower(&all, "copies");
    let (snapshot, jws) = signed(&follower.ask("snapshot", "", &[]).await.is(200).bytes);
    world.admin(Method::POST, "/revocations", Some(json!({ "all": true }))).await.is(201);
    let keys = published(&world).await;
    assert!(SignedSnapshot::open(&snapshot, &jws, &keys).is_err());
    let (snapshot, jws) = signed(&follower.ask("snapshot", "", &[]).await.is(200).bytes);
    SignedSnapshot::open(&snapshot, &jws, &keys).unwrap();
}
