//! `If-Match` on every call that changes or deletes something, generated from the routes.

use crate::{
    isolation::{Company, everything, operation},
    schema::calls,
    world::{HttpResponse, World},
};
use http::Method;
use serde_json::{Value, json};

impl World {
    /// A request of the root administrator with a header.
    pub async fn with_header(
        &self,
        (method, path): (Method, &str),
        body: &Value,
        (name, value): (&'static str, &str),
    ) -> HttpResponse {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let mut request = self.request(method, path, text);
        request.headers_mut().insert(name, value.parse().unwrap());
        self.send(request).await
    }
}

/// A company whose channel has a previous secret.
async fn company(world: &World) -> Company {
    let company = Company::new(world, "company").await;
    let body = json!({ "keep_previous_seconds": 600 });
    world.post(&company.shop.at("/secret"), body).await.expect(201);
    company
}

#[tokio::test]
async fn every_change_and_deletion_is_refused_for_other_settings_and_changes_nothing() {
    let world = World::new().await;
    let company = company(&world).await;
    let before = everything(&world, &company).await;
    let mut tried = 0;
    for call in calls().filter(|it| [Method::PATCH, Method::DELETE].contains(&it.method)) {
        let described = call.described["parameters"].as_array().unwrap();
        assert!(described.iter().any(|it| it["name"] == "If-Match"), "{}", call.path);
        // It needs a session, and there is no instance.
        if ["signOut", "removeInstance"].contains(&operation(&call)) {
            continue;
        }
        let (path, body) = (company.path(call.path), company.body(&call));
        for (value, status, code) in [
            ("\"AAECAwQFBgcICQoLDA0O\"", 412, "precondition-failed"),
            ("\"of-another-program\"", 412, "precondition-failed"),
            ("W/\"AAECAwQFBgcICQoLDA0O\"", 412, "precondition-failed"),
            ("AAECAwQFBgcICQoLDA0O", 400, "invalid-member"),
        ] {
            let request = (call.method.clone(), path.as_str());
            let answer = world.with_header(request, &body, ("if-match", value)).await;
            assert_eq!(answer.status, status, "{} {path} {value}: {}", call.method, answer.body);
            answer.expect_problem(status, code);
            tried += 1;
        }
    }
    assert!(tried > 40, "only {tried} requests were tried");
    assert_eq!(everything(&world, &company).await, before);
}

/// A body that changes something.
fn change(operation: &str) -> Value {
    match operation {
        "changeProvider" | "changeChannel" | "changeVerifier" | "changePerson" => {
            json!({ "name": "Another name" })
        }
        "changeGroup" => json!({ "contact": "#team" }),
        "setProviderRole" | "setChannelRole" => json!({ "role": "member" }),
        other => panic!("give the call `{other}` a change here"),
    }
}

#[tokio::test]
async fn every_change_is_made_once_for_the_tag_that_was_read() {
    let world = World::new().await;
    let company = company(&world).await;
    let mut tried = 0;
    for call in calls().filter(|it| it.method == Method::PATCH) {
        let (path, body) = (company.path(call.path), change(operation(&call)));
        let read = world.get(&path).await;
        assert_eq!(read.status, 200, "{path}: {}", read.body);
        let old = read.etag.unwrap_or_else(|| panic!("{path} has no tag"));
        let patch = async |tag: &str| {
            world.with_header((Method::PATCH, &path), &body, ("if-match", tag)).await
        };
        let changed = patch(&old).await;
        assert_eq!(changed.status, 200, "{path}: {}", changed.body);
        let new = changed.etag.unwrap();
        assert_ne!(new, old, "{path}");
        assert_eq!(world.get(&path).await.etag.as_ref(), Some(&new), "{path}");
        // Of two that read the same, the second one is refused.
        patch(&old).await.expect_problem(412, "precondition-failed");
        patch(&format!("{old}, {new}")).await.expect(200);
        patch("*").await.expect(200);
        let unconditional = world.patch(&path, body.clone()).await;
        assert_eq!(unconditional.status, 200, "{path}: {}", unconditional.body);
        tried += 1;
    }
    assert!(tried >= 7, "only {tried} calls were tried");
}

#[tokio::test]
async fn a_request_that_changes_nothing_is_refused_too_and_so_is_an_object_that_is_not_there() {
    let world = World::new().await;
    let company = company(&world).await;
    let wrong = ("if-match", "\"AAECAwQFBgcICQoLDA0O\"");
    for path in ["/providers/{provider}", "/channels/{channel}", "/people/{person}"] {
        let path = company.path(path);
        let empty = world.with_header((Method::PATCH, &path), &json!({}), wrong).await;
        empty.expect_problem(412, "precondition-failed");
        let dry = format!("{path}?dry_run=true");
        let deletion = world.with_header((Method::DELETE, &dry), &Value::Null, wrong).await;
        deletion.expect_problem(412, "precondition-failed");
    }
    let path = company.shop.at("/groups/never-seen");
    let body = json!({ "contact": "#team" });
    let absent = world.with_header((Method::PATCH, &path), &body, ("if-match", "*")).await;
    absent.expect_problem(412, "precondition-failed");
    world.patch(&path, body).await.expect(200);
}

#[tokio::test]
async fn every_object_with_a_tag_is_deleted_for_it() {
    let world = World::new().await;
    let company = company(&world).await;
    let mut paths: Vec<_> = calls().filter(|it| it.method == Method::DELETE).collect();
    // What is in others comes first.
    paths.sort_by_key(|it| (it.path == "/providers/{provider}", std::cmp::Reverse(it.path.len())));
    let mut tried = 0;
    for call in paths {
        let path = company.path(call.path);
        let Some(tag) = world.get(&path).await.etag else { continue };
        let request = (Method::DELETE, path.as_str());
        let answer = world.with_header(request, &Value::Null, ("if-match", &tag)).await;
        assert!((200..300).contains(&answer.status), "{path}: {}", answer.body);
        tried += 1;
    }
    assert_eq!(tried, 5, "group, verifier, person, channel and provider");
}
