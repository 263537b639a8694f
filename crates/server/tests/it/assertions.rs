//! Invalid assertions, over HTTP.

use crate::world::{Channel, World, by_assertion, sign, sign_text};
use serde_json::{Value, json};
use tegata_server::authority::admin::ActOptions;
use tegata_token::kind::Kind;

/// Assertions that break each rule in turn, and how their errors begin.
pub fn wrong_ones(shop: &Channel, now: i64) -> Vec<(String, &'static str)> {
    let claims = |member: &str, value: Value| {
        let mut claims = shop.claims(now);
        claims[member] = value;
        shop.sign(&claims)
    };
    let without = |member: &str| {
        let mut claims = shop.claims(now);
        claims.as_object_mut().unwrap().remove(member);
        shop.sign(&claims)
    };
    let header = |member: &str, value: Value| {
        let mut header = shop.header();
        header[member] = value;
        sign(&header, &shop.claims(now))
    };
    let good = shop.assertion(now);
    let (signed, _) = good.rsplit_once('.').unwrap();
    let repeated = format!(r#"{{"iss":"{0}","sub":"{0}","iss":"{0}"}}"#, shop.id);
    vec![
        (claims("exp", json!(now)), "Invalid exp"),
        (claims("exp", json!(now - 10_000)), "Invalid exp"),
        (claims("exp", json!(now + 31 * 60 + 60)), "Invalid exp: "),
        (claims("exp", json!((now + 60).to_string())), "Invalid exp: "),
        (claims("exp", json!(now as f64 + 60.5)), "Invalid exp: "),
        (without("exp"), "Invalid exp: "),
        (claims("aud", json!("https://api.line.me")), "Invalid aud"),
        (claims("aud", json!("https://example.com/")), "Invalid aud"),
        (claims("aud", json!(["https://api.line.me/"])), "Invalid aud"),
        (without("aud"), "Invalid aud"),
        (claims("sub", json!("0000000000")), "Invalid sub"),
        (without("sub"), "Invalid sub"),
        (claims("iss", json!(shop.id.number())), "Invalid iss"),
        (without("iss"), "Invalid iss"),
        (claims("nbf", json!(now + 70)), "Invalid nbf"),
        (claims("nbf", json!("0")), "Invalid nbf"),
        (claims("token_exp", json!(0)), "Invalid token_exp"),
        (claims("token_exp", json!(2_592_001)), "Invalid token_exp"),
        (claims("token_exp", json!("60")), "Invalid token_exp"),
        (claims("token_exp", json!(60.0)), "Invalid token_exp"),
        (without("token_exp"), "Invalid token_exp"),
        (header("alg", json!("RS512")), "Invalid alg"),
        (header("alg", json!("none")), "Invalid alg"),
        (header("typ", json!("jwt")), "Invalid typ"),
        (header("crit", json!(["exp"])), "Invalid crit"),
        (header("kid", json!(1)), "Invalid kid"),
        (format!("{signed}.{}", "A".repeat(342)), "Invalid signature"),
        (format!("{signed}."), "Invalid signature"),
        (sign_text(&shop.header().to_string(), &repeated), "the assertion is not a JWT"),
        ("junk".into(), "the assertion is not a JWT"),
        ("a.b.c".into(), "the assertion is not a JWT"),
        (claims("pad", json!("x".repeat(8_000))), "the assertion is longer"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_of_an_assertion_is_named() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let now = world.now();
    for (assertion, words) in wrong_ones(&shop, now) {
        let response = world.post("/oauth2/v2.1/token", &by_assertion(&assertion)).await;
        let body = response.json();
        assert_eq!((response.status, &body["error"]), (400, &json!("invalid_client")), "{words}");
        let description = body["error_description"].as_str().unwrap();
        assert!(description.starts_with(words), "{description} instead of {words}");
        assert_eq!(body.as_object().unwrap().len(), 2);
    }
    // LINE's own words appear without an addition.
    let mut expired = shop.claims(now);
    expired["exp"] = json!(now);
    let expired = shop.sign(&expired);
    let expired = world.post("/oauth2/v2.1/token", &by_assertion(&expired)).await;
    expired.is(400, r#"{"error":"invalid_client","error_description":"Invalid exp"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_need_not_be_rejected_is_accepted() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let now = world.now();
    let claims = |member: &str, value: Value| {
        let mut claims = shop.claims(now);
        claims[member] = value;
        shop.sign(&claims)
    };
    let own = format!("http://{}", world.running().address);
    for assertion in [
        claims("aud", json!(own)),
        claims("aud", json!(format!("{own}/"))),
        claims("exp", json!(now + 1_800 + 30)),
        claims("nbf", json!(now + 30)),
        claims("nbf", json!(now as f64 - 0.5)),
        claims("token_exp", json!(1)),
        claims("token_exp", json!(2_592_000)),
        claims("whatever", json!({ "a": [1] })),
    ] {
        world.post("/oauth2/v2.1/token", &by_assertion(&assertion)).await.token();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_channel_does_not_have_is_404() {
    let world = World::new().await;
    let (shop, other) = (world.channel("shop").await, world.channel("other").await);
    let unknown = r#"{"message":"Cannot find channel key that satisfies the conditions"}"#;
    let with_kid = |kid: String| {
        let mut header = shop.header();
        header["kid"] = json!(kid);
        sign(&header, &shop.claims(world.now()))
    };
    let mut elsewhere = shop.claims(world.now());
    elsewhere["iss"] = json!("0000000000");
    elsewhere["sub"] = json!("0000000000");
    for assertion in [
        with_kid("536e453c-aa93-4449-8e90-add2608783c6".into()),
        with_kid(shop.kid.to_string().to_uppercase()),
        with_kid("x".into()),
        with_kid(other.kid.to_string()),
        shop.sign(&elsewhere),
    ] {
        let fields = by_assertion(&assertion);
        world.post("/oauth2/v2.1/token", &fields).await.is(404, unknown);
        world.post("/oauth2/v3/token", &fields).await.is(404, unknown);
        world.key_ids(&assertion).await.is(404, unknown);
    }
    world.admin().delete_key(shop.id, shop.kid, false, &ActOptions::default()).await.unwrap();
    world.v21(&shop, &[]).await.is(404, unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_can_require_this_servers_own_address_as_audience() {
    let world = World::with(|settings| {
        settings.public_url = Some("https://tokens.example/".into());
    })
    .await;
    let shop = world.channel("shop").await;
    let patch = tegata_store::ChannelPatch { own_audience_only: Some(true), ..Default::default() };
    world.change(&shop, patch).await;
    assert_eq!(world.try_issue(&shop, Kind::V21).await, Err(400));
    let mut claims = shop.claims(world.now());
    claims["aud"] = json!("https://tokens.example");
    world.post("/oauth2/v2.1/token", &by_assertion(&shop.sign(&claims))).await.token();
}
