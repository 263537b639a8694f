//! Assertion keys and signing keys.

use crate::world::{World, public_jwk};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use serde_json::json;

#[tokio::test]
async fn a_registered_key_is_listed_and_a_third_one_is_denied() {
    let world = World::new().await;
    let shop = world.channel().await;
    let (_, first) = world.key(&shop, None).await;
    world.key(&shop, None).await;
    let (_, bound) = world.key(&shop, Some("kitchen")).await;
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let third = world.post(&shop.at("/assertion-keys"), json!({ "jwk": public_jwk(&key) })).await;
    third.expect_problem(409, "conflict");

    let listed = world.get(&shop.at("/assertion-keys")).await.expect(200);
    let keys = listed["assertion_keys"].as_array().unwrap();
    let group_of = |kid: &str| &keys.iter().find(|it| it["kid"] == kid).unwrap()["group"];
    assert_eq!(keys.len(), 3);
    assert_eq!((group_of(&first), group_of(&bound)), (&json!(null), &json!("kitchen")));
}

#[tokio::test]
async fn a_jwk_that_breaks_a_rule_is_rejected_with_the_rule() {
    let world = World::new().await;
    let shop = world.channel().await;
    let good = public_jwk(&KeyPair::generate(KeySize::Rsa2048).unwrap());
    for (member, value) in [
        ("d", json!("AQAB")),
        ("kid", json!("mine")),
        ("alg", json!("RS512")),
        ("use", json!("enc")),
        ("kty", json!("EC")),
        ("e", json!("Aw")),
        ("n", json!("AQAB")),
    ] {
        let mut jwk = good.clone();
        jwk[member] = value;
        let refused = world.post(&shop.at("/assertion-keys"), json!({ "jwk": jwk })).await;
        refused.expect_problem(400, "invalid-jwk");
    }
    let mut whole = good.clone();
    whole["d"] = json!("c2VjcmV0LWQ");
    let pem = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0LWQ\n-----END PRIVATE KEY-----\n";
    let mut beside = good.clone();
    beside["x"] = json!({ "deep": [{ "p": "c2VjcmV0LWQ" }] });
    for private in [json!({ "keys": [whole] }), json!(pem), json!([whole]), beside] {
        let refused = world.post(&shop.at("/assertion-keys"), json!({ "jwk": private })).await;
        assert!(!refused.body.to_string().contains("c2VjcmV0LWQ"), "{}", refused.body);
        assert!(refused.body["detail"].as_str().unwrap().contains("private"), "{}", refused.body);
        refused.expect_problem(400, "invalid-jwk");
    }
    let good_text = good.to_string();
    let repeated = format!(r#"{{"jwk":{},"e":"AQAB"}}}}"#, &good_text[..good_text.len() - 1]);
    let refused = world.post(&shop.at("/assertion-keys"), repeated).await;
    refused.expect_problem(400, "invalid-jwk");
    for wrong in [json!({ "jwk": "text" }), json!({ "jwk": good, "group": "a b" })] {
        let refused = world.post(&shop.at("/assertion-keys"), wrong).await;
        assert_eq!(refused.status, 400, "{}", refused.body);
    }
    world.post(&shop.at("/assertion-keys"), json!({ "jwk": good })).await.expect(201);
}

#[tokio::test]
async fn a_deleted_key_may_revoke_its_tokens() {
    let world = World::new().await;
    let shop = world.channel().await;
    let (key, kid) = world.key(&shop, None).await;
    let (other_key, other_kid) = world.key(&shop, None).await;
    let token = world.v21(&shop, &key, &kid).await;
    let other = world.v21(&shop, &other_key, &other_kid).await;
    world.delete(&shop.at(&format!("/assertion-keys/{kid}?revoke_tokens=true"))).await.expect(200);
    world.delete(&shop.at(&format!("/assertion-keys/{other_kid}"))).await.expect(200);
    assert_eq!(world.state(&token).await, "revoked");
    assert_eq!(world.state(&other).await, "active");
    let again = world.delete(&shop.at(&format!("/assertion-keys/{kid}"))).await;
    again.expect_problem(404, "not-found");
}

#[tokio::test]
async fn a_rotation_publishes_one_pending_key_at_a_time() {
    let world = World::new().await;
    let before = world.get("/signing-keys").await.expect(200);
    assert_eq!(before["signing_keys"].as_array().unwrap().len(), 1);
    assert_eq!(before["signing_keys"][0]["state"], "active");
    let pending = world.post("/signing-keys", "").await.expect(201);
    assert_eq!(pending["state"], "pending");
    world.post("/signing-keys", json!({})).await.expect_problem(409, "conflict");
    let after = world.get("/signing-keys").await.expect(200);
    assert_eq!(after["signing_keys"].as_array().unwrap().len(), 2);
    assert!(after["signing_keys"].as_array().unwrap().contains(&pending));
}
