//! `/gateway/verify`.

use crate::world::{HttpResponse, World};
use reqwest::Method;
use tegata_token::{kind::Kind, view::ChannelState};

const BAD: &str = r#"{"message":"Authentication failed. Confirm that the access token in the authorization header is valid."}"#;
const HOW: &str = r#"{"message":"Authorization header required. Must follow the scheme, 'Authorization: Bearer <ACCESS TOKEN>'"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_active_token_of_any_kind_is_described_in_headers() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let v21 = world.v21(&shop, &[]).await;
    let stateless = world.stateless(&shop, &[("group", "team")]).await;
    let short = world.short_lived(&shop, &[]).await;
    for (issued, kind, group) in
        [(&v21, "v2.1", ""), (&stateless, "stateless", "team"), (&short, "short-lived", "")]
    {
        let response = world.gateway(&issued.token(), "").await;
        response.is(200, "");
        assert_eq!(response.header("x-tegata-channel"), shop.id.to_string());
        assert_eq!(response.header("x-tegata-kind"), kind);
        // Present without a group, too: a proxy overwrites with it what a client sent.
        assert_eq!(response.headers.get("x-tegata-group").unwrap(), group);
        assert_eq!(response.header("x-tegata-token-id").len(), 22);
        let left: i64 = response.header("x-tegata-expires-in").parse().unwrap();
        let life = issued.json()["expires_in"].as_i64().unwrap();
        assert!((life - 5..=life).contains(&left));
    }
    let id = world.gateway(&v21.token(), "").await;
    assert_eq!(id.header("x-tegata-token-id"), v21.json()["key_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_method_is_that_of_the_request_that_the_proxy_forwards() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let bearer = format!("Bearer {}", world.issue(&shop, Kind::ShortLived).await);
    let headers = [("authorization", bearer.as_str())];
    for method in [Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let response = world.send(method.clone(), "/gateway/verify", &headers, String::new()).await;
        assert_eq!(
            (response.status, response.header("x-tegata-kind")),
            (200, "short-lived"),
            "{method}"
        );
        let response = world.send(method.clone(), "/gateway/verify", &[], String::new()).await;
        assert_eq!(response.status, 401, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_request_is_401_with_a_challenge() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.issue(&shop, Kind::ShortLived).await;
    let bearer = format!("Bearer {token}");
    let no_space = format!("Bearer{token}");
    let basic = format!("Basic {token}");
    let cases: [(&[(&str, &str)], &str); 8] = [
        (&[], HOW),
        (&[("authorization", "")], HOW),
        (&[("authorization", "Bearer")], HOW),
        (&[("authorization", "Bearer ")], HOW),
        (&[("authorization", &no_space)], HOW),
        (&[("authorization", &basic)], HOW),
        (&[("authorization", &bearer), ("authorization", &bearer)], HOW),
        (&[("authorization", "Bearer junk")], BAD),
    ];
    for (headers, body) in cases {
        let response = world.get_with("/gateway/verify", headers).await;
        response.is(401, body);
        assert_eq!(response.header("www-authenticate"), r#"Bearer error="invalid_token""#);
        assert_eq!(response.header("x-tegata-channel"), "");
        repeats_its_message(&response);
    }
    let lower = format!("bearer {token}");
    let headers = [("authorization", lower.as_str())];
    assert_eq!(world.get_with("/gateway/verify", &headers).await.status, 200);
    world.set_state(&shop, ChannelState::Suspended).await;
    world.gateway(&token, "").await.is(401, BAD);
    world.set_state(&shop, ChannelState::Active).await;
    world.revoke(&shop, &token).await;
    world.gateway(&token, "").await.is(401, BAD);
    let long = world.gateway(&"x".repeat(8_193), "").await;
    assert_eq!(long.status, 400);
    repeats_its_message(&long);
    world.gateway(&"x".repeat(8_192), "").await.is(401, BAD);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_narrows_what_is_let_through_and_must_be_valid() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let id = shop.id;
    let token = world.issue_to(&shop, Kind::ShortLived, "a").await;
    let plain = world.issue(&shop, Kind::Stateless).await;
    let through = [
        "?".to_owned(),
        "?kind=short-lived".into(),
        "?kind=v2.1&kind=short-lived".into(),
        format!("?channel={id}"),
        format!("?channel=0000000000&channel={id}&group=b&group=a&kind=short-lived"),
    ];
    for query in through {
        assert_eq!(world.gateway(&token, &query).await.status, 200, "{query}");
    }
    let kept_out = [
        "?kind=stateless".to_owned(),
        "?channel=0000000000".into(),
        "?group=b".into(),
        format!("?channel={id}&group=b"),
    ];
    for query in kept_out {
        let response = world.gateway(&token, &query).await;
        response.is(403, r#"{"message":"Access Denied"}"#);
        repeats_its_message(&response);
    }
    assert_eq!(world.gateway(&plain, "?group=a").await.status, 403);
    for query in
        ["?chanel=1", "?kind=", "?kind=short_lived", "?channel=1", "?group=a%20b", "?group=%ff"]
    {
        let response = world.gateway(&token, query).await;
        assert_eq!(response.status, 400, "{query}");
        repeats_its_message(&response);
    }
    // The query applies last: an invalid token is 401, whatever the query is.
    assert_eq!(world.gateway("junk", "?kind=v2.1").await.status, 401);
}

/// Asserts that a proxy can build the body from the header: it is the message in quotes,
/// without any escape.
#[track_caller]
fn repeats_its_message(response: &HttpResponse) {
    let message = response.header("x-tegata-message");
    assert_eq!(response.text, format!(r#"{{"message":"{message}"}}"#));
}
