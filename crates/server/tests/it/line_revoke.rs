//! The two operations that revoke a token.

use crate::world::{Channel, World};
use tegata_token::kind::Kind;

#[tokio::test(flavor = "multi_thread")]
async fn a_v21_token_is_invalid_from_the_200_of_its_revocation_on() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.issue(&shop, Kind::V21).await;
    let other = world.issue(&shop, Kind::V21).await;
    assert!(world.is_good(&token).await);
    let revoked = world.revoke_jws(&shop, &token).await;
    revoked.is(200, "");
    assert_eq!(revoked.header("content-type"), "");
    world
        .verify_jws(&token)
        .await
        .is(400, r#"{"error":"invalid_request","error_description":"The access token revoked"}"#);
    assert!(world.is_good(&other).await);
    world.revoke(&shop, &token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opaque_token_is_revoked_without_credentials_any_number_of_times() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.issue(&shop, Kind::ShortLived).await;
    for _ in 0..2 {
        world.revoke(&shop, &token).await;
        assert!(!world.is_good(&token).await);
    }
    world.advance(2_592_000).await;
    world.revoke(&shop, &token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stateless_token_can_be_revoked_too_and_no_other_is() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.issue(&shop, Kind::Stateless).await;
    let sibling = world.issue(&shop, Kind::Stateless).await;
    world.revoke(&shop, &token).await;
    assert!(!world.is_good(&token).await);
    assert!(world.is_good(&sibling).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_channels_token_is_left_alone_and_the_answer_is_200() {
    let world = World::new().await;
    let (shop, other) = (world.channel("shop").await, world.channel("other").await);
    let token = world.issue(&other, Kind::V21).await;
    world.revoke(&shop, &token).await;
    assert!(world.is_good(&token).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_and_unknown_tokens_are_200() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.issue(&shop, Kind::Stateless).await;
    let short = world.issue(&shop, Kind::ShortLived).await;
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let unsigned = format!("{signed}.{}", "A".repeat(signature.len()));
    world.revoke(&shop, &unsigned).await;
    world.revoke(&shop, "eyJhbGciOiJIUzI1NiJ9.eyJmb28iOjF9.c2ln").await;
    let mut unsigned = short.clone();
    unsigned.replace_range(short.len() - 8.., "AAAAAAAA");
    world.revoke(&shop, &unsigned).await;
    assert!(world.is_good(&short).await);
    world.advance(900).await;
    world.revoke(&shop, &token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_answered_in_lines_words() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let like = |secret: &str| Channel { id: shop.id, secret: secret.into(), kid: shop.kid };
    let jws = world.issue(&shop, Kind::V21).await;
    let short = world.issue(&shop, Kind::ShortLived).await;
    let not_jws = r#"{"error":"invalid_request","error_description":"The access token not JWS"}"#;
    let malformed =
        r#"{"error":"invalid_request","error_description":"The access token malformed"}"#;
    let missing =
        r#"{"error":"invalid_request","error_description":"some parameters missed or invalid"}"#;
    let id = shop.id.to_string();
    for (token, body) in [
        (&*short, not_jws),
        ("junk", not_jws),
        ("a.b", not_jws),
        ("a.b.c", malformed),
        ("..", malformed),
    ] {
        world.revoke_jws(&shop, token).await.is(400, body);
    }
    world
        .revoke_jws(&like("wrong"), &jws)
        .await
        .is(400, r#"{"error":"invalid_client","error_description":"invalid client_secret"}"#);
    for unknown in ["0000000000", "shop"] {
        let fields =
            [("client_id", unknown), ("client_secret", &shop.secret), ("access_token", &jws)];
        world
            .post("/oauth2/v2.1/revoke", &fields)
            .await
            .is(400, r#"{"error":"invalid_client","error_description":"invalid client_id"}"#);
    }
    let [client, secret, token] =
        [("client_id", &*id), ("client_secret", &*shop.secret), ("access_token", &*jws)];
    for fields in [[client, secret], [client, token], [secret, token]] {
        world.post("/oauth2/v2.1/revoke", &fields).await.is(400, missing);
    }
    assert!(world.is_good(&jws).await, "none of these revoked it");

    world.post("/v2/oauth/revoke", &[]).await.is(400, missing);
    for token in [&*jws, "junk", "tgs_AAAA", "W1TeHCgfH2Liwa/x+y=="] {
        world.revoke_opaque(token).await.is(400, r#"{"error":"invalid_request"}"#);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_single_revocations_keep_the_view_small_and_correct() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let mut tokens = Vec::new();
    for _ in 0..30 {
        tokens.push(world.issue(&shop, Kind::V21).await);
    }
    for token in tokens.iter().step_by(2) {
        world.revoke(&shop, token).await;
    }
    for (at, token) in tokens.iter().enumerate() {
        assert_eq!(world.is_good(token).await, at % 2 == 1, "{at}");
    }
    let view = world.authority().view();
    let revocations = view.channel(shop.id).unwrap();
    assert!(
        revocations.singles.len() <= tegata_policy::admit::MAX_SINGLE_REVOCATIONS,
        "{revocations:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_stays_revoked_over_a_restart() {
    let mut world = World::new().await;
    let shop = world.channel("shop").await;
    let revoked = world.issue(&shop, Kind::V21).await;
    let stateless = world.issue(&shop, Kind::Stateless).await;
    let kept = world.issue(&shop, Kind::V21).await;
    world.revoke(&shop, &revoked).await;
    world.revoke(&shop, &stateless).await;
    world.restart().await;
    assert!(!world.is_good(&revoked).await);
    assert!(!world.is_good(&stateless).await);
    assert!(world.is_good(&kept).await);
}
