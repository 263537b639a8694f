//! A provider that is wrong, in one thing at a time.

use super::{begins, has_session, parameter, settings};
use crate::browser::{Browser, World};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use axum::{Json, Router, extract::State, routing};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tegata_policy::acts::Identity;
use tegata_policy::permission::OperatorRole;
use tegata_server::authority::openid_settings::{OpenIdSettings, SecondFactorFrom};

/// What the provider publishes and answers; tests change it.
struct Forged {
    metadata: Value,
    keys: Value,
    token: (u16, Value),
}

struct ForgedProvider {
    issuer: String,
    state: Arc<Mutex<Forged>>,
    key: EcdsaKeyPair,
}

impl ForgedProvider {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let metadata = json!({
            "issuer": issuer, "authorization_endpoint": format!("{issuer}/auth"),
            "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"),
            "authorization_response_iss_parameter_supported": true,
        });
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let keys = json!({ "keys": [jwk(&key, "a")] });
        let state = Arc::new(Mutex::new(Forged { metadata, keys, token: (200, json!({})) }));
        type Shared = State<Arc<Mutex<Forged>>>;
        let metadata = async |State(it): Shared| Json(it.lock().unwrap().metadata.clone());
        let keys = async |State(it): Shared| Json(it.lock().unwrap().keys.clone());
        let token = async |State(it): Shared| {
            let (status, body) = it.lock().unwrap().token.clone();
            (StatusCode::from_u16(status).unwrap(), Json(body))
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", routing::get(metadata))
            .route("/keys", routing::get(keys))
            .route("/token", routing::post(token))
            .with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { issuer, state, key }
    }

    fn changes(&self, change: impl FnOnce(&mut Forged)) {
        change(&mut self.state.lock().unwrap());
    }

    /// A server that uses it, and a browser that was sent there: what it was sent with.
    async fn world(&self) -> World {
        let second_factor = SecondFactorFrom::IdentityProvider;
        let openid = OpenIdSettings { second_factor, ..settings(&self.issuer) };
        let world = World::with(|it| it.openid = Some(openid)).await;
        let mika = world.operator("mika", OperatorRole::Administrator).await;
        let identity = Identity { issuer: self.issuer.clone(), subject: "mika-1".to_owned() };
        link(&world, &mika, identity).await;
        world
    }

    fn claims(&self, world: &World, nonce: &str, change: Value) -> Value {
        let now = world.authority().now().0;
        let mut claims = json!({
            "iss": self.issuer, "aud": "tegata", "sub": "mika-1", "nonce": nonce,
            "exp": now + 300, "iat": now,
        });
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        claims
    }

    fn answers_with(&self, id_token: String) {
        let token = json!({ "access_token": "a", "token_type": "Bearer", "id_token": id_token });
        self.changes(|it| it.token = (200, token));
    }
}

/// Links an account without a visit to the provider.
async fn link(world: &World, human: &crate::browser::Human, identity: Identity) {
    let browser = world.browser_of(human).await;
    let session = browser.cookies.lock().unwrap()["tegata-session"].clone();
    let session = tegata_policy::secret::PlainSecret::from_caller(session);
    let admin = world.authority().admin_by(&session, None).unwrap();
    let proven = tegata_server::authority::openid::ticket::Proven {
        identity,
        label: None,
        next: "/console".to_owned(),
        purpose: tegata_server::authority::openid::ticket::Purpose::Link(human.id),
        until: world.authority().now().plus(60),
    };
    admin.link_identity(proven).await.unwrap();
}

fn jwk(key: &EcdsaKeyPair, kid: &str) -> Value {
    let point = key.public_key().as_ref();
    let part = |range| URL_SAFE_NO_PAD.encode(&point[range]);
    json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": part(1..33), "y": part(33..65) })
}

fn sign(key: &EcdsaKeyPair, header: &Value, claims: &Value) -> String {
    let part = |it: &[u8]| URL_SAFE_NO_PAD.encode(it);
    let [header, claims] = [header, claims].map(|it| part(it.to_string().as_bytes()));
    let message = format!("{header}.{claims}");
    let signature = key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    format!("{message}.{}", part(signature.as_ref()))
}

/// The path of a return from the provider to which the browser was sent.
fn back(to: &str, iss: &str) -> String {
    let state = parameter(to, "state");
    format!("/console/sign-in/identity/return?code=c&state={state}&iss={iss}")
}

async fn signed_in(browser: &Browser, path: &str) -> u16 {
    let status = browser.get(path).await.status;
    assert_eq!(has_session(browser), status == 303, "{status}");
    status
}

#[tokio::test]
async fn an_id_token_of_another_sign_in_client_or_provider_signs_no_person_in() {
    let provider = ForgedProvider::start().await;
    let world = provider.world().await;
    let es256 = json!({ "alg": "ES256", "kid": "a" });
    let browser = world.browser();
    for change in [
        json!({ "nonce": "another" }),
        json!({ "iss": "https://id.example.com" }),
        json!({ "aud": "another" }),
        json!({ "azp": "another" }),
        json!({ "exp": world.authority().now().0 - 60 }),
    ] {
        let to = begins(&browser).await;
        let claims = provider.claims(&world, &parameter(&to, "nonce"), change.clone());
        provider.answers_with(sign(&provider.key, &es256, &claims));
        assert_eq!(signed_in(&browser, &back(&to, &provider.issuer)).await, 422, "{change}");
    }
    let to = begins(&browser).await;
    let claims = provider.claims(&world, &parameter(&to, "nonce"), json!({}));
    provider.answers_with(sign(&provider.key, &es256, &claims));
    assert_eq!(signed_in(&browser, &back(&to, &provider.issuer)).await, 303);
}

#[tokio::test]
async fn an_id_token_that_the_provider_did_not_sign_signs_no_person_in() {
    let provider = ForgedProvider::start().await;
    let world = provider.world().await;
    let other = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let browser = world.browser();
    for (key, header) in [
        (&other, json!({ "alg": "ES256", "kid": "a" })),
        (&other, json!({ "alg": "ES256", "kid": "b" })),
        (&other, json!({ "alg": "ES256", "kid": "a", "jwk": jwk(&other, "a") })),
        (&provider.key, json!({ "alg": "none" })),
        (&provider.key, json!({ "alg": "HS256", "kid": "a" })),
    ] {
        let to = begins(&browser).await;
        let claims = provider.claims(&world, &parameter(&to, "nonce"), json!({}));
        provider.answers_with(sign(key, &header, &claims));
        assert_eq!(signed_in(&browser, &back(&to, &provider.issuer)).await, 422, "{header}");
    }
}

#[tokio::test]
async fn a_response_of_another_provider_is_not_sent_to_this_one() {
    let provider = ForgedProvider::start().await;
    let world = provider.world().await;
    let browser = world.browser();
    let to = begins(&browser).await;
    let claims = provider.claims(&world, &parameter(&to, "nonce"), json!({}));
    provider.answers_with(sign(&provider.key, &json!({ "alg": "ES256", "kid": "a" }), &claims));
    let ticket = browser.cookies.lock().unwrap().clone();
    for wrong in ["https://other.example.com", ""] {
        *browser.cookies.lock().unwrap() = ticket.clone();
        assert_eq!(signed_in(&browser, &back(&to, wrong)).await, 422, "{wrong}");
    }
    *browser.cookies.lock().unwrap() = ticket;
    assert_eq!(signed_in(&browser, &back(&to, &provider.issuer)).await, 303);
}

#[tokio::test]
async fn a_provider_that_is_not_the_configured_one_or_sends_secrets_in_the_open_is_not_used() {
    for (name, value) in [
        ("issuer", json!("https://id.example.com")),
        ("token_endpoint", json!("http://id.example.com/token")),
        ("authorization_endpoint", json!("javascript:alert(1)")),
        ("jwks_uri", json!("file:///etc/passwd")),
        ("jwks_uri", json!(null)),
    ] {
        let provider = ForgedProvider::start().await;
        let world = provider.world().await;
        provider.changes(|it| it.metadata[name] = value.clone());
        let page = world.browser().send("/console/sign-in/identity", &[]).await;
        page.shows(503, "cannot be used at the moment");
    }
}

#[tokio::test]
async fn an_error_or_a_response_without_end_at_the_token_endpoint_signs_no_person_in() {
    let provider = ForgedProvider::start().await;
    let world = provider.world().await;
    for (status, body, expected) in [
        (500, json!({}), 503),
        (401, json!({ "error": "invalid_client" }), 503),
        (400, json!({ "error": "invalid_grant" }), 409),
        (200, json!({ "access_token": "a" }), 503),
        (200, json!({ "id_token": "x".repeat(200_000) }), 503),
        (302, json!({}), 503),
    ] {
        let browser = world.browser();
        let to = begins(&browser).await;
        provider.changes(|it| it.token = (status, body.clone()));
        let found = signed_in(&browser, &back(&to, &provider.issuer)).await;
        assert_eq!(found, expected, "{status}");
    }
}
