//! Problem details that name each invalid part of a request.

use crate::{people::text, schema::calls, world::World};
use http::Method;
use serde_json::{Value, json};

/// The parts that a problem names, with their codes.
fn parts(problem: &Value) -> Vec<(&str, &str, &str)> {
    let errors = problem["errors"].as_array().unwrap().iter();
    errors.map(|it| (text(it, "in"), text(it, "pointer"), text(it, "code"))).collect()
}

#[tokio::test]
async fn a_problem_names_every_invalid_member_at_once() {
    let world = World::new().await;
    let shop = world.channel().await;
    let body = json!({
        "name": "", "rulez": 1, "group_cap": 31, "limits": { "issue_rate": "many" },
        "state": "asleep",
    });
    let problem = world.patch(&shop.at(""), body).await.expect(400);
    assert_eq!(
        parts(&problem),
        [
            ("body", "#/rulez", "unknown-member"),
            ("body", "#/group_cap", "invalid-member"),
            ("body", "#/limits/issue_rate", "invalid-member"),
            ("body", "#/name", "invalid-member"),
            ("body", "#/state", "invalid-member"),
        ]
    );
    assert_eq!(problem["code"], problem["errors"][0]["code"]);
    assert_eq!(problem["detail"], problem["errors"][0]["detail"]);
    // What is invalid is not missing, and a repeated member can be invalid, too.
    let path = format!("/providers/{}/channels", shop.provider);
    let problem = world.post(&path, r#"{"name":"","name":"","type":"shop"}"#).await.expect(400);
    assert_eq!(
        parts(&problem),
        [
            ("body", "#/name", "repeated-member"),
            ("body", "#/name", "invalid-member"),
            ("body", "#/type", "invalid-member"),
        ]
    );
    let problem = world.post(&path, r#"{"name":"x"}"#).await.expect(400);
    assert_eq!(parts(&problem), [("body", "#/type", "missing-member")]);
    let many: serde_json::Map<_, _> = (0..500).map(|n| (format!("m{n}"), json!(1))).collect();
    let problem = world.post("/providers", Value::from(many)).await.expect(400);
    assert_eq!(parts(&problem).len(), 20, "no more than a page shows");
}

#[tokio::test]
async fn a_query_field_a_header_and_a_key_are_named_too() {
    let world = World::new().await;
    let shop = world.channel().await;
    let of = |problem: Value| {
        let found = parts(&problem);
        let [(place, pointer, code)] = found[..] else { panic!("{problem}") };
        format!("{place} {pointer} {code}")
    };
    for (path, expected) in [
        ("/providers?limit=0", "query limit invalid-member"),
        ("/providers?sort=1", "query sort unknown-member"),
        ("/providers?after=x", "query after invalid-member"),
        ("/people?after=x", "query after invalid-member"),
        ("/audit?since=yesterday", "query since invalid-member"),
        ("/audit?act=nothing", "query act invalid-member"),
    ] {
        assert_eq!(of(world.get(path).await.expect(400)), expected, "{path}");
    }
    let header = ("if-match", "no quotes");
    let path = shop.at("");
    let problem = world.with_header((Method::PATCH, &path), &json!({}), header).await.expect(400);
    assert_eq!(of(problem), "header If-Match invalid-member");
    let header = ("idempotency-key", "\u{e9}");
    let problem = world.with_header((Method::POST, "/providers"), &json!({}), header).await;
    assert_eq!(of(problem.expect(400)), "header Idempotency-Key invalid-member");
    let jwk = json!({ "jwk": { "kty": "RSA", "d": "x" } });
    let problem = world.post(&shop.at("/assertion-keys"), jwk).await.expect(400);
    assert_eq!(of(problem), "body #/jwk invalid-jwk");
    let login = json!({ "login": "-bad" });
    let problem = world.post("/people/invitations", login).await.expect(400);
    assert_eq!(of(problem), "body #/login invalid-member");
    let both = json!({ "all": true, "kind": "v2.1" });
    let problem = world.post(&shop.at("/revocations"), both).await.expect(400);
    assert_eq!(of(problem), "body # invalid-member");
}

#[tokio::test]
async fn every_call_names_an_unknown_part() {
    let world = World::new().await;
    let shop = world.channel().await;
    for call in calls().filter(|it| it.path != "/openapi.json") {
        let path = call.path.replace("{channel}", &shop.id).replace("{provider}", &shop.provider);
        let path = crate::openapi::sample(&path);
        let in_query = call.method == Method::GET || call.method == Method::DELETE;
        let (path, body) = match in_query {
            true => (format!("{path}?strange=1"), ""),
            false => (path, r#"{"strange":1}"#),
        };
        let problem = world.send(world.request(call.method.clone(), &path, body)).await.expect(400);
        let place = if in_query { ("query", "strange") } else { ("body", "#/strange") };
        let first = parts(&problem)[0];
        assert_eq!((first.0, first.1), place, "{} {path}: {problem}", call.method);
    }
}
