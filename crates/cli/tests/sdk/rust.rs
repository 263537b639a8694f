//! The community's SDK for Rust, `line_channel_access_token`, unmodified: one
//! test for the life of each kind, each with a server of its own. It types the
//! lifetimes as LINE's OpenAPI does, so a response that does not fit an `i32`
//! when issued, or an `i64` when verified, fails here.

use std::fmt::Debug;

use http_body_util::BodyExt as _;
use line_channel_access_token::apis::client::APIClient;
use line_channel_access_token::apis::configuration::Configuration;
use line_channel_access_token::apis::{ChannelAccessTokenApi, Error};
use line_channel_access_token::models::VerifyChannelAccessTokenResponse;
use serde_json::{Value, json};

use crate::process::key::Key;
use crate::server::Server;

const GRANT: &str = "client_credentials";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const WRONG_SECRET: &str = "00000000000000000000000000000000";
const MONTH: i32 = 30 * 24 * 60 * 60;

#[tokio::test]
async fn a_v2_1_token_is_issued_verified_listed_and_revoked() {
    let walk = Walk::start().await;
    let api = walk.api();

    let issued = walk.issue_v2_1(json!({ "token_exp": 60 })).await.expect("issued");
    assert_eq!((issued.expires_in, issued.token_type.as_str()), (60, "Bearer"));
    let verified = api.verify_channel_token_by_jwt(&issued.access_token).await.expect("verified");
    walk.assert_verified(&verified, 60, "profile chat_message.write");
    assert_eq!(walk.key_ids().await, [issued.key_id.as_str()]);

    let wrong = walk.revoke_v2_1(WRONG_SECRET, &issued.access_token).await;
    assert_eq!(refused(wrong, 400).await["error"], "invalid_client");
    for _ in 0..2 {
        walk.revoke_v2_1(&walk.secret, &issued.access_token).await.expect("revoked");
    }
    let after = api.verify_channel_token_by_jwt(&issued.access_token).await;
    assert_eq!(refused(after, 400).await, invalid_request("The access token revoked"));
    assert!(walk.key_ids().await.is_empty());

    let brief = walk.issue_v2_1(json!({ "token_exp": 60 })).await.expect("issued");
    walk.server.advance(61).await;
    let after = api.verify_channel_token_by_jwt(&brief.access_token).await;
    assert_eq!(refused(after, 400).await, invalid_request("The access token expired"));
    let not_jws = api.verify_channel_token_by_jwt("not-a-token").await;
    assert_eq!(refused(not_jws, 400).await, invalid_request("The access token not JWS"));
}

#[tokio::test]
async fn the_31st_v2_1_token_is_refused_and_thirty_stay() {
    let walk = Walk::start().await;

    let mut key_ids = Vec::new();
    let mut tokens = Vec::new();
    for _ in 0..30 {
        let issued = walk.issue_v2_1(json!({})).await.expect("issued");
        key_ids.push(issued.key_id);
        tokens.push(issued.access_token);
    }
    let full = json!({ "message": "The maximum number of access tokens has already been issued" });
    assert_eq!(refused(walk.issue_v2_1(json!({})).await, 400).await, full);
    for token in &tokens {
        walk.api().verify_channel_token_by_jwt(token).await.expect("still verified");
    }
    key_ids.sort();
    let mut listed = walk.key_ids().await;
    listed.sort();
    assert_eq!(listed, key_ids);

    walk.revoke_v2_1(&walk.secret, &tokens[0]).await.expect("revoked");
    walk.issue_v2_1(json!({})).await.expect("the place is free again");
}

#[tokio::test]
async fn an_assertion_with_an_unknown_key_or_out_of_time_is_refused() {
    let walk = Walk::start().await;
    let issue = async |assertion: String| {
        let response =
            walk.api().issue_channel_token_by_jwt(GRANT, ASSERTION_TYPE, &assertion).await;
        response.map(|_| ())
    };

    let unknown =
        walk.key.sign("536e453c-aa93-4449-8e90-add2608783c6", &walk.claims(json!({})).await);
    let no_key = json!({ "message": "Cannot find channel key that satisfies the conditions" });
    assert_eq!(refused(issue(unknown).await, 404).await, no_key);

    let expired = walk.assertion(json!({ "exp": walk.server.now().await - 60 })).await;
    let said = json!({ "error": "invalid_client", "error_description": "Invalid exp" });
    assert_eq!(refused(issue(expired).await, 400).await, said);

    let forged = Key::generate().sign(&walk.kid, &walk.claims(json!({})).await);
    assert_eq!(refused(issue(forged).await, 400).await["error"], "invalid_client");
}

#[tokio::test]
async fn a_stateless_token_is_issued_by_secret_or_assertion_for_15_minutes() {
    let walk = Walk::start().await;
    let api = walk.api();

    let assertion = walk.assertion(json!({})).await;
    let by_secret = |secret| {
        api.issue_stateless_channel_token(Some(GRANT), None, None, Some(&walk.id), Some(secret))
    };
    let by_assertion = api.issue_stateless_channel_token(
        Some(GRANT),
        Some(ASSERTION_TYPE),
        Some(&assertion),
        None,
        None,
    );
    let issued = [
        by_secret(&walk.secret).await.expect("issued by secret"),
        by_assertion.await.expect("issued by assertion"),
    ];
    for token in &issued {
        assert_eq!(token.token_type, "Bearer");
        assert!((899..=900).contains(&token.expires_in), "{}", token.expires_in);
        let verified =
            api.verify_channel_token_by_jwt(&token.access_token).await.expect("verified");
        walk.assert_verified(&verified, 900, "profile chat_message.write");
    }
    assert!(walk.key_ids().await.is_empty(), "stateless tokens are not listed");
    let wrong = refused(by_secret(WRONG_SECRET).await, 400).await;
    assert_eq!(wrong, invalid_request("Invalid 'client_credentials'."));

    walk.server.advance(901).await;
    for token in &issued {
        let after = api.verify_channel_token_by_jwt(&token.access_token).await;
        assert_eq!(refused(after, 400).await, invalid_request("The access token expired"));
    }
}

#[tokio::test]
async fn a_short_lived_token_is_issued_verified_and_revoked_and_the_31st_evicts_the_oldest() {
    let walk = Walk::start().await;
    let api = walk.api();
    let issue = |secret| api.issue_channel_token(GRANT, &walk.id, secret);

    let first = issue(&walk.secret).await.expect("issued");
    assert_eq!((first.expires_in, first.token_type.as_str()), (MONTH, "Bearer"));
    let verified = api.verify_channel_token(&first.access_token).await.expect("verified");
    walk.assert_verified(&verified, MONTH.into(), "P CM");
    let wrong = refused(issue(WRONG_SECRET).await, 400).await;
    let said = json!({ "error": "invalid_client", "error_description": "invalid client_secret" });
    assert_eq!(wrong, said);

    for _ in 0..2 {
        api.revoke_channel_token(&first.access_token).await.expect("revoked");
    }
    let after = api.verify_channel_token(&first.access_token).await;
    assert_eq!(refused(after, 400).await, invalid_request("access_token invalid"));
    let misshapen = refused(api.revoke_channel_token("not-a-token").await, 400).await;
    assert_eq!(misshapen, json!({ "error": "invalid_request" }));

    let mut tokens = Vec::new();
    for _ in 0..31 {
        tokens.push(issue(&walk.secret).await.expect("issued").access_token);
    }
    let oldest = api.verify_channel_token(&tokens[0]).await;
    assert_eq!(refused(oldest, 400).await, invalid_request("access_token invalid"));
    for token in &tokens[1..] {
        api.verify_channel_token(token).await.expect("still verified");
    }
}

#[tokio::test]
async fn a_long_lived_token_outlives_an_i32_and_a_reissue_with_a_delay() {
    let walk = Walk::start().await;
    let api = walk.api();
    let issue = async |body: Value| {
        let path = format!("/channels/{}/long-lived-token", walk.id);
        let issued = walk.server.create(&path, body).await;
        issued["access_token"].as_str().expect("an access_token").to_owned()
    };

    let first = issue(json!({})).await;
    let second = issue(json!({ "delay_seconds": 3600 })).await;
    let verified = api.verify_channel_token(&first).await.expect("the first lives for the delay");
    walk.assert_verified(&verified, 3600, "P CM");
    let verified = api.verify_channel_token(&second).await.expect("the second lives");
    assert!(verified.expires_in > i32::MAX.into(), "{}", verified.expires_in);

    walk.server.advance(3601).await;
    let after = api.verify_channel_token(&first).await;
    assert_eq!(refused(after, 400).await, invalid_request("access_token invalid"));
    api.verify_channel_token(&second).await.expect("the second lives on");

    let third = issue(json!({})).await;
    let after = api.verify_channel_token(&second).await;
    assert_eq!(refused(after, 400).await, invalid_request("access_token invalid"));
    api.revoke_channel_token(&third).await.expect("revoked");
    let after = api.verify_channel_token(&third).await;
    assert_eq!(refused(after, 400).await, invalid_request("access_token invalid"));
}

/// A server, a channel with an assertion key, and the SDK pointed at it.
struct Walk {
    server: Server,
    sdk: APIClient,
    id: String,
    secret: String,
    key: Key,
    kid: String,
}

impl Walk {
    async fn start() -> Self {
        let server = Server::start().await;
        let text = |response: &Value, name: &str| {
            response[name].as_str().unwrap_or_else(|| panic!("no {name} in {response}")).to_owned()
        };
        let provider = server.create("/providers", json!({ "name": "SDK for Rust" })).await;
        let channels = format!("/providers/{}/channels", text(&provider, "provider_id"));
        let body = json!({ "name": "Every kind", "type": "messaging-api" });
        let channel = server.create(&channels, body).await;
        let id = text(&channel, "channel_id");
        let key = Key::generate();
        let registered = server
            .create(&format!("/channels/{id}/assertion-keys"), json!({ "jwk": key.jwk() }))
            .await;

        let mut configuration = Configuration::new();
        configuration.base_path = server.url().to_owned();
        Walk {
            sdk: APIClient::new(configuration),
            secret: text(&channel, "channel_secret"),
            kid: text(&registered, "kid"),
            server,
            id,
            key,
        }
    }

    fn api(&self) -> &dyn ChannelAccessTokenApi {
        self.sdk.channel_access_token_api()
    }

    /// The claims as LINE's guide has them, with the members in `changed`.
    async fn claims(&self, changed: Value) -> Value {
        let mut claims = json!({
            "iss": self.id,
            "sub": self.id,
            "aud": "https://api.line.me/",
            "exp": self.server.now().await + 30 * 60,
            "token_exp": MONTH,
        });
        for (name, value) in changed.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        claims
    }

    async fn assertion(&self, changed: Value) -> String {
        self.key.sign(&self.kid, &self.claims(changed).await)
    }

    async fn issue_v2_1(
        &self,
        changed: Value,
    ) -> Result<line_channel_access_token::models::IssueChannelAccessTokenResponse, Error> {
        let assertion = self.assertion(changed).await;
        self.api().issue_channel_token_by_jwt(GRANT, ASSERTION_TYPE, &assertion).await
    }

    async fn revoke_v2_1(&self, secret: &str, token: &str) -> Result<(), Error> {
        self.api().revoke_channel_token_by_jwt(&self.id, secret, token).await
    }

    async fn key_ids(&self) -> Vec<String> {
        let assertion = self.assertion(json!({})).await;
        let listed = self
            .api()
            .gets_all_valid_channel_access_token_key_ids(ASSERTION_TYPE, &assertion)
            .await;
        listed.expect("listed").kids
    }

    fn assert_verified(
        &self,
        found: &VerifyChannelAccessTokenResponse,
        lifetime: i64,
        scope: &str,
    ) {
        assert_eq!(found.client_id, self.id);
        assert_eq!(found.scope.as_deref(), Some(scope));
        let left = found.expires_in;
        assert!((lifetime - 30..=lifetime).contains(&left), "{left} of {lifetime} s left");
    }
}

fn invalid_request(description: &str) -> Value {
    json!({ "error": "invalid_request", "error_description": description })
}

/// The body of the response that the SDK treated as an error, with this status.
async fn refused<T: Debug>(response: Result<T, Error>, status: u16) -> Value {
    match response {
        Err(Error::Api(denied)) => {
            let code = denied.code;
            let body = denied.body.collect().await.expect("a whole body").to_bytes();
            let text = String::from_utf8_lossy(&body);
            assert_eq!(code, status, "{text}");
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
        }
        other => panic!("{other:?}, expected {status}"),
    }
}
