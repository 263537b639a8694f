//! `Idempotency-Key` on every call that creates something, generated from the routes.

use crate::{
    isolation::{Company, operation},
    people::text,
    schema::{Call, calls},
    world::{HttpResponse, World},
};
use http::Method;
use serde_json::{Value, json};

/// The calls that create something: those that are described to answer 201. The long-lived
/// token has a test of its own, and signing in no actor whose key it could be.
fn creating() -> Vec<Call> {
    let open = |call: &Call| call.described["security"] == json!([{}]);
    let creates = |call: &Call| !call.described["responses"]["201"].is_null();
    let all = calls().filter(|it| creates(it) && !open(it));
    all.filter(|it| operation(it) != "reissueLongLivedToken").collect()
}

impl World {
    async fn post_once(&self, token: &str, path: &str, body: &str, key: &str) -> HttpResponse {
        let mut request = self.request(Method::POST, path, body.to_owned());
        let bearer = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        self.send(request).await
    }

    async fn newest_event(&self) -> Value {
        self.get("/audit?limit=1").await.expect(200)["events"][0]["id"].clone()
    }
}

#[tokio::test]
async fn every_call_that_creates_something_does_so_once_for_a_key() {
    let world = World::new().await;
    let company = Company::new(&world, "company").await;
    let mut tried = 0;
    for call in creating() {
        let described = call.described["parameters"].as_array().unwrap();
        assert!(described.iter().any(|it| it["name"] == "Idempotency-Key"), "{}", call.path);
        let mut body = company.body(&call);
        if body["expires_at"].is_string() {
            let at = world.authority.now().0 + 3_600;
            body["expires_at"] = jiff::Timestamp::from_second(at).unwrap().to_string().into();
        }
        let (path, body) = (company.path(call.path), body.to_string());
        let own = ["createAdminToken"].contains(&operation(&call));
        let by = if own { &company.admin.session } else { crate::world::ADMIN_TOKEN };
        let first = world.post_once(by, &path, &body, "a key").await;
        assert_eq!(first.status, 201, "{path}: {}", first.body);
        let event = world.newest_event().await;
        let again = world.post_once(by, &path, &body, "a key").await;
        assert_eq!((again.status, &again.body), (201, &first.body), "{path}");
        assert_eq!(world.newest_event().await, event, "{path} was done again");
        let other = world.post_once(by, &path, &format!(" {body}"), "a key").await;
        other.expect_problem(422, "idempotency-key-reused");
        assert_eq!(world.newest_event().await, event, "{path} was done again");
        tried += 1;
    }
    assert!(tried >= 10, "only {tried} calls were tried");
}

#[tokio::test]
async fn a_key_is_its_actors_and_its_calls_and_a_rejected_request_does_not_use_it() {
    let world = World::new().await;
    let root = crate::world::ADMIN_TOKEN;
    let one = world.human("one", json!({ "operator": "administrator" })).await;
    let name = r#"{"name":"Company"}"#;
    let by_root = world.post_once(root, "/providers", name, "k").await.expect(201);
    let by_one = world.post_once(&one.session, "/providers", name, "k").await.expect(201);
    assert_ne!(by_root, by_one);
    let path = format!("/providers/{}/channels", text(&by_one, "provider_id"));
    world.post_once(root, &path, r#"{"name":"x"}"#, "k").await.expect(400);
    let channel = r#"{"name":"x","type":"messaging-api"}"#;
    let made = world.post_once(root, &path, channel, "k").await.expect(201);
    assert_eq!(world.post_once(root, &path, channel, "k").await.expect(201), made);
    world.post_once("wrong", "/providers", name, "k").await.expect_problem(401, "unauthorized");
    let long = "k".repeat(256);
    world.post_once(root, "/providers", name, &long).await.expect_problem(400, "invalid-member");

    // A dry run creates nothing, so its key is still free.
    let secret = format!("/channels/{}/secret", text(&made, "channel_id"));
    world.post_once(root, &secret, r#"{"dry_run":true}"#, "s").await.expect(200);
    world.post_once(root, &secret, "", "s").await.expect(201);

    // A day later a key is forgotten.
    world.authority.advance_clock(86_400).await.unwrap();
    let later = world.post_once(root, "/providers", name, "k").await.expect(201);
    assert_ne!(later, by_root);
}

#[tokio::test]
async fn what_is_remembered_is_encrypted_and_a_new_master_key_makes_it_unreadable() {
    let world = World::new().await;
    let root = crate::world::ADMIN_TOKEN;
    let shop = world.channel().await;
    let path = shop.at("/secret");
    let made = world.post_once(root, &path, "", "k").await.expect(201);
    let secret = text(&made, "channel_secret").as_bytes();
    for file in std::fs::read_dir(world.folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|it| it == secret), "a plain secret");
    }
    world.post("/master-key", "").await;
    let again = world.post_once(root, &path, "", "k").await;
    again.expect_problem(409, "idempotency-key-inactive");
}

#[tokio::test]
async fn a_response_is_repeated_to_the_same_credential_alone_and_not_after_a_role_was_taken() {
    let world = World::new().await;
    let provider = world.provider("Company").await;
    let role = json!({ "provider_id": provider, "provider_role": "admin" });
    let human = world.human("one", role).await;
    let at = jiff::Timestamp::from_second(world.authority.now().0 + 3_600).unwrap().to_string();
    let body = json!({ "name": "reads", "rights": "read", "expires_at": at });
    let made = world.call(&human.session, Method::POST, "/admin-tokens", body).await.expect(201);
    let path = format!("/providers/{provider}/channels");
    let channel = r#"{"name":"x","type":"messaging-api"}"#;
    let first = world.post_once(&human.session, &path, channel, "k").await.expect(201);
    let again = world.post_once(&human.session, &path, channel, "k").await.expect(201);
    assert_eq!(again, first, "the creator has one more role, and sees it");
    // A personal token that only reads creates nothing, and is shown no secret.
    let token = text(&made, "admin_token");
    world.post_once(token, &path, channel, "k").await.expect_problem(403, "forbidden");

    let roles = format!("/channels/{}/roles/{}", text(&first, "channel_id"), human.id);
    world.patch(&roles, json!({ "role": null })).await.expect(200);
    let refused = world.post_once(&human.session, &path, channel, "k").await;
    refused.expect_problem(403, "forbidden");
}
