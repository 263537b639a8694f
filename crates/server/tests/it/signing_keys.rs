//! The authority's own keys: published, rotated, revoked.

use crate::world::{Channel, World};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde_json::Value;
use tegata_server::authority::admin::Anywhere;

async fn jwks(world: &World) -> JwkSet {
    let answer = world.get("/.well-known/jwks.json").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/jwk-set+json");
    assert_eq!(answer.header("cache-control"), "public, max-age=900");
    serde_json::from_str(&answer.text).unwrap()
}

fn key_of(token: &str) -> String {
    decode_header(token).unwrap().kid.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_jwt_library_verifies_a_token_with_the_published_keys() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let issuer = format!("http://{}", world.running().address);
    let set = jwks(&world).await;
    for token in [
        world.v21(&shop, &[]).await.token(),
        world.stateless(&shop, &[("group", "g")]).await.token(),
    ] {
        let header = decode_header(&token).unwrap();
        assert_eq!(header.typ.as_deref(), Some("at+jwt"));
        let key = DecodingKey::from_jwk(set.find(&key_of(&token)).unwrap()).unwrap();
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_audience(&[&issuer]);
        rules.set_issuer(&[&issuer]);
        let claims = decode::<Value>(&token, &key, &rules).unwrap().claims;
        assert_eq!(claims["sub"], shop.id.to_string());
        assert_eq!(claims["client_id"], shop.id.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_published_for_its_time_before_it_signs() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let first = world.v21(&shop, &[]).await.token();
    let coming = world.rotate_signing_keys().await;
    assert!(jwks(&world).await.find(&coming.to_string()).is_some());
    world.advance(899).await;
    let still = world.stateless(&shop, &[]).await.token();
    assert_eq!(key_of(&still), key_of(&first));
    world.advance(1).await;
    for token in [world.stateless(&shop, &[]).await.token(), world.v21(&shop, &[]).await.token()] {
        assert_eq!(key_of(&token), coming.to_string());
        assert_eq!(world.verify_jws(&token).await.status, 200);
    }
    assert_eq!(world.verify_jws(&first).await.status, 200);
    assert!(jwks(&world).await.find(&key_of(&first)).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_keys_tokens_are_invalid_and_the_successor_signs_at_once() {
    let mut world = World::new().await;
    let shop = world.channel("shop").await;
    let stolen = world.v21(&shop, &[]).await.token();
    let short = world.short_lived(&shop, &[]).await.token();
    let key = key_of(&stolen).parse().unwrap();
    let revoked = world.admin().revoke(Anywhere::SigningKey(key), false).await.unwrap();
    assert_eq!(revoked.tokens, 2);
    let check = async |world: &World| {
        assert_eq!(world.verify_jws(&stolen).await.status, 400);
        assert_eq!(world.verify_opaque(&short).await.status, 400);
        let new = world.v21(&shop, &[]).await.token();
        assert_ne!(key_of(&new), key_of(&stolen));
        assert_eq!(world.verify_jws(&new).await.status, 200);
        assert!(jwks(world).await.find(&key_of(&stolen)).is_none());
    };
    check(&world).await;
    world.restart().await;
    check(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_all_keys_revokes_every_token() {
    let world = World::new().await;
    let (shop, other) = (world.channel("shop").await, world.channel("other").await);
    let mut before = Vec::new();
    for channel in [&shop, &other] {
        before.extend(three(&world, channel).await);
    }
    world.rotate_signing_keys().await;
    world.admin().revoke(Anywhere::All, false).await.unwrap();
    for token in &before {
        assert_eq!(world.gateway(token, "").await.status, 401);
    }
    for token in three(&world, &shop).await {
        assert_eq!(world.gateway(&token, "").await.status, 200);
    }
    assert_eq!(jwks(&world).await.keys.len(), 1);
}

async fn three(world: &World, channel: &Channel) -> [String; 3] {
    [
        world.v21(channel, &[]).await.token(),
        world.stateless(channel, &[]).await.token(),
        world.short_lived(channel, &[]).await.token(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_key_still_signs_for_a_retry() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let key = [("idempotency-key", "k")];
    let ask = async || world.post_with("/v2/oauth/accessToken", &key, &shop.by_secret()).await;
    let first = ask().await.token();
    world.rotate_signing_keys().await;
    world.advance(900).await;
    assert_eq!(ask().await.token(), first);
    assert_ne!(world.short_lived(&shop, &[]).await.token()[..16], first[..16], "another key");
}
