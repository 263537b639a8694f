//! The authority's own keys: published, rotated, revoked.

use crate::world::{Channel, World};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde_json::Value;
use tegata_server::authority::admin::{ActOptions, Anywhere, Outcome};
use tegata_token::kind::Kind;

async fn jwks(world: &World) -> JwkSet {
    let response = world.get("/.well-known/jwks.json").await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), "application/jwk-set+json");
    assert_eq!(response.header("cache-control"), "public, max-age=900");
    serde_json::from_str(&response.text).unwrap()
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
    for token in
        [world.issue(&shop, Kind::V21).await, world.issue_to(&shop, Kind::Stateless, "g").await]
    {
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
    let first = world.issue(&shop, Kind::V21).await;
    let pending = world.rotate_signing_keys().await;
    assert!(jwks(&world).await.find(&pending.to_string()).is_some());
    // The world's clock goes on by itself, too: a busy machine may need seconds.
    world.advance(870).await;
    let still = world.issue(&shop, Kind::Stateless).await;
    assert_eq!(key_of(&still), key_of(&first));
    world.advance(30).await;
    for token in [world.issue(&shop, Kind::Stateless).await, world.issue(&shop, Kind::V21).await] {
        assert_eq!(key_of(&token), pending.to_string());
        assert!(world.is_good(&token).await);
    }
    assert!(world.is_good(&first).await);
    assert!(jwks(&world).await.find(&key_of(&first)).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_keys_tokens_are_invalid_and_the_successor_signs_at_once() {
    let mut world = World::new().await;
    let shop = world.channel("shop").await;
    let stolen = world.issue(&shop, Kind::V21).await;
    let short = world.issue(&shop, Kind::ShortLived).await;
    let key = key_of(&stolen).parse().unwrap();
    let options = ActOptions::default();
    let revoked = world.admin().revoke(Anywhere::SigningKey(key), &options).await.unwrap();
    assert!(matches!(revoked, Outcome::Done((), taken) if taken.tokens == Some(2)));
    let check = async |world: &World| {
        assert!(!world.is_good(&stolen).await);
        assert!(!world.is_good(&short).await);
        let new = world.issue(&shop, Kind::V21).await;
        assert_ne!(key_of(&new), key_of(&stolen));
        assert!(world.is_good(&new).await);
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
    world.admin().revoke(Anywhere::All, &ActOptions::default()).await.unwrap();
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
        world.issue(channel, Kind::V21).await,
        world.issue(channel, Kind::Stateless).await,
        world.issue(channel, Kind::ShortLived).await,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_key_still_signs_for_a_retry() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let ask = || world.issue_once(&shop, Kind::ShortLived, "k");
    let first = ask().await;
    world.rotate_signing_keys().await;
    world.advance(900).await;
    assert_eq!(ask().await, first);
    assert_ne!(world.issue(&shop, Kind::ShortLived).await[..16], first[..16], "another key");
}
