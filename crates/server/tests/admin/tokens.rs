//! Tokens in the administrators' API, and the long-lived token that it issues.

use crate::world::{ADMIN_TOKEN, World, expect_problem};
use serde_json::{Value, json};
use tegata_client::admin::{Method, TakingCall};
use tegata_token::kind::Kind;

#[tokio::test]
async fn a_long_lived_token_is_issued_and_reissued_with_a_delay() {
    let world = World::new().await;
    let shop = world.channel().await;
    let made = world.post(&shop.at("/long-lived-token"), json!({})).await.expect(201);
    let first = made["access_token"].as_str().unwrap();
    assert!(first.starts_with("tgl_"));
    assert_eq!(made["token_type"], "Bearer");
    assert_eq!(made["previous_valid_until"], json!(null));

    let delayed = json!({ "delay_seconds": 3_600 });
    let again = world.post(&shop.at("/long-lived-token"), delayed).await.expect(201);
    let until = again["previous_valid_until"].as_str().unwrap();
    let explained = world.explain(first).await;
    assert_eq!((&explained["state"], &explained["expires_at"]), (&json!("active"), &json!(until)));
    assert!(explained["why"].as_str().unwrap().contains(until));

    world.authority.advance_clock(3_601).await.unwrap();
    let explained = world.explain(first).await;
    assert_eq!((&explained["state"], &explained["cause"]), (&json!("revoked"), &json!("reissued")));
    let too_long = json!({ "delay_seconds": 86_401 });
    let refused = world.post(&shop.at("/long-lived-token"), too_long).await;
    refused.expect_problem(400, "invalid-member");
}

#[tokio::test]
async fn an_idempotency_key_gives_the_same_token_again() {
    let world = World::new().await;
    let shop = world.channel().await;
    let ask = async |key: &str, delay: i64| {
        let (path, body) =
            (["channels", &shop.id, "long-lived-token"], json!({ "delay_seconds": delay }));
        let (method, members) = (Method::POST, body.as_object().unwrap());
        let taking = TakingCall { method, members, wait: 0, idempotency_key: Some(key) };
        world.admin.take(&path, taking).await
    };
    let first = ask("one", 0).await.unwrap();
    assert_eq!(ask("one", 0).await.unwrap()["access_token"], first["access_token"]);
    expect_problem(ask("one", 60).await, 422, "idempotency-key-reused");
    let second = ask("two", 0).await.unwrap();
    assert_ne!(second["access_token"], first["access_token"]);
    expect_problem(ask("one", 0).await, 409, "idempotency-key-inactive");
    expect_problem(ask(&"x".repeat(256), 0).await, 400, "invalid-member");
}

#[tokio::test]
async fn a_long_lived_token_needs_a_channel_of_the_right_type() {
    let world = World::new().await;
    let provider = world.provider("Company").await;
    let login = world.channel_of(&provider, "line-login").await;
    let refused = world.post(&login.at("/long-lived-token"), json!({})).await;
    refused.expect_problem(409, "kind-not-for-channel");
    let shop = world.channel_of(&provider, "messaging-api").await;
    world.patch(&shop.at(""), json!({ "rules": "legacy-2020" })).await.expect(200);
    let delayed = json!({ "delay_seconds": 60 });
    world.post(&shop.at("/long-lived-token"), delayed).await.expect_problem(409, "conflict");
    world.patch(&shop.at(""), json!({ "state": "suspended" })).await.expect(200);
    let refused = world.post(&shop.at("/long-lived-token"), json!({})).await;
    refused.expect_problem(409, "channel-suspended");
}

#[tokio::test]
async fn tokens_are_listed_by_kind_group_and_state() {
    let world = World::new().await;
    let shop = world.channel().await;
    world.short_lived(&shop, None).await;
    world.short_lived(&shop, Some("kitchen")).await;
    let (_, long_lived) = world.long_lived(&shop, 0).await;
    let (key, kid) = world.key(&shop, None).await;
    world.v21(&shop, &key, &kid).await;
    world.stateless(&shop).await;

    let list = async |query: &str| -> Vec<Value> {
        let page = world.get(&shop.at(&format!("/tokens{query}"))).await.expect(200);
        page["tokens"].as_array().unwrap().clone()
    };
    let all = list("").await;
    let kinds: Vec<_> = all.iter().map(|it| &it["kind"]).collect();
    assert_eq!(kinds, ["v2.1", "long-lived", "short-lived", "short-lived"]);
    let names: Vec<_> = all[0].as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = [
        "token_id",
        "kind",
        "group",
        "key_id",
        "state",
        "issued_at",
        "expires_at",
        "last_used_at",
        "idle_since",
        "idle_unknown",
        "cause",
        "revoked_at",
        "assertion_key",
        "reason",
        "revoked_by",
    ];
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(all[0]["key_id"], all[0]["token_id"]);
    assert_eq!(all[1]["key_id"], json!(null));

    assert_eq!(list("?kind=long-lived").await[0]["token_id"], json!(long_lived));
    assert_eq!(list("?group=kitchen").await.len(), 1);
    assert_eq!(list("?kind=stateless").await.len(), 0);
    world.authority.advance_clock(3_601).await.unwrap();
    assert_eq!(list("?state=expired").await[0]["kind"], "v2.1");
    assert_eq!(list("?state=active").await.len(), 3);
    let one = world.get(&shop.at(&format!("/tokens/{long_lived}"))).await.expect(200);
    assert_eq!((&one["kind"], &one["recent_uses"]), (&json!("long-lived"), &json!([])));
    for wrong in ["?kind=v2", "?state=live", "?group=a%20b"] {
        let refused = world.get(&shop.at(&format!("/tokens{wrong}"))).await;
        refused.expect_problem(400, "invalid-member");
    }
    let none = world.get(&shop.at("/tokens/AAAAAAAAAAAAAAAAAAAAAA")).await;
    none.expect_problem(404, "not-found");
}

#[tokio::test]
async fn tokens_of_a_suspended_channel_are_listed_shown_and_explained_as_suspended() {
    let world = World::new().await;
    let shop = world.channel().await;
    let token = world.short_lived(&shop, None).await;
    let revoked = world.short_lived(&shop, None).await;
    world.post("/revocations", json!({ "access_token": revoked })).await.expect(201);
    let stateless = world.stateless(&shop).await;
    let states = async |query: &str| -> Vec<String> {
        let page = world.get(&shop.at(&format!("/tokens{query}"))).await.expect(200);
        let rows = page["tokens"].as_array().unwrap().iter();
        rows.map(|it| it["state"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(states("?state=suspended").await, [""; 0]);
    world.patch(&shop.at(""), json!({ "state": "suspended" })).await.expect(200);
    assert_eq!(states("").await, ["revoked", "suspended"]);
    assert_eq!(states("?state=suspended").await, ["suspended"]);
    assert_eq!(states("?state=active").await, [""; 0]);
    assert_eq!(states("?state=revoked").await, ["revoked"]);
    let explained = world.explain(&token).await;
    assert_eq!(explained["state"], "suspended");
    assert_eq!(world.explain(&stateless).await["state"], "suspended");
    assert_eq!(world.explain(&revoked).await["state"], "revoked");
    let path = shop.at(&format!("/tokens/{}", explained["token_id"].as_str().unwrap()));
    assert_eq!(world.get(&path).await.expect(200)["state"], "suspended");

    world.authority.advance_clock(31 * 86_400).await.unwrap();
    assert_eq!(states("").await, ["revoked", "expired"]);
    world.patch(&shop.at(""), json!({ "state": "active" })).await.expect(200);
    assert_eq!(states("?state=suspended").await, [""; 0]);
}

#[tokio::test]
async fn every_token_can_be_explained() {
    let world = World::new().await;
    let shop = world.channel().await;
    let explain = async |token: &str| {
        let explained = world.explain(token).await;
        assert_eq!(explained["channel_id"], json!(shop.id));
        let why = explained["why"].as_str().unwrap().to_owned();
        (explained["state"].as_str().unwrap().to_owned(), why)
    };
    let stateless = world.stateless(&shop).await;
    let (state, why) = explain(&stateless).await;
    assert_eq!(state, "active");
    assert!(why.starts_with("It is valid until "), "{why}");

    let oldest = world.short_lived(&shop, Some("kitchen")).await;
    for _ in 0..2 {
        world.short_lived(&shop, Some("kitchen")).await;
    }
    let (state, why) = explain(&oldest).await;
    assert_eq!(state, "revoked");
    assert!(why.starts_with("It was evicted at "), "{why}");

    world.patch(&shop.at(""), json!({ "state": "suspended" })).await.expect(200);
    assert!(explain(&stateless).await.1.starts_with("Its channel is suspended"));
    world.patch(&shop.at(""), json!({ "state": "active" })).await.expect(200);

    let one = json!({ "access_token": stateless });
    world.post("/revocations", one).await.expect(201);
    let (state, why) = explain(&stateless).await;
    assert_eq!(state, "revoked");
    assert!(why.starts_with("It was revoked. By administrator from 192.0.2.7"), "{why}");

    world.authority.advance_clock(901).await.unwrap();
    let (state, why) = explain(&stateless).await;
    assert_eq!(state, "expired");
    assert!(why.starts_with("It expired at "), "{why}");

    for wrong in ["", "nonsense", ADMIN_TOKEN, &oldest[..oldest.len() - 1]] {
        let refused = world.post("/explain", json!({ "access_token": wrong })).await;
        refused.expect_problem(404, "not-our-token");
    }
    world.post("/explain", json!({})).await.expect_problem(400, "missing-member");
}

#[tokio::test]
async fn tokens_issued_and_revoked_by_an_administrator_are_counted() {
    let world = World::new().await;
    let shop = world.channel().await;
    world.long_lived(&shop, 0).await;
    let login = world.channel_of(&shop.provider, "line-login").await;
    let refused = world.post(&login.at("/long-lived-token"), json!({})).await;
    refused.expect_problem(409, "kind-not-for-channel");
    let issues = world.metrics.issues(Kind::LongLived);
    assert_eq!((issues.issued.get(), issues.denied.get()), (1, 1));
    for path in [&shop.at("/revocations"), "/revocations"] {
        world.post(path, json!({ "all": true, "dry_run": true })).await.expect(200);
        world.post(path, json!({ "all": true })).await.expect(201);
    }
    let scopes = &world.metrics.revocations;
    assert_eq!((scopes.channel.get(), scopes.everything.get()), (1, 1));
}
