//! The two operations that revoke a token.

use crate::world::{Channel, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_v21_token_is_invalid_from_the_200_of_its_revocation_on() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.v21(&shop, &[]).await.token();
    let other = world.v21(&shop, &[]).await.token();
    assert_eq!(world.verify_jws(&token).await.status, 200);
    let revoked = world.revoke_jws(&shop, &token).await;
    revoked.is(200, "");
    assert_eq!(revoked.header("content-type"), "");
    world
        .verify_jws(&token)
        .await
        .is(400, r#"{"error":"invalid_request","error_description":"The access token revoked"}"#);
    assert_eq!(world.verify_jws(&other).await.status, 200);
    world.revoke_jws(&shop, &token).await.is(200, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opaque_token_is_revoked_without_credentials_any_number_of_times() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.short_lived(&shop, &[]).await.token();
    for _ in 0..2 {
        world.revoke_opaque(&token).await.is(200, "");
        assert_eq!(world.verify_opaque(&token).await.status, 400);
    }
    world.advance(2_592_000).await;
    world.revoke_opaque(&token).await.is(200, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stateless_token_can_be_revoked_too_and_no_other_is() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.stateless(&shop, &[]).await.token();
    let sibling = world.stateless(&shop, &[]).await.token();
    world.revoke_jws(&shop, &token).await.is(200, "");
    assert_eq!(world.verify_jws(&token).await.status, 400);
    assert_eq!(world.verify_jws(&sibling).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_channels_token_is_left_alone_and_the_answer_is_200() {
    let world = World::new().await;
    let (shop, other) = (world.channel("shop").await, world.channel("other").await);
    let token = world.v21(&other, &[]).await.token();
    world.revoke_jws(&shop, &token).await.is(200, "");
    assert_eq!(world.verify_jws(&token).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_and_unknown_tokens_are_200() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.stateless(&shop, &[]).await.token();
    let short = world.short_lived(&shop, &[]).await.token();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let unsigned = format!("{signed}.{}", "A".repeat(signature.len()));
    world.revoke_jws(&shop, &unsigned).await.is(200, "");
    world.revoke_jws(&shop, "eyJhbGciOiJIUzI1NiJ9.eyJmb28iOjF9.c2ln").await.is(200, "");
    let mut unsigned = short.clone();
    unsigned.replace_range(short.len() - 8.., "AAAAAAAA");
    world.revoke_opaque(&unsigned).await.is(200, "");
    assert_eq!(world.verify_opaque(&short).await.status, 200);
    world.advance(900).await;
    world.revoke_jws(&shop, &token).await.is(200, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_answered_in_lines_words() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let like = |secret: &str| Channel { id: shop.id, secret: secret.into(), kid: shop.kid };
    let jws = world.v21(&shop, &[]).await.token();
    let short = world.short_lived(&shop, &[]).await.token();
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
    assert_eq!(world.verify_jws(&jws).await.status, 200, "none of these revoked it");

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
        tokens.push(world.v21(&shop, &[]).await.token());
    }
    for token in tokens.iter().step_by(2) {
        world.revoke_jws(&shop, token).await.is(200, "");
    }
    for (at, token) in tokens.iter().enumerate() {
        let expected = if at % 2 == 0 { 400 } else { 200 };
        assert_eq!(world.verify_jws(token).await.status, expected, "{at}");
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
    let revoked = world.v21(&shop, &[]).await.token();
    let stateless = world.stateless(&shop, &[]).await.token();
    let kept = world.v21(&shop, &[]).await.token();
    world.revoke_jws(&shop, &revoked).await.is(200, "");
    world.revoke_jws(&shop, &stateless).await.is(200, "");
    world.restart().await;
    assert_eq!(world.verify_jws(&revoked).await.status, 400);
    assert_eq!(world.verify_jws(&stateless).await.status, 400);
    assert_eq!(world.verify_jws(&kept).await.status, 200);
}
