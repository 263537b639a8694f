//! The two operations that verify a token, and the list of key ids.

use crate::world::{HttpResponse, World};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use tegata_client::call::With;
use tegata_server::authority::admin::{ActOptions, Outcome};
use tegata_token::kind::Kind;

const NOT_JWS: &str =
    r#"{"error":"invalid_request","error_description":"The access token not JWS"}"#;
const MALFORMED: &str =
    r#"{"error":"invalid_request","error_description":"The access token malformed"}"#;
const REVOKED: &str =
    r#"{"error":"invalid_request","error_description":"The access token revoked"}"#;
const EXPIRED: &str =
    r#"{"error":"invalid_request","error_description":"The access token expired"}"#;
const INVALID: &str = r#"{"error":"invalid_request","error_description":"access_token invalid"}"#;
const BAD_FORMAT: &str =
    r#"{"error":"invalid_request","error_description":"access_token in invalid format"}"#;
const MISSING: &str =
    r#"{"error":"invalid_request","error_description":"some parameters missed or invalid"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_active_token_is_described_in_lines_order() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let describes = |response: HttpResponse, life: i64, scope: &str| {
        let left = response.json()["expires_in"].as_i64().unwrap();
        assert!((life - 5..=life).contains(&left), "{left}");
        let id = shop.id;
        response.is_ok_but_for(
            &[],
            &format!(r#"{{"client_id":"{id}","expires_in":{left},"scope":"{scope}"}}"#),
        );
    };
    let jws = "profile chat_message.write";
    let v21 = world.issue(&shop, Kind::V21).await;
    let stateless = world.issue(&shop, Kind::Stateless).await;
    let short = world.issue(&shop, Kind::ShortLived).await;
    describes(world.verify_jws(&v21).await, 2_592_000, jws);
    describes(world.verify_jws(&stateless).await, 900, jws);
    describes(world.verify_opaque(&short).await, 2_592_000, "P CM");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_lived_token_expires_in_a_century_which_no_i32_holds() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let token = long_lived(&world, &shop, 0).await;
    let left = world.verify(&token).await.unwrap().expires_in;
    assert!((3_155_759_990..=3_155_760_000).contains(&left), "{left}");
    // Reissued with a delay, the first one expires with the delay.
    let second = long_lived(&world, &shop, 3_600).await;
    let left = world.verify(&token).await.unwrap().expires_in;
    assert!((3_590..=3_600).contains(&left), "{left}");
    world.advance(3_600).await;
    world.verify_opaque(&token).await.is(400, INVALID);
    assert!(world.is_good(&second).await);
}

async fn long_lived(world: &World, shop: &crate::world::Channel, delay: i64) -> String {
    let issued =
        match world.admin().reissue(shop.id, delay, None, &ActOptions::default()).await.unwrap() {
            Outcome::Done(issued, _) => issued,
            Outcome::DryRun(_) => panic!("it was no dry run"),
        };
    assert_eq!(issued.reveal().len(), 172);
    issued.reveal().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_operations_form_is_a_wrong_format() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let short = world.issue(&shop, Kind::ShortLived).await;
    world.verify_jws(&short).await.is(400, NOT_JWS);
    for jws in [world.issue(&shop, Kind::V21).await, world.issue(&shop, Kind::Stateless).await] {
        world.verify_opaque(&jws).await.is(400, BAD_FORMAT);
    }
    world.advance(2_592_000).await;
    world.verify_jws(&short).await.is(400, NOT_JWS);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_token_is_rejected() {
    let world = World::new().await;
    for junk in ["junk", "tgs_", "tgs_AAAA", "a.b", "a.b.c.d", &"x".repeat(9_000), "ü"] {
        world.verify_jws(junk).await.is(400, NOT_JWS);
        world.verify_opaque(junk).await.is(400, BAD_FORMAT);
    }
    let foreign = "eyJhbGciOiJIUzI1NiJ9.eyJmb28iOjF9.c2ln";
    for broken in ["a.b.c", "..", foreign] {
        world.verify_jws(broken).await.is(400, MALFORMED);
        world.verify_opaque(broken).await.is(400, BAD_FORMAT);
    }
    world.get("/oauth2/v2.1/verify").await.is(400, MISSING);
    world.get("/oauth2/v2.1/verify?access_token=").await.is(400, MISSING);
    world.post("/v2/oauth/verify", &[]).await.is(400, MISSING);
    world.post("/v2/oauth/verify", &[("accessToken", "x")]).await.is(400, MISSING);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_change_of_a_token_makes_it_invalid() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let jws = world.issue(&shop, Kind::V21).await;
    let short = world.issue_to(&shop, Kind::ShortLived, "ab").await;
    for token in [&jws, &short] {
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            // The next character of the alphabet differs in the last bit, which is unused in the
            // last character of a part.
            changed[at] = match changed[at] {
                b'.' => b'A',
                b'A'..=b'Y' | b'a'..=b'y' | b'0'..=b'8' => changed[at] + 1,
                _ => b'a',
            };
            if changed == token.as_bytes() {
                continue;
            }
            let changed = String::from_utf8(changed).unwrap();
            let authority = world.authority();
            assert!(
                authority.verify(changed.as_bytes(), None).await.unwrap().is_err(),
                "{at} of {token}: {changed}"
            );
        }
        assert!(!world.is_good(&format!("{token}A")).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_expired_from_the_second_of_its_expiry_revoked_or_not() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let stateless = world.issue(&shop, Kind::Stateless).await;
    let revoked = world.issue(&shop, Kind::Stateless).await;
    world.revoke(&shop, &revoked).await;
    world.verify_jws(&revoked).await.is(400, REVOKED);
    world.advance(890).await;
    assert!(world.is_good(&stateless).await);
    world.advance(10).await;
    world.verify_jws(&stateless).await.is(400, EXPIRED);
    world.verify_jws(&revoked).await.is(400, EXPIRED);
    let short = world.issue(&shop, Kind::ShortLived).await;
    world.advance(2_592_000).await;
    world.verify_opaque(&short).await.is(400, INVALID);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_suspended_channel_are_answered_as_revoked() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let jws = world.issue(&shop, Kind::V21).await;
    let short = world.issue(&shop, Kind::ShortLived).await;
    world.set_state(&shop, tegata_token::view::ChannelState::Suspended).await;
    world.verify_jws(&jws).await.is(400, REVOKED);
    world.verify_opaque(&short).await.is(400, INVALID);
    world.set_state(&shop, tegata_token::view::ChannelState::Deleted).await;
    world.verify_jws(&jws).await.is(400, REVOKED);
    assert_eq!(world.try_issue(&shop, Kind::ShortLived).await, Err(400));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_with_any_content_type_is_read_by_its_query() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.issue(&shop, Kind::Stateless).await;
    let path = format!("/oauth2/v2.1/verify?access_token={token}");
    for content_type in ["application/x-www-form-urlencoded", "application/json", "nonsense"] {
        let headers = [("content-type", content_type)];
        assert_eq!(world.get_with(&path, &headers).await.status, 200);
    }
    let head = world.send(Method::HEAD, &path, &[], String::new()).await;
    head.is(200, "");
    let twice = world.get(&format!("{path}&access_token={token}")).await;
    twice.is(400, r#"{"error":"invalid_request","error_description":"a parameter is repeated"}"#);
    let torn = world.get("/oauth2/v2.1/verify?access_token=%zz").await;
    torn.is(
        400,
        r#"{"error":"invalid_request","error_description":"a parameter is not percent-encoded UTF-8"}"#,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_names_an_unknown_key_is_invalid() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let short = world.issue(&shop, Kind::ShortLived).await;
    let mut other = URL_SAFE_NO_PAD.decode(&short[4..]).unwrap();
    other[1] ^= 1;
    let other = format!("tgs_{}", URL_SAFE_NO_PAD.encode(other));
    world.verify_opaque(&other).await.is(400, INVALID);
}

// ---- key ids

#[tokio::test(flavor = "multi_thread")]
async fn the_key_ids_are_those_of_the_active_v21_tokens_oldest_first() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let assertion = shop.assertion(world.now());
    world.key_ids(&assertion).await.is(200, r#"{"kids":[]}"#);
    let mut ids = Vec::new();
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let issued = world.issue_with(&shop, Kind::V21, With::default()).await.unwrap();
        ids.push(issued.key_id.unwrap());
        tokens.push(issued.token.reveal().to_owned());
    }
    world.issue(&shop, Kind::ShortLived).await;
    assert_eq!(world.line.key_ids(&assertion).await.unwrap(), ids);
    world.revoke(&shop, &tokens[1]).await;
    ids.remove(1);
    assert_eq!(world.line.key_ids(&assertion).await.unwrap(), ids);
    world.advance(30 * 60).await;
    world
        .key_ids(&assertion)
        .await
        .is(400, r#"{"error":"invalid_client","error_description":"Invalid exp"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_groups_key_lists_that_groups_ids_and_the_channels_key_all() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let of_team = world.assertion_of_group(&shop, "team").await;
    let team = world.line.issue_v21(&of_team, With::default()).await.unwrap();
    let at_large = world.issue_with(&shop, Kind::V21, With::default()).await.unwrap();
    let (team, at_large) = (team.key_id.unwrap(), at_large.key_id.unwrap());
    assert_eq!(world.line.key_ids(&of_team).await.unwrap(), std::slice::from_ref(&team));
    let all = shop.assertion(world.now());
    assert_eq!(world.line.key_ids(&all).await.unwrap(), [team, at_large]);
}
