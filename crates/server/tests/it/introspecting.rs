//! Introspection by a channel's assertion.

use crate::{
    assertions::wrong_ones,
    world::{Channel, HttpResponse, World, by_assertion},
};
use tegata_store::ChannelPatch;
use tegata_token::{kind::Kind, view::ChannelState};

const PATH: &str = "/oauth2/introspect";

async fn about(world: &World, assertion: &str, token: &str) -> HttpResponse {
    about_with(world, assertion, &[("token", token)]).await
}

async fn about_with(world: &World, assertion: &str, more: &[(&str, &str)]) -> HttpResponse {
    world.post(PATH, &[&by_assertion(assertion)[1..], more].concat()).await
}

#[track_caller]
fn is_active(response: &HttpResponse) -> bool {
    assert_eq!(response.status, 200, "{}", response.text);
    assert_eq!(response.header("cache-control"), "no-store");
    response.json()["active"].as_bool().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_learns_about_the_tokens_that_its_key_may_list() {
    let world = World::new().await;
    let (shop, other) = (world.channel("shop").await, world.channel("other").await);
    let now = world.now();
    let own = shop.assertion(now);
    let of_team = world.assertion_of_group(&shop, "team").await;
    let [plain, foreign] =
        [world.issue(&shop, Kind::V21).await, world.issue(&other, Kind::V21).await];
    let team = world.issue_to(&shop, Kind::ShortLived, "team").await;
    let crew = world.issue_to(&shop, Kind::Stateless, "crew").await;
    for (token, by_own, by_team) in [
        (&plain, true, false),
        (&team, true, true),
        (&crew, true, false),
        (&foreign, false, false),
        (&"tgs_none".to_owned(), false, false),
    ] {
        assert_eq!(is_active(&about(&world, &own, token).await), by_own, "{token}");
        assert_eq!(is_active(&about(&world, &of_team, token).await), by_team, "{token}");
    }
    world.revoke(&shop, &plain).await;
    assert!(!is_active(&about(&world, &own, &plain).await));
    // It names its channel, which `client_id` may repeat.
    let id = shop.id.to_string();
    let with_id = about_with(&world, &own, &[("token", &team), ("client_id", &id)]).await;
    assert!(is_active(&with_id));
    // It is not used up: neither here nor where each assertion issues one token only.
    let patch = ChannelPatch { single_use_assertions: Some(true), ..ChannelPatch::default() };
    world.change(&shop, patch).await;
    assert!(is_active(&about(&world, &own, &team).await));
    world.post("/oauth2/v2.1/token", &by_assertion(&own)).await.token();
    assert!(is_active(&about(&world, &own, &team).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_may_follow_lines_page_or_rfc_7523_and_its_error_is_named() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.issue(&shop, Kind::ShortLived).await;
    let now = world.now();
    let mut allowed = 0;
    for (assertion, words) in wrong_ones(&shop, now) {
        let response = about(&world, &assertion, &token).await;
        // It is of no meaning here, as for all operations but issuing v2.1 tokens; and RFC 7523
        // allows a longer `exp`, and one with a fraction.
        if words == "Invalid token_exp"
            || (words.starts_with("Invalid exp") && response.status == 200)
        {
            assert!(is_active(&response));
            allowed += 1;
            continue;
        }
        denied(&response, words);
    }
    assert_eq!(allowed, 7);
    let good = shop.assertion(now);
    let more = [("token", &*token), ("client_id", "0000000000")];
    denied(&about_with(&world, &good, &more).await, "client_id is not");
    let kid = world.channel("other").await.kid;
    let unknown = Channel { kid, id: shop.id, secret: String::new() };
    denied(&about(&world, &unknown.assertion(now), &token).await, "the channel that iss names");
    world.set_state(&shop, ChannelState::Suspended).await;
    denied(&about(&world, &good, &token).await, "Invalid signature");
    world.set_state(&shop, ChannelState::Deleted).await;
    denied(&about(&world, &good, &token).await, "the channel that iss names");
}

#[track_caller]
fn denied(response: &HttpResponse, words: &str) {
    let body = response.json();
    assert_eq!((response.status, body["error"].as_str()), (401, Some("invalid_client")), "{words}");
    assert_eq!(response.header("cache-control"), "no-store");
    assert_eq!(response.header("www-authenticate"), "", "the description is for the client");
    let description = body["error_description"].as_str().unwrap();
    assert!(description.starts_with(words), "{description} instead of {words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_authenticates_once() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.issue(&shop, Kind::ShortLived).await;
    let assertion = shop.assertion(world.now());
    let by_assertion = by_assertion(&assertion);
    let by_secret = shop.by_secret();
    let token = [("token", &*token)];
    let both = [&by_assertion[1..], &by_secret[1..], &token].concat();
    let bearer = [("authorization", "Bearer tgv_x")];
    for (headers, fields) in [
        (&[][..], both),
        (&bearer, [&by_assertion[1..], &token].concat()),
        (&bearer, [&by_secret[1..], &token].concat()),
        (&[], [&by_assertion[1..2], &token].concat()),
        (&[], [&by_assertion[2..], &token].concat()),
        (&[], [&[("client_assertion_type", "jwt"), by_assertion[2]], &token[..]].concat()),
        (&[], by_assertion[1..].to_vec()),
    ] {
        let response = world.post_with(PATH, headers, &fields).await;
        let body = response.json();
        assert_eq!((response.status, &body["error"]), (400, &"invalid_request".into()), "{body}");
        assert_eq!(response.header("cache-control"), "no-store");
    }
}
