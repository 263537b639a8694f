//! The three operations that issue a token.

use crate::world::{Channel, HttpResponse, World, by_assertion};
use serde_json::json;
use std::collections::HashSet;
use tegata_client::call::{ClientAuthentication, With};
use tegata_policy::rules::ChannelType;
use tegata_token::{kind::Kind, view::ChannelState};

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_is_issued_in_lines_words_and_order() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    world.v21(&shop, &[]).await.is_ok_but_for(
        &["access_token", "key_id"],
        r#"{"access_token":"…","token_type":"Bearer","expires_in":2592000,"key_id":"…"}"#,
    );
    world.stateless(&shop, &[]).await.is_ok_but_for(
        &["access_token"],
        r#"{"token_type":"Bearer","access_token":"…","expires_in":900}"#,
    );
    world.short_lived(&shop, &[]).await.is_ok_but_for(
        &["access_token"],
        r#"{"access_token":"…","expires_in":2592000,"token_type":"Bearer"}"#,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stateless_token_is_issued_for_an_assertion_too() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    // Without token_exp, which only v2.1 reads.
    let mut claims = shop.claims(world.now());
    claims.as_object_mut().unwrap().remove("token_exp");
    let assertion = shop.sign(&claims);
    let authentication = ClientAuthentication::Assertion(&assertion);
    let issued = world.line.issue_stateless(&authentication, With::default()).await.unwrap();
    assert_eq!(issued.expires_in, 900);
    assert!(world.is_good(issued.token.reveal()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_assertion_yields_any_number_of_tokens_and_expires_in_is_as_requested() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let mut claims = shop.claims(world.now());
    claims["token_exp"] = json!(60);
    let assertion = shop.sign(&claims);
    let first = world.line.issue_v21(&assertion, With::default()).await.unwrap();
    let second = world.line.issue_v21(&assertion, With::default()).await.unwrap();
    assert_eq!(first.expires_in, 60);
    assert_ne!(first.token.reveal(), second.token.reveal());
    assert_eq!(first.key_id.unwrap().len(), 22);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_with_single_use_assertions_denies_the_second_use() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let once =
        tegata_store::ChannelPatch { single_use_assertions: Some(true), ..Default::default() };
    world.change(&shop, once).await;
    for path in ["/oauth2/v2.1/token", "/oauth2/v3/token"] {
        let mut claims = shop.claims(world.now());
        claims["jti"] = json!(path);
        let assertion = shop.sign(&claims);
        let fields = by_assertion(&assertion);
        world.post(path, &fields).await.token();
        let again = world.post(path, &fields).await;
        assert_eq!((again.status, &again.json()["error"]), (400, &json!("invalid_client")));
    }
}

/// A path, the fields posted to it, and the body of the 400.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_answered_in_lines_words() {
    const V21: &str = "/oauth2/v2.1/token";
    const V3: &str = "/oauth2/v3/token";
    const SHORT: &str = "/v2/oauth/accessToken";
    let missing =
        r#"{"error":"invalid_request","error_description":"some parameters missed or invalid"}"#;
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let id = shop.id.to_string();
    let assertion = shop.assertion(world.now());
    let grant = ("grant_type", "client_credentials");
    let client = ("client_id", id.as_str());
    let secret = ("client_secret", shop.secret.as_str());
    let wrong_secret = ("client_secret", "0123456789abcdef0123456789abcdef");
    let [_, jwt_type, jwt] = by_assertion(&assertion);
    #[rustfmt::skip]
    let cases: &[Case<'_>] = &[
        (SHORT, &[], missing),
        (SHORT, &[client, secret], missing),
        (SHORT, &[grant, secret], missing),
        (SHORT, &[grant, client], missing),
        (SHORT, &[grant, client, ("client_secret", "")], missing),
        (SHORT, &[("grant_type", "password"), client, secret],
            r#"{"error":"unsupported_grant_type","error_description":"grant_type must be client_credentials"}"#),
        (SHORT, &[grant, client, wrong_secret],
            r#"{"error":"invalid_client","error_description":"invalid client_secret"}"#),
        (SHORT, &[grant, ("client_id", "0000000000"), secret],
            r#"{"error":"invalid_client","error_description":"invalid client_id"}"#),
        (SHORT, &[grant, ("client_id", "shop"), secret],
            r#"{"error":"invalid_request","error_description":"some parameters in the wrong format"}"#),
        (SHORT, &[grant, client, secret, secret],
            r#"{"error":"invalid_request","error_description":"a parameter is repeated"}"#),
        (SHORT, &[grant, client, secret, ("x", "1"), ("x", "2")],
            r#"{"error":"invalid_request","error_description":"a parameter is repeated"}"#),
        (SHORT, &[grant, client, secret, ("group", "no spaces")],
            r#"{"error":"invalid_request","error_description":"a group is 1 to 64 of a-z A-Z 0-9 . _ -, and not . or .."}"#),
        (V3, &[grant, client, wrong_secret],
            r#"{"error":"invalid_request","error_description":"Invalid 'client_credentials'."}"#),
        (V3, &[grant, ("client_id", "0000000000"), secret],
            r#"{"error":"invalid_request","error_description":"Invalid 'client_credentials'."}"#),
        (V3, &[grant, ("client_id", "shop"), secret],
            r#"{"error":"invalid_request","error_description":"Invalid 'client_credentials'."}"#),
        (V3, &[grant], missing),
        (V3, &[grant, client, secret, jwt_type, jwt],
            r#"{"error":"invalid_request","error_description":"send client_id and client_secret, or client_assertion_type and client_assertion, not both"}"#),
        (V3, &[grant, ("client_id", "1234567890"), jwt_type, jwt],
            r#"{"error":"invalid_client","error_description":"iss and clientId of key do not match"}"#),
        (V21, &[grant, jwt], missing),
        (V21, &[grant, jwt_type], missing),
        (V21, &[jwt_type, jwt], missing),
        (V21, &[grant, ("client_assertion_type", "jwt"), jwt],
            r#"{"error":"invalid_request","error_description":"client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}"#),
    ];
    for (path, fields, body) in cases {
        let response = world.post(path, fields).await;
        assert_eq!((response.status, &*response.text), (400, *body), "{path} {fields:?}");
        assert_eq!(response.header("content-type"), "application/json");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_unused_pair_may_be_left_empty() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let unused = [("client_assertion", ""), ("client_assertion_type", "")];
    world.stateless(&shop, &unused).await.token();
    let assertion = shop.assertion(world.now());
    let unused = [("client_id", ""), ("client_secret", "")];
    let fields = [&by_assertion(&assertion)[..], &unused].concat();
    world.post("/oauth2/v3/token", &fields).await.token();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_header_and_unknown_fields_are_ignored() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let fields = [&shop.by_secret()[..], &[("state", "x")]].concat();
    let headers = [("authorization", "Bearer nonsense")];
    world.post_with("/v2/oauth/accessToken", &headers, &fields).await.token();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_31st_v21_token_is_denied_and_the_30_stay_active() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let mut tokens = Vec::new();
    for _ in 0..30 {
        tokens.push(world.issue(&shop, Kind::V21).await);
    }
    world
        .v21(&shop, &[])
        .await
        .is(400, r#"{"message":"The maximum number of access tokens has already been issued"}"#);
    for token in &tokens {
        assert!(world.is_good(token).await);
    }
    world.revoke(&shop, &tokens[3]).await;
    world.issue(&shop, Kind::V21).await;
    assert_eq!(world.try_issue(&shop, Kind::V21).await, Err(400));
    // Other kinds are counted separately, and so are other channels.
    world.issue(&shop, Kind::ShortLived).await;
    world.issue(&world.channel("other").await, Kind::V21).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_31st_short_lived_token_evicts_the_oldest_alone() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let mut tokens = Vec::new();
    for _ in 0..31 {
        tokens.push(world.issue(&shop, Kind::ShortLived).await);
    }
    world
        .verify_opaque(&tokens[0])
        .await
        .is(400, r#"{"error":"invalid_request","error_description":"access_token invalid"}"#);
    for token in &tokens[1..] {
        assert!(world.is_good(token).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_tokens_do_not_count() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let mut claims = shop.claims(world.now());
    claims["token_exp"] = json!(1_000);
    let assertion = shop.sign(&claims);
    for _ in 0..30 {
        world.line.issue_v21(&assertion, With::default()).await.unwrap();
    }
    assert_eq!(world.try_issue(&shop, Kind::V21).await, Err(400));
    world.advance(1_000).await;
    world.issue(&shop, Kind::V21).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_of_another_type_has_no_v21_tokens() {
    let world = World::new().await;
    for of in [ChannelType::LineLogin, ChannelType::MiniApp] {
        let channel = world.channel_of("login", of).await;
        world.v21(&channel, &[]).await.is(
            400,
            r#"{"error":"unauthorized_client","error_description":"channels of this type have no v2.1 tokens"}"#,
        );
        world.issue(&channel, Kind::ShortLived).await;
        world.issue(&channel, Kind::Stateless).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_channel_gets_the_answer_to_a_wrong_credential() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let kept = world.issue(&shop, Kind::ShortLived).await;
    world.set_state(&shop, ChannelState::Suspended).await;
    let wrong = Channel { secret: "x".repeat(32), ..shop_like(&shop) };
    let same =
        |a: HttpResponse, b: HttpResponse| assert_eq!((a.status, a.text), (b.status, b.text));
    same(world.short_lived(&shop, &[]).await, world.short_lived(&wrong, &[]).await);
    same(world.stateless(&shop, &[]).await, world.stateless(&wrong, &[]).await);
    let assertion = shop.assertion(world.now());
    let (signed, _) = assertion.rsplit_once('.').unwrap();
    let unsigned = format!("{signed}.{}", "A".repeat(342));
    same(
        world.post("/oauth2/v2.1/token", &by_assertion(&assertion)).await,
        world.post("/oauth2/v2.1/token", &by_assertion(&unsigned)).await,
    );
    same(world.revoke_jws(&shop, "a.b.c").await, world.revoke_jws(&wrong, "a.b.c").await);
    assert!(!world.is_good(&kept).await);
    world.set_state(&shop, ChannelState::Active).await;
    assert!(world.is_good(&kept).await);
    world.issue(&shop, Kind::ShortLived).await;
}

fn shop_like(shop: &Channel) -> Channel {
    Channel { id: shop.id, secret: shop.secret.clone(), kid: shop.kid }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_secret_is_accepted_at_once_and_the_previous_one_until_its_time() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let new = world.replace_secret(shop.id, 600).await;
    let new = Channel { secret: new.reveal().to_owned(), ..shop_like(&shop) };
    world.issue(&shop, Kind::ShortLived).await;
    world.issue(&new, Kind::ShortLived).await;
    world.advance(600).await;
    assert_eq!(world.try_issue(&shop, Kind::ShortLived).await, Err(400));
    world.issue(&new, Kind::ShortLived).await;
}

// ---- Idempotency-Key

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_under_the_same_key_gets_the_same_token() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let group = "a".parse().unwrap();
    let ask = async |group| {
        let with = With { group, idempotency_key: Some("order 66") };
        let issued = world.issue_with(&shop, Kind::ShortLived, with).await.unwrap();
        (issued.token.reveal().to_owned(), issued.expires_in)
    };
    let (first, _) = ask(None).await;
    world.advance(100).await;
    let (again, left) = ask(None).await;
    assert_eq!(first, again);
    assert!((2_592_000 - 110..=2_592_000 - 100).contains(&left), "{left}");
    assert_ne!(world.issue(&shop, Kind::ShortLived).await, first);
    // The key is scoped to channel, kind and group.
    assert_ne!(ask(Some(&group)).await.0, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_under_one_key_yield_one_token() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let ask = || world.issue_once(&shop, Kind::ShortLived, "k");
    let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
    let tokens = HashSet::from([a, b, c, d]);
    assert_eq!(tokens.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_token_is_revoked_or_expired_is_409_and_other_parameters_are_422() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let key = [("idempotency-key", "k")];
    let short = async || world.post_with("/v2/oauth/accessToken", &key, &shop.by_secret()).await;
    let token = short().await.token();
    world.revoke(&shop, &token).await;
    let revoked = short().await;
    assert_eq!(revoked.status, 409);
    assert!(revoked.json()["message"].is_string());

    let v21 = async |life: i64| {
        let mut claims = shop.claims(world.now());
        claims["token_exp"] = json!(life);
        let assertion = shop.sign(&claims);
        world.post_with("/oauth2/v2.1/token", &key, &by_assertion(&assertion)).await
    };
    let first = v21(1_000).await;
    assert_eq!(v21(1_000).await.token(), first.token());
    let other = v21(2_000).await;
    assert_eq!(other.status, 422);
    assert!(other.json()["message"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_is_one_header_of_1_to_255_printable_characters() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let ask = async |headers: &[(&str, &str)]| {
        world.post_with("/v2/oauth/accessToken", headers, &shop.by_secret()).await.status
    };
    assert_eq!(ask(&[("idempotency-key", &"x".repeat(255))]).await, 200);
    assert_eq!(ask(&[("idempotency-key", &"x".repeat(256))]).await, 400);
    assert_eq!(ask(&[("idempotency-key", "")]).await, 400);
    assert_eq!(ask(&[("idempotency-key", "schlüssel")]).await, 400);
    assert_eq!(ask(&[("idempotency-key", "a"), ("idempotency-key", "a")]).await, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn stateless_issues_ignore_the_idempotency_key() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let ask = || world.issue_once(&shop, Kind::Stateless, "k");
    assert_ne!(ask().await, ask().await);
}

// ---- limits

#[tokio::test(flavor = "multi_thread")]
async fn the_eleventh_wrong_secret_is_429_and_the_right_one_never() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let wrong = Channel { secret: "wrong".into(), ..shop_like(&shop) };
    for _ in 0..10 {
        assert_eq!(world.try_issue(&wrong, Kind::ShortLived).await, Err(400));
    }
    let throttled = world.short_lived(&wrong, &[]).await;
    throttled.is(429, r#"{"message":"The API rate limit has been exceeded. Try again later."}"#);
    assert!((1..=60).contains(&throttled.header("retry-after").parse::<i64>().unwrap()));
    world.issue(&shop, Kind::ShortLived).await;
    assert_eq!(world.revoke_jws(&wrong, "a.b.c").await.status, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn issuing_faster_than_the_rate_is_429_and_wrong_secrets_do_not_count() {
    let rate = |rate| std::num::NonZeroU32::new(rate).unwrap();
    let slow = tegata_server::Rates { short_lived: rate(2), other: rate(1), ..Default::default() };
    let world = World::with(|settings| settings.rates = slow).await;
    let shop = world.channel("shop").await;
    let wrong = Channel { secret: "wrong".into(), ..shop_like(&shop) };
    for _ in 0..3 {
        assert_eq!(world.try_issue(&wrong, Kind::ShortLived).await, Err(400));
    }
    world.issue(&shop, Kind::ShortLived).await;
    world.issue(&shop, Kind::ShortLived).await;
    // A refill takes half a second; a few requests are faster.
    let mut last = world.short_lived(&shop, &[]).await;
    for _ in 0..20 {
        if last.status == 429 {
            break;
        }
        last = world.short_lived(&shop, &[]).await;
    }
    last.is(429, r#"{"message":"The API rate limit has been exceeded. Try again later."}"#);
    assert_eq!(last.header("retry-after"), "1");
    world.issue(&shop, Kind::Stateless).await;
}
