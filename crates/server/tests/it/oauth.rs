//! OAuth's endpoints, to the letter: statuses, errors, headers and which credential does what.

use crate::world::{Channel, HttpResponse, JWT_BEARER, World, form_of, sign};
use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicUsize, Ordering},
};
use tegata_policy::rules::ChannelType;
use tegata_store::ChannelPatch;
use tegata_token::{kind::Kind, view::ChannelState};

const TOKEN: &str = "/oauth2/token";
const INTROSPECT: &str = "/oauth2/introspect";
const REVOKE: &str = "/oauth2/revoke";
const GRANT: (&str, &str) = ("grant_type", "client_credentials");
const BEARER_GRANT: (&str, &str) = ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

/// An assertion that a client signs who has read RFC 7523 alone.
fn assertion(world: &World, shop: &Channel, changed: Value) -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let mut claims = json!({
        "iss": shop.id, "sub": shop.id, "aud": world.authority().issuer(),
        "exp": world.now() + 60, "jti": NUMBER.fetch_add(1, Ordering::Relaxed).to_string(),
    });
    for (name, value) in changed.as_object().unwrap() {
        claims[name] = value.clone();
    }
    sign(&json!({ "alg": "RS256" }), &claims)
}

fn by(assertion: &str) -> [(&str, &str); 2] {
    [("client_assertion_type", JWT_BEARER), ("client_assertion", assertion)]
}

impl World {
    /// Posts a form with Basic authentication.
    async fn post_basic(
        &self,
        path: &str,
        (name, password): (&str, &str),
        fields: &[(&str, &str)],
    ) -> HttpResponse {
        self.post_with(path, &[("authorization", &basic(name, password))], fields).await
    }

    async fn is_active(&self, shop: &Channel, token: &str) -> bool {
        let id = shop.id.to_string();
        let answer = self.post_basic(INTROSPECT, (&id, &shop.secret), &[("token", token)]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["active"].as_bool().unwrap()
    }
}

/// Asserts an error of OAuth's form, with the headers that each has.
#[track_caller]
fn refused(response: &HttpResponse, status: u16, error: &str) -> String {
    let body = response.json();
    assert_eq!((response.status, &body["error"]), (status, &json!(error)), "{body}");
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
    assert_eq!(response.header("content-type"), "application/json");
    uncached(response);
    let words = body["error_description"].as_str().unwrap().to_owned();
    let allowed = |it: char| matches!(it, ' '..='!' | '#'..='[' | ']'..='~');
    assert!(!words.is_empty() && words.chars().all(allowed), "RFC 6749, section 5.2: {words}");
    words
}

#[track_caller]
fn uncached(response: &HttpResponse) {
    assert_eq!(response.header("cache-control"), "no-store");
    assert_eq!(response.header("pragma"), "no-cache");
}

/// Asserts a response with a token; its lifetime and scope.
#[track_caller]
fn issued(response: &HttpResponse) -> (String, i64, String) {
    let token = response.token();
    uncached(response);
    let body = response.json();
    assert_eq!((&body["token_type"], body.as_object().unwrap().len()), (&json!("Bearer"), 4));
    let scope = body["scope"].as_str().unwrap().to_owned();
    (token, body["expires_in"].as_i64().unwrap(), scope)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_names_endpoints_that_exist_and_ways_that_work() {
    let world = World::new().await;
    let response = world.get("/.well-known/oauth-authorization-server").await;
    assert_eq!((response.status, response.header("content-type")), (200, "application/json"));
    assert!(response.header("cache-control").starts_with("public, max-age="));
    let metadata = response.json();
    let issuer = format!("http://{}", world.running().address);
    assert_eq!(metadata["issuer"], issuer);
    for (member, path) in [
        ("token_endpoint", TOKEN),
        ("introspection_endpoint", INTROSPECT),
        ("revocation_endpoint", REVOKE),
    ] {
        assert_eq!(metadata[member], format!("{issuer}{path}"));
        let got = world.get(path).await;
        assert_eq!((got.status, got.header("allow")), (405, "POST"), "{path}");
    }
    let keys = metadata["jwks_uri"].as_str().unwrap().strip_prefix(&issuer).unwrap();
    assert_eq!(world.get(keys).await.json()["keys"][0]["alg"], "EdDSA");
    for (member, list) in metadata.as_object().unwrap() {
        let is_empty = list.as_array().is_some_and(Vec::is_empty);
        assert!(!is_empty, "RFC 8414, section 3.2: {member} must be left out");
    }
    let world = World::with(|it| it.public_url = Some("https://tokens.example/".into())).await;
    let metadata = world.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(metadata["issuer"], "https://tokens.example");
    assert_eq!(metadata["token_endpoint"], "https://tokens.example/oauth2/token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_issued_for_each_way_to_authenticate() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let id = shop.id.to_string();
    let secret = &*shop.secret;
    // RFC 6749, section 2.3.1: both are form-encoded first, and so may be escaped as a whole.
    let escaped = |text: &str| text.bytes().map(|it| format!("%{it:02x}")).collect::<String>();
    let (hidden_id, hidden) = (escaped(&id), escaped(secret));
    let own = assertion(&world, &shop, json!({}));
    let mut tokens = Vec::new();
    for response in [
        world.post_basic(TOKEN, (&id, secret), &[GRANT]).await,
        world.post_basic(TOKEN, (&hidden_id, &hidden), &[GRANT]).await,
        world.post_basic(TOKEN, (&id, secret), &[GRANT, ("client_id", &id)]).await,
        world.post(TOKEN, &[GRANT, ("client_id", &id), ("client_secret", secret)]).await,
        world.post(TOKEN, &[&[GRANT][..], &by(&own)[..]].concat()).await,
        world.post(TOKEN, &[&[GRANT, ("client_id", &id)][..], &by(&own)[..]].concat()).await,
        world.post(TOKEN, &[BEARER_GRANT, ("assertion", &own)]).await,
        world.post(TOKEN, &[BEARER_GRANT, ("assertion", &own), ("client_id", &id)]).await,
        world.post_basic(TOKEN, (&id, secret), &[BEARER_GRANT, ("assertion", &own)]).await,
        world
            .post(TOKEN, &[&[BEARER_GRANT, ("assertion", &own)][..], &by(&own)[..]].concat())
            .await,
        // Unknown and empty parameters are ignored.
        world.post_basic(TOKEN, (&id, secret), &[GRANT, ("resource", "x"), ("kind", "")]).await,
    ] {
        let (token, expires_in, scope) = issued(&response);
        assert_eq!((expires_in, &*scope), (900, "profile chat_message.write"));
        assert!(world.is_good(&token).await && world.is_active(&shop, &token).await);
        tokens.push(token);
    }
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), 11, "each is another token");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kind_decides_which_credential_is_needed() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let id = shop.id.to_string();
    let secret = (&*id, &*shop.secret);
    let v21 = assertion(&world, &shop, json!({ "token_exp": 3_600 }));
    let plain = assertion(&world, &shop, json!({}));
    let of_kind = |kind: &'static str| [GRANT, ("kind", kind)];
    let with = |it: &'static str, more: &[(&'static str, &'static str)], own| {
        [&of_kind(it)[..], more, &by(own)].concat()
    };
    let hour = with("v2.1", &[], &v21);
    let (token, expires_in, scope) = issued(&world.post(TOKEN, &hour).await);
    assert_eq!((expires_in, &*scope), (3_600, "profile chat_message.write"));
    assert!(world.is_good(&token).await);
    let beside = with("v2.1", &[("token_exp", "60")], &plain);
    assert_eq!(issued(&world.post(TOKEN, &beside).await).1, 60);
    let grant = [BEARER_GRANT, ("assertion", &v21), ("kind", "v2.1")];
    assert_eq!(issued(&world.post(TOKEN, &grant).await).1, 3_600);
    assert_eq!(issued(&world.post_basic(TOKEN, secret, &grant).await).1, 3_600);
    let short = world.post_basic(TOKEN, secret, &of_kind("short-lived")).await;
    let (token, expires_in, scope) = issued(&short);
    assert_eq!((expires_in, &*scope), (30 * 86_400, "P CM"));
    assert!(token.starts_with("tgs_") && world.is_good(&token).await);
    // `token_exp` matters to v2.1 alone.
    let ignored = with("stateless", &[("token_exp", "x")], &plain);
    assert_eq!(issued(&world.post(TOKEN, &ignored).await).1, 900);
    for (fields, error) in [
        (with("v2.1", &[], &plain), "invalid_request"),
        (with("v2.1", &[("token_exp", "0")], &plain), "invalid_request"),
        (with("v2.1", &[("token_exp", "1.5")], &plain), "invalid_request"),
        (with("v2.1", &[("token_exp", "60")], &v21), "invalid_request"),
        (with("v2", &[], &v21), "invalid_request"),
        (with("short-lived", &[], &v21), "unauthorized_client"),
        (with("long-lived", &[], &v21), "unauthorized_client"),
    ] {
        refused(&world.post(TOKEN, &fields).await, 400, error);
    }
    for (kind, error) in [
        ("v2.1", "unauthorized_client"),
        ("long-lived", "unauthorized_client"),
        ("x", "invalid_request"),
    ] {
        refused(&world.post_basic(TOKEN, secret, &of_kind(kind)).await, 400, error);
    }
    let login = world.channel_of("login", ChannelType::LineLogin).await;
    let own = assertion(&world, &login, json!({ "token_exp": 60 }));
    refused(&world.post(TOKEN, &with("v2.1", &[], &own)).await, 400, "unauthorized_client");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_client_is_401_and_challenged_if_it_tried_authorization() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let id = shop.id.to_string();
    let challenge = r#"Basic realm="tegata", charset="UTF-8""#;
    for path in [TOKEN, REVOKE, INTROSPECT] {
        let more = [GRANT, ("token", "tgs_none")];
        let wrong = |response: HttpResponse, challenge: &str| {
            refused(&response, 401, "invalid_client");
            assert_eq!(response.header("www-authenticate"), challenge, "{path}");
            response.text
        };
        let guess = wrong(world.post_basic(path, (&id, "0"), &more).await, challenge);
        let unknown =
            wrong(world.post_basic(path, ("0000000000", &shop.secret), &more).await, challenge);
        assert_eq!(guess, unknown, "a channel that exists is answered like one that does not");
        wrong(world.post_basic(path, ("x", "y"), &more).await, challenge);
        let with = |value: &'static str| [("authorization", value)];
        for malformed in ["Basic", "Basic !", "Basic eA=="] {
            let response = world.post_with(path, &with(malformed), &more).await;
            let bearer = path == INTROSPECT && malformed == "Basic";
            let bearer_challenge = r#"Bearer realm="tegata", error="invalid_token""#;
            wrong(response, if bearer { bearer_challenge } else { challenge });
        }
        let in_form = [&more[..], &[("client_id", &id), ("client_secret", "0")]].concat();
        wrong(world.post(path, &in_form).await, "");
        let forged = assertion(&world, &shop, json!({ "exp": 1 }));
        let text = wrong(world.post(path, &[&more[..], &by(&forged)[..]].concat()).await, "");
        assert!(text.contains("Invalid exp"), "{text}");
        let own = assertion(&world, &shop, json!({}));
        let other = [&more[..], &[("client_id", "1234567890")], &by(&own)].concat();
        wrong(world.post(path, &other).await, "");
        // Neither a channel's id alone, nor another token, nor one in the address.
        let none = if path == INTROSPECT { r#"Bearer realm="tegata""# } else { challenge };
        wrong(world.post(path, &more).await, none);
        wrong(world.post(path, &[&more[..], &[("client_id", &id)]].concat()).await, none);
        let query =
            format!("{path}?{}", form_of(&[("client_id", &id), ("client_secret", &shop.secret)]));
        wrong(world.post(&query, &more).await, none);
        let token = world.issue(&shop, Kind::ShortLived).await;
        let access = format!("Bearer {token}");
        let response = world.post_with(path, &[("authorization", &access)], &more).await;
        assert_eq!(response.status, 401, "an access token authenticates no client");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_request_is_named() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let id = shop.id.to_string();
    let secret = (&*id, &*shop.secret);
    let own = assertion(&world, &shop, json!({}));
    let own = by(&own);
    for path in [TOKEN, REVOKE, INTROSPECT] {
        let more = [GRANT, ("token", "tgs_none")];
        let in_form = [("client_id", &*id), ("client_secret", &*shop.secret)];
        for (headers, fields) in [
            (Some(basic(&id, &shop.secret)), [&more[..], &in_form[..]].concat()),
            (Some(basic(&id, &shop.secret)), [&more[..], &own[..]].concat()),
            (Some(basic(&id, &shop.secret)), [&more[..], &[("client_id", "1234567890")]].concat()),
            (Some("Bearer x".to_owned()), [&more[..], &own[..]].concat()),
            (None, [&more[..], &in_form[..], &own].concat()),
            (None, [&more[..], &own[..1]].concat()),
            (None, [&more[..], &own[1..]].concat()),
            (None, [&more[..], &[("client_assertion_type", "jwt"), own[1]]].concat()),
            (None, [&more[..], &in_form[1..]].concat()),
            (None, [&more[..], &more[..1]].concat()),
            (Some(basic(&id, &shop.secret)), [&more[..], &more[1..]].concat()),
        ] {
            let headers: Vec<_> = headers.iter().map(|it| ("authorization", &**it)).collect();
            let response = world.post_with(path, &headers, &fields).await;
            refused(&response, 400, "invalid_request");
            assert_eq!(response.header("www-authenticate"), "");
        }
        let json = [("content-type", "application/json")];
        let response = world.send(Method::POST, path, &json, "{}".to_owned()).await;
        refused(&response, 400, "invalid_request");
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let response = world.send(Method::POST, path, &form, "token=%zz".to_owned()).await;
        refused(&response, 400, "invalid_request");
        let response = world.send(Method::POST, path, &form, "a".repeat(70_000)).await;
        assert_eq!((response.status, &response.json()["error"]), (413, &json!("invalid_request")));
    }
    for path in [REVOKE, INTROSPECT] {
        let longest = "t".repeat(8 * 1024);
        for fields in [&[][..], &[("token", "")], &[("token", &*format!("{longest}t"))]] {
            refused(&world.post_basic(path, secret, fields).await, 400, "invalid_request");
        }
        assert_eq!(world.post_basic(path, secret, &[("token", &longest)]).await.status, 200);
    }
    let named = async |fields: &[(&str, &str)], error| {
        refused(&world.post_basic(TOKEN, secret, fields).await, 400, error)
    };
    named(&[], "invalid_request").await;
    for other in ["password", "authorization_code", "refresh_token", "Client_Credentials"] {
        named(&[("grant_type", other)], "unsupported_grant_type").await;
    }
    named(&[BEARER_GRANT], "invalid_request").await;
    named(&[GRANT, ("group", "..")], "invalid_request").await;
    for scope in ["openid", "profile openid", "profile  chat_message.write", "P", "\""] {
        named(&[GRANT, ("scope", scope)], "invalid_scope").await;
    }
    for scope in ["profile", "chat_message.write profile", ""] {
        let response = world.post_basic(TOKEN, secret, &[GRANT, ("scope", scope)]).await;
        assert_eq!(issued(&response).2, "profile chat_message.write");
    }
    named(&[GRANT, ("kind", "short-lived"), ("scope", "profile")], "invalid_scope").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_assertion_is_401_as_authentication_and_400_as_grant() {
    let world = World::new().await;
    let (shop, other) = (world.channel("shop").await, world.channel("other").await);
    let id = shop.id.to_string();
    let issuer = world.authority().issuer().to_owned();
    let foreign = Channel { id: shop.id, secret: String::new(), kid: other.kid };
    let wrong = |changed| assertion(&world, &shop, changed);
    for (bad, words) in [
        (wrong(json!({ "aud": "https://api.line.me/" })), "Invalid aud"),
        (wrong(json!({ "aud": [] })), "Invalid aud"),
        (wrong(json!({ "aud": "https://other.example/oauth2/token" })), "Invalid aud"),
        (wrong(json!({ "exp": world.now() })), "Invalid exp"),
        (wrong(json!({ "exp": world.now() + 3_700 })), "Invalid exp"),
        (wrong(json!({ "nbf": world.now() + 100 })), "Invalid nbf"),
        (wrong(json!({ "sub": "1234567890" })), "Invalid sub"),
        (wrong(json!({ "iss": "0000000000", "sub": "0000000000" })), "the channel that iss names"),
        (foreign.sign(&foreign.claims(world.now())), "the channel that iss names"),
        (format!("{}x", wrong(json!({}))), "the assertion is not a JWT"),
        ("x".to_owned(), "the assertion is not a JWT"),
        ("x".repeat(8_193), "the assertion is longer"),
    ] {
        let authenticated = world.post(TOKEN, &[&[GRANT][..], &by(&bad)[..]].concat()).await;
        let said = refused(&authenticated, 401, "invalid_client");
        assert!(said.starts_with(words), "{said} instead of {words}");
        let granted = world.post(TOKEN, &[BEARER_GRANT, ("assertion", &bad)]).await;
        assert_eq!(refused(&granted, 400, "invalid_grant"), said);
        assert_eq!(granted.header("www-authenticate"), "");
    }
    for good in [
        wrong(json!({ "aud": [format!("{issuer}/oauth2/token"), "https://other.example"] })),
        wrong(json!({ "aud": format!("{issuer}/") })),
        wrong(json!({ "exp": world.now() + 3_600 })),
        wrong(json!({ "exp": world.now() as f64 + 60.5 })),
    ] {
        issued(&world.post(TOKEN, &[&[GRANT][..], &by(&good)[..]].concat()).await);
    }
    // The grant of one channel is none of another's.
    let theirs = assertion(&world, &other, json!({}));
    let grant = [BEARER_GRANT, ("assertion", &*theirs)];
    refused(&world.post_basic(TOKEN, (&id, &shop.secret), &grant).await, 400, "invalid_grant");
    let named = [&grant[..], &[("client_id", &id)]].concat();
    refused(&world.post(TOKEN, &named).await, 400, "invalid_grant");
    refused(&world.post_basic(TOKEN, (&id, "0"), &grant).await, 401, "invalid_client");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_channel_is_answered_like_a_wrong_credential() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let id = shop.id.to_string();
    let own = assertion(&world, &shop, json!({}));
    world.set_state(&shop, ChannelState::Suspended).await;
    let right = world.post_basic(TOKEN, (&id, &shop.secret), &[GRANT]).await;
    let wrong = world.post_basic(TOKEN, (&id, "0"), &[GRANT]).await;
    refused(&right, 401, "invalid_client");
    assert_eq!(right.text, wrong.text);
    let said = refused(
        &world.post(TOKEN, &[&[GRANT][..], &by(&own)[..]].concat()).await,
        401,
        "invalid_client",
    );
    assert!(said.starts_with("Invalid signature"), "{said}");
    refused(&world.post(TOKEN, &[BEARER_GRANT, ("assertion", &own)]).await, 400, "invalid_grant");
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_retries_caps_and_single_use_are_those_of_lines_operations() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let id = shop.id.to_string();
    let secret = (&*id, &*shop.secret);
    let grouped = [GRANT, ("kind", "short-lived"), ("group", "team")];
    let (token, ..) = issued(&world.post_basic(TOKEN, secret, &grouped).await);
    let about = world.post_basic(INTROSPECT, secret, &[("token", &token)]).await.json();
    assert_eq!((&about["group"], &about["kind"]), (&json!("team"), &json!("short-lived")));
    let authorization = basic(&id, &shop.secret);
    let headers = [("authorization", &*authorization), ("idempotency-key", "k")];
    let once = async || {
        let fields = [GRANT, ("kind", "short-lived")];
        world.post_with(TOKEN, &headers, &fields).await
    };
    let (first, ..) = issued(&once().await);
    assert_eq!(issued(&once().await).0, first, "a retry gets the same token");
    world.revoke(&shop, &first).await;
    refused(&once().await, 409, "invalid_request");
    let patch = ChannelPatch { single_use_assertions: Some(true), ..ChannelPatch::default() };
    world.change(&shop, patch).await;
    let own = assertion(&world, &shop, json!({}));
    let grant = [BEARER_GRANT, ("assertion", &*own)];
    let authenticated = [&[GRANT][..], &by(&own)[..]].concat();
    issued(&world.post(TOKEN, &authenticated).await);
    refused(&world.post(TOKEN, &authenticated).await, 401, "invalid_client");
    refused(&world.post(TOKEN, &grant).await, 400, "invalid_grant");
    // It revokes, asks and authenticates still: it has issued no second token.
    let token = world.issue(&shop, Kind::ShortLived).await;
    let revoke = [&by(&own)[..], &[("token", &token)]].concat();
    assert_eq!(world.post(REVOKE, &revoke).await.status, 200);
    assert!(!world.is_good(&token).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_secrets_and_a_surge_get_429() {
    let world = World::with(|it| it.rates.surge.issues = NonZeroU32::new(1)).await;
    let (shop, fast) = (world.channel("shop").await, world.channel("fast").await);
    let id = shop.id.to_string();
    let mut guesses = Vec::new();
    for path in [TOKEN, REVOKE, INTROSPECT].into_iter().cycle().take(15) {
        guesses.push(world.post_basic(path, (&id, "0"), &[GRANT, ("token", "t")]).await);
    }
    let last = guesses.last().unwrap();
    refused(last, 429, "temporarily_unavailable");
    assert!(last.header("retry-after").parse::<u64>().unwrap() >= 1);
    let many = guesses.iter().filter(|it| it.status == 401).count();
    assert_eq!(many, 10, "the three endpoints count together");
    issued(&world.post_basic(TOKEN, (&id, &shop.secret), &[GRANT]).await);
    let id = fast.id.to_string();
    let short = [GRANT, ("kind", "short-lived")];
    issued(&world.post_basic(TOKEN, (&id, &fast.secret), &short).await);
    let second = world.post_basic(TOKEN, (&id, &fast.secret), &short).await;
    refused(&second, 429, "temporarily_unavailable");
    assert_eq!(second.header("retry-after"), "600");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_revokes_its_own_tokens_of_every_kind() {
    let world = World::new().await;
    let (shop, other) = (world.channel("shop").await, world.channel("other").await);
    let id = shop.id.to_string();
    let secret = (&*id, &*shop.secret);
    let own = shop.assertion(world.now());
    for (hint, kind) in [
        ("access_token", Kind::V21),
        ("refresh_token", Kind::Stateless),
        ("something", Kind::ShortLived),
    ] {
        let [by_basic, by_form, by_jwt] = [
            world.issue(&shop, kind).await,
            world.issue(&shop, kind).await,
            world.issue(&shop, kind).await,
        ];
        let basic = [("token", &*by_basic), ("token_type_hint", hint)];
        let form = [("token", &*by_form), ("client_id", &id), ("client_secret", &shop.secret)];
        let jwt = [&by(&own)[..], &[("token", &*by_jwt)]].concat();
        for response in [
            world.post_basic(REVOKE, secret, &basic).await,
            world.post(REVOKE, &form).await,
            world.post(REVOKE, &jwt).await,
            // Again: it is revoked already (RFC 7009, section 2.2).
            world.post_basic(REVOKE, secret, &basic).await,
        ] {
            assert_eq!((response.status, &*response.text), (200, ""));
            uncached(&response);
        }
        for token in [by_basic, by_form, by_jwt] {
            assert!(!world.is_active(&shop, &token).await && !world.is_good(&token).await);
        }
    }
    for unknown in ["tgs_none", "a.b.c", "x", &*own] {
        let response = world.post_basic(REVOKE, secret, &[("token", unknown)]).await;
        assert_eq!((response.status, &*response.text), (200, ""), "{unknown}");
    }
    // Section 2.1: another client's is refused, and stays.
    let theirs = world.issue(&other, Kind::V21).await;
    let refusal = world.post_basic(REVOKE, secret, &[("token", &theirs)]).await;
    refused(&refusal, 400, "unauthorized_client");
    assert!(world.is_good(&theirs).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_group_revokes_and_asks_for_the_group_alone() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let of_team = world.assertion_of_group(&shop, "team").await;
    let team = world.issue_to(&shop, Kind::ShortLived, "team").await;
    let crew = world.issue_to(&shop, Kind::ShortLived, "crew").await;
    let plain = world.issue(&shop, Kind::Stateless).await;
    let revoke = async |token: &str| {
        world.post(REVOKE, &[&by(&of_team)[..], &[("token", token)]].concat()).await
    };
    for token in [&crew, &plain] {
        refused(&revoke(token).await, 400, "unauthorized_client");
        assert!(world.is_good(token).await);
    }
    assert_eq!(revoke(&team).await.status, 200);
    assert!(!world.is_good(&team).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_outside_of_a_handler_has_oauths_form_too() {
    let world = World::new().await;
    let fault = async |status: u16, path: &str| {
        let body = json!({ "status": status, "path": path }).to_string();
        let json = [("content-type", "application/json")];
        assert_eq!(world.send(Method::POST, "/dev/faults", &json, body).await.status, 200);
        world.post(path, &[]).await
    };
    for path in [TOKEN, REVOKE, INTROSPECT] {
        for (status, error) in [
            (429, "temporarily_unavailable"),
            (500, "server_error"),
            (503, "temporarily_unavailable"),
        ] {
            let response = fault(status, path).await;
            assert_eq!((response.status, &response.json()["error"]), (status, &json!(error)));
            assert_eq!(response.header("retry-after").is_empty(), status == 500);
            assert!(response.header("cache-control").contains("no-store"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn introspection_by_a_channel_has_the_rate_of_verification() {
    let world = World::with(|settings| settings.rates.check = NonZeroU32::new(2)).await;
    let shop = world.channel("shop").await;
    let token = world.issue(&shop, Kind::ShortLived).await;
    let fields = [shop.by_secret()[1], shop.by_secret()[2], ("token", &*token)];
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(world.post("/oauth2/introspect", &fields).await.status);
    }
    assert_eq!(answers[..2], [200, 200]);
    assert!(answers[2..].contains(&429), "{answers:?}");
}
