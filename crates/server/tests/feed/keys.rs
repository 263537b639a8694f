//! A new signing key signs once every verifier can know it.

use crate::world::World;
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};
use tegata_server::authority::signing_keys::JWKS_CACHE;

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
