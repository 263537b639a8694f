//! Who is let in, and how literally requests are read.

use crate::world::World;
use http::Method;
use serde_json::json;

#[tokio::test]
async fn nobody_gets_in_without_the_administrators_token() {
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
