//! Channels, and the requests for and about their tokens.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tegata_token::claims::Claims;
use tegata_token::key::VerifyingKey;
use tegata_token::kind::{Kind, WireForm};
use tegata_token::wire::Unverified;

use crate::process::Server;
use crate::process::http::{HttpResponse, Request};
use crate::process::key::Key;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// LINE's message for a channel at its cap.
pub(crate) const FULL: &str = "The maximum number of access tokens has already been issued";

/// A Messaging API channel and all its credentials.
#[derive(Clone)]
pub(crate) struct Channel {
    pub(crate) id: String,
    pub(crate) secret: String,
    kid: String,
}

/// The parameters of an issue besides the credentials.
#[derive(Clone, Copy, Default)]
pub(crate) struct With<'a> {
    pub(crate) group: Option<&'a str>,
    pub(crate) idempotency: Option<&'a str>,
}

impl Channel {
    /// Creates a channel, and registers `key` on it.
    pub(crate) async fn create(server: &Server, provider: &str, key: &Key) -> Self {
        let path = format!("/providers/{provider}/channels");
        let body = json!({ "name": "Raced and killed", "type": "messaging-api" });
        let made = server.create(&path, body).await;
        let id = text(&made, "channel_id");
        let path = format!("/channels/{id}/assertion-keys");
        let registered = server.create(&path, json!({ "jwk": key.jwk() })).await;
        Self { id, secret: text(&made, "channel_secret"), kid: text(&registered, "kid") }
    }

    /// A unique assertion of this channel, valid for 25 minutes.
    pub(crate) fn assertion(&self, key: &Key, number: usize) -> String {
        let claims = json!({
            "iss": self.id, "sub": self.id, "aud": "https://api.line.me/",
            "exp": unix_now() + 25 * 60, "token_exp": 30 * 24 * 60 * 60, "jti": number.to_string(),
        });
        key.sign(&self.kid, &claims)
    }

    pub(crate) fn issue_v21(assertion: &str, with: With<'_>) -> Request {
        issue("/oauth2/v2.1/token", with, |form| {
            form.append_pair("client_assertion_type", ASSERTION_TYPE)
                .append_pair("client_assertion", assertion);
        })
    }

    pub(crate) fn issue_short_lived(&self, with: With<'_>) -> Request {
        issue("/v2/oauth/accessToken", with, |form| {
            form.append_pair("client_id", &self.id).append_pair("client_secret", &self.secret);
        })
    }

    pub(crate) fn issue_stateless(&self, with: With<'_>) -> Request {
        issue("/oauth2/v3/token", with, |form| {
            form.append_pair("client_id", &self.id).append_pair("client_secret", &self.secret);
        })
    }

    /// Without `delay_seconds` in the body where it is 0, its default.
    pub(crate) fn reissue_long_lived(&self, delay: u32) -> Request {
        let path = format!("/channels/{}/long-lived-token", self.id);
        let body = if delay == 0 { json!({}) } else { json!({ "delay_seconds": delay }) };
        Request::admin("POST", &path, Some(&body))
    }

    /// Revokes one token, as LINE's clients do.
    pub(crate) fn revoke(&self, token: &str) -> Request {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("access_token", token);
        if is_opaque(token) {
            return post("/v2/oauth/revoke", &[], &form.finish());
        }
        form.append_pair("client_id", &self.id).append_pair("client_secret", &self.secret);
        post("/oauth2/v2.1/revoke", &[], &form.finish())
    }

    /// Revokes tokens as administrators do; `what` is one member, as
    /// `{"kind": "short-lived"}`.
    pub(crate) fn revocation(&self, what: &Value) -> Request {
        Request::admin("POST", &format!("/channels/{}/revocations", self.id), Some(what))
    }

    /// The key ids of the active v2.1 tokens, as LINE's clients request them.
    pub(crate) async fn key_ids(&self, server: &Server, key: &Key) -> Vec<String> {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("client_assertion_type", ASSERTION_TYPE)
            .append_pair("client_assertion", &self.assertion(key, 0))
            .finish();
        let path = format!("/oauth2/v2.1/tokens/kid?{query}");
        let response = server.ask(&Request::new("GET", &path, &[], "")).await;
        assert_eq!(response.status, 200, "{}", response.text());
        let kids = response.json()["kids"].take();
        serde_json::from_value(kids).expect("a list of key ids")
    }

    /// All stored tokens as administrators see them, newest first.
    pub(crate) async fn rows(&self, server: &Server) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut after = String::new();
        loop {
            let path = format!("/channels/{}/tokens?limit=1000{after}", self.id);
            let page = server.ask(&Request::admin("GET", &path, None)).await;
            assert_eq!(page.status, 200, "{}", page.text());
            let page = page.json();
            let tokens = page["tokens"].as_array().expect("a list of tokens");
            rows.extend_from_slice(tokens);
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return rows,
            }
        }
    }
}

/// Verifies a token with the operation for its form.
pub(crate) fn verify(token: &str) -> Request {
    let form =
        form_urlencoded::Serializer::new(String::new()).append_pair("access_token", token).finish();
    if is_opaque(token) {
        post("/v2/oauth/verify", &[], &form)
    } else {
        Request::new("GET", &format!("/oauth2/v2.1/verify?{form}"), &[], "")
    }
}

/// Whether the response to [`verify`] says that the token is active. Panics if it says
/// neither.
pub(crate) fn is_good(response: &HttpResponse) -> bool {
    match response.status {
        200 => true,
        400 if response.json()["error"] == "invalid_request" => false,
        other => panic!("a check was answered {other}: {}", response.text()),
    }
}

/// The token in the response to an issue or a reissue.
pub(crate) fn token_in(response: &HttpResponse) -> String {
    text(&response.json(), "access_token")
}

/// A new provider's id.
pub(crate) async fn provider(server: &Server) -> String {
    let made = server.create("/providers", json!({ "name": "Tests" })).await;
    text(&made, "provider_id")
}

/// The authority's public key, to read the claims of a token.
pub(crate) struct Reader(VerifyingKey);

impl Reader {
    pub(crate) async fn of(server: &Server) -> Self {
        let set = server.ask(&Request::new("GET", "/.well-known/jwks.json", &[], "")).await.json();
        let x = set["keys"][0]["x"].as_str().unwrap_or_else(|| panic!("no key in {set}"));
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(x).expect("base64url");
        let key = VerifyingKey::from_bytes(bytes.try_into().expect("32 bytes"));
        Self(key.expect("an Ed25519 key"))
    }

    pub(crate) fn claims(&self, token: &str) -> Claims {
        let unverified = Unverified::parse(token.as_bytes()).expect("a token of this authority");
        unverified.verify(&self.0).expect("signed by its key")
    }
}

/// The machine's time in seconds since 1970, which the server uses.
pub(crate) fn unix_now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a server that is no development server")]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
}

fn issue(
    path: &str,
    with: With<'_>,
    proof: impl FnOnce(&mut form_urlencoded::Serializer<'_, String>),
) -> Request {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    proof(&mut form);
    if let Some(group) = with.group {
        form.append_pair("group", group);
    }
    let key = with.idempotency.map(|key| ("idempotency-key", key));
    post(path, key.as_slice(), &form.finish())
}

fn post(path: &str, headers: &[(&str, &str)], form: &str) -> Request {
    let form_type = ("content-type", "application/x-www-form-urlencoded");
    let headers: Vec<_> = headers.iter().copied().chain([form_type]).collect();
    Request::new("POST", path, &headers, form)
}

fn is_opaque(token: &str) -> bool {
    let known = |form| matches!(form, WireForm::Opaque(prefix) if token.starts_with(prefix));
    Kind::all().any(|kind| known(kind.form()))
}

fn text(response: &Value, name: &str) -> String {
    response[name].as_str().unwrap_or_else(|| panic!("no {name} in {response}")).to_owned()
}
