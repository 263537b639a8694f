//! Introspection for verifiers.

use crate::world::{Channel, Response, World};
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

/// Asks with the credentials of a channel in the form, and these headers.
async fn by_channel(
    world: &World,
    (id, secret): (&str, &str),
    token: &str,
    more: &[(&str, &str)],
) -> Response {
    let form = ("content-type", "application/x-www-form-urlencoded");
    let body = format!("token={token}&client_id={id}&client_secret={secret}");
    world.send(Method::POST, "/oauth2/introspect", &[&[form], more].concat(), Some(body)).await
}

#[tokio::test]
async fn a_channel_learns_about_its_own_tokens_alone() {
    let world = World::new().await;
    let (channel, other) = (world.channel().await, world.channel().await);
    let (own, foreign) = (world.token(&channel).await, world.token(&other).await);
    let credentials = (&*channel.id, &*channel.secret);
    let about = async |token: &str| {
        by_channel(&world, credentials, token, &[]).await.is(200).json()["active"].clone()
    };
    assert_eq!(about(&own).await, true);
    assert_eq!(about(&foreign).await, false, "another channel's");
    let text = format!("{}:{}", channel.id, channel.secret);
    let basic = format!("Basic {}", data_encoding::BASE64.encode(text.as_bytes()));
    let headers =
        [("authorization", &*basic), ("content-type", "application/x-www-form-urlencoded")];
    let ask = async |body: String| {
        world.send(Method::POST, "/oauth2/introspect", &headers, Some(body)).await
    };
    assert_eq!(ask(format!("token={own}")).await.is(200).json()["active"], true);
    assert_eq!(ask(format!("token={foreign}")).await.is(200).json()["active"], false);
    // Two credentials in one request.
    by_channel(&world, credentials, &own, &[("authorization", &basic)]).await.is(400);
    by_channel(&world, credentials, &own, &[("authorization", "Bearer x")]).await.is(400);
    world.revoke(&channel, 0).await;
    assert_eq!(about(&own).await, false);
}

#[tokio::test]
async fn a_wrong_secret_learns_nothing_and_is_throttled() {
    let world = World::new().await;
    let channel = world.channel().await;
    let token = world.token(&channel).await;
    for wrong in [(&*channel.id, "0"), ("0000000000", &*channel.secret), ("x", "y")] {
        let refused = by_channel(&world, wrong, &token, &[]).await.is(401);
        assert_eq!(refused.json()["error"], "invalid_client");
        assert_eq!(refused.headers["cache-control"], "no-store");
    }
    let mut status = 401;
    for _ in 0..11 {
        status = by_channel(&world, (&channel.id, "0"), &token, &[]).await.status;
    }
    assert_eq!(status, 429, "guesses of a secret are throttled");
    let good = (&*channel.id, &*channel.secret);
    by_channel(&world, good, &token, &[]).await.is(200);
    let state = json!({ "state": "suspended" });
    let path = format!("/channels/{}", channel.id);
    world.admin(Method::PATCH, &path, Some(state)).await.is(200);
    let refused = by_channel(&world, good, &token, &[]).await;
    assert!(matches!(refused.status, 401 | 429), "{}", refused.status);
}

#[tokio::test]
async fn an_answer_is_signed_if_asked_for_and_names_its_reader() {
    let world = World::new().await;
    let channel = world.channel().await;
    let token = world.token(&channel).await;
    let verifier = world.verifier(json!({ "name": "all" })).await;
    let bearer = format!("Bearer {}", verifier.token);
    let headers = [
        ("authorization", &*bearer),
        ("content-type", "application/x-www-form-urlencoded"),
        ("accept", "application/json;q=0.1, application/token-introspection+jwt"),
    ];
    let body = || Some(format!("token={token}"));
    let signed = world.send(Method::POST, "/oauth2/introspect", &headers, body()).await.is(200);
    assert_eq!(signed.headers["content-type"], "application/token-introspection+jwt");
    assert_eq!(signed.headers["cache-control"], "no-store");
    let jwt = String::from_utf8(signed.bytes).unwrap();
    let header = jsonwebtoken::decode_header(&jwt).unwrap();
    assert_eq!(header.typ.as_deref(), Some("token-introspection+jwt"));
    let set = world.send(Method::GET, "/.well-known/jwks.json", &[], None).await.is(200).bytes;
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(&set).unwrap();
    let key = set.find(&header.kid.unwrap()).unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    rules.required_spec_claims.clear();
    rules.set_audience(&[&verifier.id]);
    let claims = jsonwebtoken::decode::<Value>(&jwt, &key, &rules).unwrap().claims;
    assert_eq!(claims["token_introspection"]["active"], true);
    assert_eq!(claims["token_introspection"]["client_id"], channel.id);
    assert!(claims["iat"].is_i64() && claims["iss"].is_string());
    // It must not pass for an access token.
    assert!(claims["exp"].is_null() && claims["sub"].is_null());
    assert!(!is_active(&world, &verifier.token, &jwt).await);
}
