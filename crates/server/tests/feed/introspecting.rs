//! Introspection for verifiers.

use crate::world::{Channel, Response, World};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};

async fn introspect(world: &World, bearer: &str, body: &str) -> Response {
    let bearer = format!("Bearer {bearer}");
    let headers =
        [("authorization", &*bearer), ("content-type", "application/x-www-form-urlencoded")];
    world.send(Method::POST, "/oauth2/introspect", &headers, Some(body.to_owned())).await
}

async fn is_active(world: &World, verifier: &str, token: &str) -> bool {
    let answer = introspect(world, verifier, &format!("token={token}")).await.is(200);
    assert_eq!(answer.headers["cache-control"], "no-store");
    let answer = answer.json();
    assert_eq!(answer["position"], json!(world.running().authority.view().position()));
    match answer["active"].as_bool().unwrap() {
        true => assert!(answer["exp"].is_i64() && answer["client_id"].is_string()),
        false => assert_eq!(answer.as_object().unwrap().len(), 2, "{answer}"),
    }
    answer["active"] == true
}

#[tokio::test]
async fn a_verifier_learns_whether_a_token_is_active_and_at_which_position() {
    let world = World::new().await;
    let channel: Channel = world.channel().await;
    let token = world.token(&channel).await;
    let all = world.verifier(json!({ "name": "all" })).await.token;
    let own = json!({ "name": "own", "provider_id": channel.provider });
    let own = world.verifier(own).await.token;
    let other = world.channel().await;
    let other = json!({ "name": "other", "provider_id": other.provider });
    let other = world.verifier(other).await.token;
    assert!(is_active(&world, &all, &token).await);
    assert!(is_active(&world, &own, &token).await);
    assert!(!is_active(&world, &other, &token).await, "of another provider");
    assert!(!is_active(&world, &all, "tgs_nothing").await);
    world.revoke(&channel, 0).await;
    assert!(!is_active(&world, &all, &token).await);
}

#[tokio::test]
async fn introspection_needs_a_verifiers_token_and_a_token() {
    let world = World::new().await;
    let channel = world.channel().await;
    let token = world.token(&channel).await;
    let verifier = world.verifier(json!({ "name": "all" })).await.token;
    let file = world.running().admin_token_file.clone().unwrap();
    let admin = std::fs::read_to_string(file).unwrap();
    let body = format!("token={token}");
    for wrong in [admin.trim(), &token, "tgv_", "x"] {
        let refused = introspect(&world, wrong, &body).await.is(401);
        assert_eq!(refused.headers["cache-control"], "no-store");
    }
    for malformed in ["", "token=", "token=a&token=b", "access_token=a"] {
        let refused = introspect(&world, &verifier, malformed).await.is(400);
        assert_eq!(refused.json()["error"], "invalid_request");
    }
}

#[tokio::test]
async fn a_signed_answer_names_its_verifier_and_cannot_pass_for_a_token() {
    const SIGNED: &str = "application/token-introspection+jwt";
    let world = World::new().await;
    let channel = world.channel().await;
    let token = world.token(&channel).await;
    let verifier = world.verifier(json!({ "name": "all" })).await;
    let bearer = format!("Bearer {}", verifier.token);
    let headers = [
        ("authorization", &*bearer),
        ("content-type", "application/x-www-form-urlencoded"),
        ("accept", SIGNED),
    ];
    let body = format!("token={token}");
    let answer = world.send(Method::POST, "/oauth2/introspect", &headers, Some(body)).await.is(200);
    assert_eq!(answer.headers["content-type"], SIGNED);
    let jwt = String::from_utf8(answer.bytes).unwrap();
    let part = |at: usize| -> Value {
        let bytes = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(at).unwrap()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    let (header, claims) = (part(0), part(1));
    assert_eq!(header["typ"], "token-introspection+jwt");
    assert_eq!(claims["aud"], json!(verifier.id));
    assert_eq!(claims["iss"], claims["token_introspection"]["iss"]);
    assert!(claims["iat"].is_i64());
    let plain = introspect(&world, &verifier.token, &format!("token={token}")).await.is(200);
    assert_eq!(claims["token_introspection"], plain.json());
    assert!(!is_active(&world, &verifier.token, &jwt).await, "it is no token itself");
}
