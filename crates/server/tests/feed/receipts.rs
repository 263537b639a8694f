//! What receipts say of instances that follow, are cut off, stop, or were removed.

use crate::world::{Channel, World, are};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[tokio::test]
async fn an_act_without_verifiers_has_a_complete_receipt_that_stays() {
    let world = World::new().await;
    let channel = world.channel().await;
    let revoked = world.revoke(&channel, 0).await;
    assert_eq!(revoked["receipt"]["state"], "complete");
    let receipt = world.receipt(&revoked["position"], 0).await;
    assert_eq!(receipt, revoked["receipt"]);
    let path = "/receipts/1-999999";
    world.admin(Method::GET, path, None).await.is(404);
}

#[tokio::test]
async fn a_receipt_is_complete_once_every_instance_has_asked_after_the_act() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let channel = world.channel().await;
    let follower = world.follower(&verifier, "one");
    let position = follower.snapshot().await;
    let pending = world.revoke(&channel, 0).await;
    assert_eq!(pending["receipt"]["state"], "pending");
    are(&pending["receipt"], &[("one", "waiting")]);
    // A snapshot acknowledges nothing.
    let later = follower.snapshot().await;
    are(&world.receipt(&pending["position"], 0).await, &[("one", "waiting")]);
    let wait = world.receipt(&pending["position"], 30);
    let (receipt, _) = tokio::join!(wait, follower.catch_up(&position));
    assert_eq!(receipt["state"], "complete");
    are(&receipt, &[("one", "acknowledged")]);
    assert!(receipt["verifiers"][0]["acknowledged_at"].is_string());
    assert_eq!(receipt["verifiers"][0]["name"], "gateway");
    assert!(!later.is_empty());
}

#[tokio::test]
async fn a_revocation_waits_for_a_follower_and_names_one_that_is_cut_off_until_its_lease() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let channel = world.channel().await;
    let (one, gone) = (world.follower(&verifier, "one"), world.follower(&verifier, "gone"));
    let gone = gone.with(1_000, "deny");
    let position = one.snapshot().await;
    gone.snapshot().await;
    let follow = async {
        world.holds(1).await;
        let began = Instant::now();
        (world.revoke(&channel, 20).await, began.elapsed())
    };
    let poll = async {
        let through = one.changes(&position, 20_000).await.is(200).json()["through"].clone();
        one.changes(through.as_str().unwrap(), 0).await.is(200);
    };
    let ((revoked, took), ()) = tokio::join!(follow, poll);
    assert_eq!(revoked["receipt"]["state"], "complete");
    are(&revoked["receipt"], &[("gone", "lease-expired"), ("one", "acknowledged")]);
    assert!(took >= Duration::from_millis(1_190), "the lease of one second: {took:?}");
}

#[tokio::test]
async fn an_instance_that_uses_a_stale_view_keeps_the_receipt_pending_until_it_is_removed() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "lenient", "allow": true })).await;
    let channel = world.channel().await;
    world.follower(&verifier, "one").with(500, "allow").snapshot().await;
    let revoked = world.revoke(&channel, 1).await;
    assert_eq!(revoked["receipt"]["state"], "pending");
    are(&revoked["receipt"], &[("one", "may-still-accept")]);
    let warnings = world.admin(Method::GET, "/warnings", None).await.is(200).json();
    assert_eq!(warnings["verifiers"][0]["type"], "verifier.may-still-accept", "{warnings}");
    let path = format!("/verifiers/{}/instances/{:_<22}", verifier.id, "one");
    let removed = world.admin(Method::DELETE, &path, None).await.is(200).json();
    assert_eq!(removed, json!({ "removed": 1 }));
    world.admin(Method::DELETE, &path, None).await.is(404);
    let receipt = world.receipt(&revoked["position"], 0).await;
    assert_eq!(receipt["state"], "complete");
    are(&receipt, &[("one", "removed")]);
    assert_eq!(receipt["verifiers"][0]["detail"], "administrator");
    let events = world.admin(Method::GET, "/audit?act=verifier.remove-instances", None).await;
    assert_eq!(events.is(200).json()["events"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_instance_that_says_bye_completes_receipts_and_is_refused_for_ever() {
    let mut world = World::new().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let channel = world.channel().await;
    let follower = world.follower(&verifier, "one");
    let position = follower.snapshot().await;
    let revoked = world.revoke(&channel, 0).await;
    let bye = format!("&after={position}&hold=0&bye=1");
    follower.ask("changes", &bye, &[]).await.is(200);
    let receipt = world.receipt(&revoked["position"], 0).await;
    assert_eq!(receipt["state"], "complete");
    are(&receipt, &[("one", "stopped")]);
    follower.ask("snapshot", "", &[]).await.is(403);
    follower.changes(&position, 0).await.is(403);
    world.restart().await;
    world.follower(&verifier, "one").ask("snapshot", "", &[]).await.is(403);
    let revoked = world.revoke(&channel, 0).await;
    are(&revoked["receipt"], &[]);
}

#[tokio::test]
async fn an_instance_that_cannot_apply_an_act_says_so_until_its_lease_runs_out() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let channel = world.channel().await;
    let follower = world.follower(&verifier, "one").with(2_000, "deny");
    let position = follower.snapshot().await;
    let revoked = world.revoke(&channel, 0).await;
    let cannot = format!("&after={position}&hold=0&cannot=no%20room");
    follower.ask("changes", &cannot, &[]).await.is(200);
    let receipt = world.receipt(&revoked["position"], 0).await;
    are(&receipt, &[("one", "cannot-apply")]);
    assert_eq!(receipt["verifiers"][0]["detail"], "no room");
    are(&world.receipt(&revoked["position"], 20).await, &[("one", "lease-expired")]);
}

#[tokio::test]
async fn only_verifiers_that_may_see_what_an_act_concerns_are_listed() {
    let world = World::new().await;
    let (own, other) = (world.channel().await, world.channel().await);
    for (name, provider) in [("own", Some(&own)), ("other", Some(&other)), ("all", None)] {
        let mut new = json!({ "name": name });
        if let Some(channel) = provider {
            new["provider_id"] = json!(channel.provider);
        }
        let verifier = world.verifier(new).await;
        world.follower(&verifier, name).snapshot().await;
    }
    let revoked = world.revoke(&own, 0).await;
    are(&revoked["receipt"], &[("all", "waiting"), ("own", "waiting")]);
    let everything = json!({ "all": true });
    let revoked = world.admin(Method::POST, "/revocations", Some(everything)).await.is(201).json();
    let waiting = [("all", "waiting"), ("other", "waiting"), ("own", "waiting")];
    are(&revoked["receipt"], &waiting);
    let provider = json!({ "provider_id": own.provider });
    let revoked = world.admin(Method::POST, "/revocations", Some(provider)).await.is(201).json();
    are(&revoked["receipt"], &[("all", "waiting"), ("own", "waiting")]);
    are(&world.receipt(&revoked["position"], 0).await, &[("all", "waiting"), ("own", "waiting")]);
}

#[tokio::test]
async fn every_act_that_takes_something_away_has_a_receipt() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let channel = world.channel().await;
    world.follower(&verifier, "one").snapshot().await;
    let of = |path: &str| format!("/channels/{}{path}", channel.id);
    let acts = [
        (Method::POST, of("/secret"), Some(json!({}))),
        (Method::PATCH, of(""), Some(json!({ "state": "suspended" }))),
        (Method::DELETE, of(""), None),
        (Method::DELETE, format!("/providers/{}", channel.provider), None),
    ];
    for (method, path, body) in acts {
        let done = world.admin(method, &path, body).await;
        assert!([200, 201].contains(&done.status), "{path}: {}", done.json());
        let done = done.json();
        are(&done["receipt"], &[("one", "waiting")]);
        are(&world.receipt(&done["position"], 0).await, &[("one", "waiting")]);
    }
}

#[tokio::test]
async fn a_repeated_act_waits_for_those_who_may_not_have_the_first() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let (one, other) = (world.channel().await, world.channel().await);
    world.follower(&verifier, "silent").with(500, "deny").snapshot().await;
    // From here on the server has run for longer than the lease.
    are(&world.revoke(&other, 20).await["receipt"], &[("silent", "lease-expired")]);
    let path = format!("/channels/{}", one.id);
    for _ in 0..2 {
        let suspended = json!({ "state": "suspended" });
        let done = world.admin(Method::PATCH, &path, Some(suspended)).await.is(200).json();
        are(&done["receipt"], &[("silent", "waiting")]);
    }
}

#[tokio::test]
async fn a_receipt_survives_a_restart_pending_or_complete() {
    let mut world = World::new().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let channel = world.channel().await;
    let position = world.follower(&verifier, "one").snapshot().await;
    let first = world.revoke(&channel, 0).await;
    world.follower(&verifier, "one").catch_up(&position).await;
    let complete = world.receipt(&first["position"], 0).await;
    let second = world.revoke(&channel, 0).await;
    world.restart().await;
    assert_eq!(world.receipt(&first["position"], 0).await, complete);
    are(&world.receipt(&second["position"], 0).await, &[("one", "waiting")]);
    world.follower(&verifier, "one").catch_up(&position).await;
    are(&world.receipt(&second["position"], 0).await, &[("one", "acknowledged")]);
}

#[tokio::test]
async fn the_instances_of_a_deleted_verifier_stay_in_receipts() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let channel = world.channel().await;
    world.follower(&verifier, "one").snapshot().await;
    world.admin(Method::DELETE, &format!("/verifiers/{}", verifier.id), None).await.is(204);
    are(&world.revoke(&channel, 0).await["receipt"], &[("one", "waiting")]);
    let path = format!("/verifiers/{}/instances", verifier.id);
    world.admin(Method::DELETE, &path, None).await.is(200);
    are(&world.revoke(&channel, 0).await["receipt"], &[]);
}

#[tokio::test]
async fn an_instance_of_a_deleted_verifier_is_waited_for_after_a_restart_too() {
    let mut world = World::new().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let channel = world.channel().await;
    world.follower(&verifier, "one").snapshot().await;
    let before = world.revoke(&channel, 0).await;
    world.admin(Method::DELETE, &format!("/verifiers/{}", verifier.id), None).await.is(204);
    world.restart().await;
    are(&world.receipt(&before["position"], 0).await, &[("one", "waiting")]);
    are(&world.revoke(&channel, 0).await["receipt"], &[("one", "waiting")]);
}

#[tokio::test]
async fn a_lenient_instance_of_a_deleted_verifier_may_still_accept() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "lenient", "allow": true })).await;
    let channel = world.channel().await;
    world.follower(&verifier, "one").with(500, "allow").snapshot().await;
    world.admin(Method::DELETE, &format!("/verifiers/{}", verifier.id), None).await.is(204);
    let revoked = world.revoke(&channel, 1).await;
    are(&revoked["receipt"], &[("one", "may-still-accept")]);
    assert_eq!(revoked["receipt"]["state"], "pending");
}

#[tokio::test]
async fn an_instance_of_one_verifier_says_nothing_for_that_of_another_with_its_name() {
    let world = World::new().await;
    let (a, b) = (
        world.verifier(json!({ "name": "a" })).await,
        world.verifier(json!({ "name": "b" })).await,
    );
    let channel = world.channel().await;
    let (of_a, of_b) = (world.follower(&a, "same"), world.follower(&b, "same"));
    let position = of_a.snapshot().await;
    of_b.snapshot().await;
    let revoked = world.revoke(&channel, 0).await;
    of_b.catch_up(&position).await;
    let states = [("same", "acknowledged"), ("same", "waiting")];
    are(&world.receipt(&revoked["position"], 0).await, &states);
    let bye = format!("&after={position}&hold=0&bye=1");
    of_b.ask("changes", &bye, &[]).await.is(200);
    of_a.snapshot().await;
    are(&world.revoke(&channel, 0).await["receipt"], &[("same", "waiting")]);
}

#[tokio::test]
async fn a_position_that_was_never_given_out_acknowledges_nothing() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let channel = world.channel().await;
    let follower = world.follower(&verifier, "one");
    let position = follower.snapshot().await;
    follower.changes(&position, 0).await.is(200);
    let revoked = world.revoke(&channel, 0).await;
    let (epoch, head) = revoked["position"].as_str().unwrap().split_once('-').unwrap();
    follower.changes(&format!("{epoch}-18446744073709551615"), 0).await.is(410);
    follower.changes(&format!("9{epoch}-{head}"), 0).await.is(410);
    let cannot = format!("&after={epoch}-{head}&hold=0&cannot=full");
    follower.ask("changes", &cannot, &[]).await.is(200);
    are(&world.receipt(&revoked["position"], 0).await, &[("one", "cannot-apply")]);
}

#[tokio::test]
async fn a_revocation_over_providers_waits_for_the_verifiers_of_each() {
    let world = World::new().await;
    let since = jiff::Timestamp::from_second(world.running().authority.now().0).unwrap();
    let (first, second) = (world.channel().await, world.channel().await);
    for channel in [&first, &second] {
        let path = format!("/channels/{}/long-lived-token", channel.id);
        world.admin(Method::POST, &path, Some(json!({}))).await.is(201);
    }
    for (name, channel) in [("one", &first), ("two", &second)] {
        let settings = json!({ "name": name, "provider_id": channel.provider });
        world.follower(&world.verifier(settings).await, name).snapshot().await;
    }
    let what = json!({ "actor": "administrator", "since": since.to_string() });
    let body = Some(json!({ "created_by": what }));
    let revoked = world.admin(Method::POST, "/revocations", body).await.is(201).json();
    assert_eq!(revoked["revoked"], 2, "{revoked:#}");
    are(&revoked["receipt"], &[("one", "waiting"), ("two", "waiting")]);
    let again = world.receipt(&revoked["position"], 0).await;
    are(&again, &[("one", "waiting"), ("two", "waiting")]);
}

#[tokio::test]
async fn a_receipt_of_a_holders_revocation_waits_for_instances_although_the_server_is_old() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let (one, other) = (world.channel().await, world.channel().await);
    let token = world.token(&one).await;
    let silent = world.follower(&verifier, "silent").with(3_000, "deny");
    silent.snapshot().await;
    // From here on the server has run for longer than the lease.
    are(&world.revoke(&other, 20).await["receipt"], &[("silent", "lease-expired")]);
    silent.snapshot().await;
    let form_type = [("content-type", "application/x-www-form-urlencoded")];
    let form = Some(format!("access_token={token}"));
    world.send(Method::POST, "/v2/oauth/revoke", &form_type, form).await.is(200);
    // Its caller sees no receipt. Of several servers, none has listed the instances yet.
    let position = json!(world.running().authority.view().position());
    let receipt = world.receipt(&position, 0).await;
    assert_eq!(receipt["state"], "pending", "{receipt}");
    are(&receipt, &[("silent", "waiting")]);
}

#[tokio::test]
async fn a_stop_answers_those_that_wait_for_a_receipt_as_pending() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let channel = world.channel().await;
    world.follower(&verifier, "one").snapshot().await;
    world.running().authority.drain_feed();
    let began = Instant::now();
    let revoked = world.revoke(&channel, 30).await;
    assert_eq!(revoked["receipt"]["state"], "pending");
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_signed_receipt_has_a_type_of_its_own_and_the_same_members() {
    let world = World::new().await;
    let channel = world.channel().await;
    let revoked = world.revoke(&channel, 0).await;
    let path = format!("/receipts/{}", revoked["position"].as_str().unwrap());
    let jwt = [("accept", "application/jwt")];
    let signed = world.admin_with(Method::GET, &path, &jwt, None).await.is(200);
    assert_eq!(signed.headers["content-type"], "application/jwt");
    let text = String::from_utf8(signed.bytes).unwrap();
    let parts: Vec<_> = text.split('.').collect();
    let decoded = |n: usize| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[n]).unwrap()).unwrap()
    };
    assert_eq!(decoded(0)["typ"], "receipt+jwt");
    let claims = decoded(1);
    assert_eq!(claims["position"], revoked["position"]);
    assert_eq!(
        (&claims["state"], &claims["iss"]),
        (&json!("complete"), &json!(world.running().authority.issuer()))
    );
    assert!(claims["iat"].is_i64());
    let view = world.running().authority.view();
    let message = format!("{}.{}", parts[0], parts[1]);
    let signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
    let key = view.keys().iter().find(|it| json!(it.key.id()) == decoded(0)["kid"]).unwrap();
    assert!(key.key.verifies(message.as_bytes(), &signature));
    assert!(world.running().authority.read_now(text.as_bytes()).is_err(), "it is no token");
}

#[tokio::test]
async fn the_list_of_verifiers_shows_what_each_instance_has_acknowledged() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let follower = world.follower(&verifier, "one").with(2_000, "ask");
    let position = follower.snapshot().await;
    let position = follower.catch_up(&position).await;
    let path = format!("/verifiers/{}", verifier.id);
    let shown = world.admin(Method::GET, &path, None).await.is(200).json();
    let instance = &shown["instances"][0];
    assert_eq!(instance["position"], json!(position));
    assert_eq!((&instance["staleness"], &instance["on_stale"]), (&json!(2_000), &json!("ask")));
    assert!(instance["lease"].as_u64().unwrap() <= 3_300);
    assert_eq!(instance["address"], "127.0.0.1", "its machine");
    assert!(!shown.to_string().contains("tgv_"), "its token is not shown again");
}

#[tokio::test]
async fn a_retried_reissue_has_a_receipt_of_its_own_and_not_that_of_a_later_act() {
    let world = World::new().await;
    let (shop, other) = (world.channel().await, world.channel().await);
    let of =
        |channel: &Channel, name: &str| json!({ "name": name, "provider_id": channel.provider });
    let own = world.verifier(of(&shop, "own")).await;
    let foreign = world.verifier(of(&other, "foreign")).await;
    let (own, foreign) = (world.follower(&own, "own"), world.follower(&foreign, "foreign"));
    own.snapshot().await;
    let position = foreign.snapshot().await;
    let path = format!("/channels/{}/long-lived-token", shop.id);
    let reissue = async |key: &str, delay: u64| {
        let body = json!({ "delay_seconds": delay });
        let key = [("idempotency-key", key)];
        world.admin_with(Method::POST, &path, &key, Some(body)).await.is(201).json()
    };
    reissue("first", 0).await;
    let first = reissue("second", 600).await;
    assert_eq!(first["revoked"], 1);
    are(&first["receipt"], &[("own", "waiting")]);
    world.revoke(&other, 0).await;
    foreign.catch_up(&position).await;
    let again = reissue("second", 600).await;
    assert_eq!(again["channel_access_token"], first["channel_access_token"]);
    assert_eq!(again["receipt"]["state"], "pending");
    are(&again["receipt"], &[("own", "waiting")]);
    assert_eq!(again["receipt"]["effective_at"], first["receipt"]["effective_at"]);
    // It is found by its position, so that a program can wait for it.
    let shown = world.receipt(&again["position"], 0).await;
    assert_eq!(shown, again["receipt"]);
}

#[tokio::test]
async fn a_change_without_a_change_shows_no_receipt_of_another_provider() {
    let world = World::new().await;
    let (shop, other) = (world.channel().await, world.channel().await);
    let secret = json!({ "name": "secret gateway", "provider_id": other.provider });
    let foreign = world.verifier(secret).await;
    world.follower(&foreign, "foreign").snapshot().await;
    world.revoke(&other, 0).await;
    let path = format!("/channels/{}", shop.id);
    let changed = world.admin(Method::PATCH, &path, Some(json!({}))).await.is(200).json();
    assert!(!changed.to_string().contains("secret gateway"), "{changed}");
}

#[tokio::test]
async fn a_channel_that_is_suspended_again_has_a_receipt_that_can_be_waited_for() {
    let world = World::new().await;
    let verifier = world.verifier(json!({ "name": "gateway" })).await;
    let channel = world.channel().await;
    world.follower(&verifier, "one").snapshot().await;
    let path = format!("/channels/{}", channel.id);
    for _ in 0..2 {
        let suspended = json!({ "state": "suspended" });
        let done = world.admin(Method::PATCH, &path, Some(suspended)).await.is(200).json();
        assert_eq!(world.receipt(&done["position"], 0).await["state"], "pending");
    }
}
