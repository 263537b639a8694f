//! Who is let in, and how literally requests are read.

use crate::world::World;
use http::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn no_client_is_admitted_without_the_administrators_token() {
    let world = World::new().await;
    for wrong in ["", "Bearer", "Bearer wrong", "Basic YTpi", "Bearer an administrator's token"] {
        for path in ["/providers", "/no/such/path"] {
            let mut request = world.request(Method::GET, path, "");
            request.headers_mut().insert("authorization", wrong.parse().unwrap());
            world.send(request).await.expect_problem(401, "unauthorized");
        }
    }
    let mut twice = world.request(Method::GET, "/providers", "");
    twice.headers_mut().append("authorization", "Bearer other".parse().unwrap());
    world.send(twice).await.expect_problem(401, "unauthorized");
    world.get("/providers").await.expect(200);
}

#[tokio::test]
async fn paths_methods_and_ids_that_mean_nothing_are_problems_too() {
    let world = World::new().await;
    world.get("/no/such/path").await.expect_problem(404, "not-found");
    world.get("/channels/123").await.expect_problem(404, "not-found");
    world.get("/channels/0000000000").await.expect_problem(404, "not-found");
    world.get("/providers/1234567890/channels").await.expect_problem(404, "not-found");
    world.delete("/providers").await.expect_problem(405, "method-not-allowed");
}

#[tokio::test]
async fn a_body_must_be_one_json_object_and_say_so() {
    let world = World::new().await;
    for wrong in ["[]", "1", "{", "{} {}", "null"] {
        world.post("/providers", wrong).await.expect_problem(400, "malformed-body");
    }
    let mut text = world.request(Method::POST, "/providers", r#"{"name":"a"}"#);
    text.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    world.send(text).await.expect_problem(415, "unsupported-media-type");
    let mut charset = world.request(Method::POST, "/providers", r#"{"name":"a"}"#);
    let json = "Application/JSON; charset=utf-8".parse().unwrap();
    charset.headers_mut().insert("content-type", json);
    world.send(charset).await.expect(201);
}

#[tokio::test]
async fn unknown_missing_repeated_and_wrong_members_are_named() {
    let world = World::new().await;
    let detail = world.post("/providers", r#"{"nmae":"a"}"#).await;
    let detail = detail.expect_problem(400, "unknown-member");
    assert!(detail.contains("`nmae`") && detail.contains("name"), "{detail}");
    let detail = world.post("/providers", "{}").await.expect_problem(400, "missing-member");
    assert!(detail.contains("`name`"), "{detail}");
    let detail = world.post("/providers", r#"{"name":"a","name":"a"}"#).await;
    assert!(detail.expect_problem(400, "repeated-member").contains("`name`"));
    for wrong in
        [json!(1), json!(null), json!(["a"]), json!(""), json!("a\nb"), json!("x".repeat(101))]
    {
        let detail = world.post("/providers", json!({ "name": wrong })).await;
        assert!(detail.expect_problem(400, "invalid-member").contains("`name`"));
    }
    world.post("/providers", json!({ "name": "手".repeat(100) })).await.expect(201);
}

#[tokio::test]
async fn unknown_and_wrong_query_fields_are_refused() {
    let world = World::new().await;
    world.get("/providers?page=2").await.expect_problem(400, "unknown-member");
    world.get("/providers?limit=2&limit=2").await.expect_problem(400, "repeated-member");
    for wrong in ["limit=0", "limit=x", "limit=1001", "after=x"] {
        world.get(&format!("/providers?{wrong}")).await.expect_problem(400, "invalid-member");
    }
}

#[tokio::test]
async fn lists_are_newest_first_and_go_on_behind_the_cursor() {
    let world = World::new().await;
    for name in ["a", "b", "c"] {
        world.provider(name).await;
    }
    let names = |page: &serde_json::Value| -> Vec<String> {
        let rows = page["providers"].as_array().unwrap();
        rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = world.get("/providers?limit=2").await.expect(200);
    assert_eq!(names(&first), ["c", "b"]);
    let next = first["next"].as_str().unwrap();
    let second = world.get(&format!("/providers?limit=2&after={next}")).await.expect(200);
    assert_eq!(names(&second), ["a"]);
    assert_eq!(second["next"], json!(null));
    let all = world.get("/providers?limit=3").await.expect(200);
    assert_eq!((names(&all).len(), &all["next"]), (3, &json!(null)));
}

#[tokio::test]
async fn lists_that_are_short_go_on_behind_a_cursor_as_well() {
    let world = World::new().await;
    let shop = world.channel().await;
    for group in ["a", "b", "c"] {
        world.short_lived(&shop, Some(group)).await;
    }
    let (_, first) = world.key(&shop, None).await;
    let (_, second) = world.key(&shop, None).await;
    world.post("/signing-keys", "").await.expect(201);
    for (path, rows) in [
        (shop.at("/groups"), "groups"),
        (shop.at("/assertion-keys"), "assertion_keys"),
        ("/signing-keys".to_owned(), "signing_keys"),
    ] {
        let whole = world.get(&path).await.expect(200);
        assert_eq!(whole["next"], json!(null));
        let whole = whole[rows].as_array().unwrap();
        assert!(whole.len() > 1, "{path}");
        let (mut pieces, mut after) = (Vec::new(), String::new());
        loop {
            let page = world.get(&format!("{path}?limit=1{after}")).await.expect(200);
            pieces.extend(page[rows].as_array().unwrap().clone());
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(&pieces, whole, "{path}");
        let detail = world.get(&format!("{path}?after=unknown")).await;
        assert!(
            detail
                .expect_problem(400, "invalid-member")
                .contains("start again from the first page")
        );
    }
    assert_ne!(first, second);
}

/// A dry run's response without its rows, which are as many as it counts.
fn counts(mut found: Value, rows: usize) -> Value {
    let tokens = found.as_object_mut().unwrap().remove("tokens").unwrap();
    assert_eq!(tokens.as_array().unwrap().len(), rows);
    found
}

#[tokio::test]
async fn a_dry_run_says_what_would_end_and_ends_nothing() {
    let world = World::new().await;
    let shop = world.channel().await;
    let tokens = [
        world.short_lived(&shop, None).await,
        world.short_lived(&shop, Some("kitchen")).await,
        world.long_lived(&shop, 0).await.0,
    ];
    let (key, kid) = world.key(&shop, None).await;
    let by_key = world.v21(&shop, &key, &kid).await;
    let before = world.get("/audit").await.expect(200);
    let would = |count: usize, stateless_too: bool| {
        let mut found = json!({ "dry_run": true, "revoked": count, "more": 0 });
        if stateless_too {
            found["stateless_too"] = true.into();
        }
        found
    };
    let of_key = |query: &str| shop.at(&format!("/assertion-keys/{kid}?{query}"));
    for (path, count, too) in [
        (shop.at("?dry_run=true"), 4, true),
        (shop.at("/groups/kitchen?dry_run=true"), 1, true),
        (of_key("dry_run=true"), 0, false),
        (of_key("dry_run=true&revoke_tokens=true"), 1, true),
    ] {
        let found = world.delete(&path).await.expect(200);
        assert_eq!(counts(found, count), would(count, too), "{path}");
    }
    for (path, body, count, too) in [
        ("/secret", json!({ "dry_run": true }), 0, false),
        ("/secret", json!({ "dry_run": true, "revoke_tokens": "by-secret" }), 2, true),
        ("/secret", json!({ "dry_run": true, "revoke_tokens": "all" }), 4, true),
        ("/long-lived-token", json!({ "dry_run": true }), 1, false),
        ("/long-lived-token", json!({ "dry_run": true, "delay_seconds": 60 }), 1, false),
    ] {
        let mut expected = would(count, too);
        if path == "/secret" {
            expected["previous_in_use"] = false.into();
        }
        let path = shop.at(path);
        let found = world.post(&path, &body).await.expect(200);
        assert_eq!(counts(found, count), expected, "{path} {body}");
    }
    for token in tokens.iter().chain([&by_key]) {
        assert_eq!(world.state(token).await, "active");
    }
    assert_eq!(world.get("/audit").await.expect(200), before, "no act was done");
    let channel = world.get(&shop.at("")).await.expect(200);
    assert_eq!(channel["state"], "active");
    let unknown = "536e453c-aa93-4449-8e90-add2608783c6";
    let path = shop.at(&format!("/assertion-keys/{unknown}?dry_run=true"));
    world.delete(&path).await.expect_problem(404, "not-found");
    world.delete("/channels/0000000000?dry_run=true").await.expect_problem(404, "not-found");
}
