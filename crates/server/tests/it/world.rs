//! A running server, a client for it, and channels that know how to ask it.

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{KeyPair, RSA_PKCS1_SHA256},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use std::{sync::LazyLock, time::Duration};
use tegata_client::{
    Failure,
    admin::AdminClient,
    call::{Client, ClientAuthentication, TokenResponse, Verified, With},
};
use tegata_policy::{
    channel::RevokeTokens, jwk::AssertionKey, rules::ChannelType, secret::PlainSecret,
};
use tegata_server::{
    authority::{
        Authority,
        actor::Actor,
        admin::{ActOptions, Admin, Outcome},
    },
    config::Settings,
    serve::{Running, serve},
};
use tegata_store::ChannelPatch;
use tegata_system::http::client_for;
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, SigningKeyId},
    kind::Kind,
    view::ChannelState,
};

/// A server on a free port of loopback, with a store of its own.
pub struct World {
    running: Option<Running>,
    settings: Settings,
    http: reqwest::Client,
    /// LINE's operations on this server, as a program calls them.
    pub line: Client,
    // Removed at the end, also of a test that fails.
    pub folder: tempfile::TempDir,
}

/// A response, read whole.
#[derive(Debug)]
pub struct HttpResponse {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

/// A channel with its secret and one assertion key.
pub struct Channel {
    pub id: ChannelId,
    pub secret: String,
    pub kid: AssertionKeyId,
}

pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The header of a JSON body.
pub const JSON: (&str, &str) = ("content-type", "application/json");

impl World {
    /// With a clock that can be moved.
    pub async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub async fn with(set: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let loopback = ([127, 0, 0, 1], 0).into();
        let mut settings = Settings::new(loopback, folder.path().join("tegata.db"));
        settings.place = crate::store::place(folder.path());
        settings.dev = true;
        set(&mut settings);
        let running = serve(settings.clone()).await.unwrap();
        // One connection at a time would queue what shall race.
        let address = format!("http://{}", running.address).parse().unwrap();
        let http = client_for(&address).build().unwrap();
        let line = line_of(&running);
        Self { running: Some(running), settings, http, line, folder }
    }

    /// Stops the server and starts another on the same store.
    pub async fn restart(&mut self) {
        self.running.take().unwrap().stop().await;
        let running = serve(self.settings.clone()).await.unwrap();
        // On another port.
        self.line = line_of(&running);
        self.running = Some(running);
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub async fn stop(&mut self) {
        self.running.take().unwrap().stop().await;
    }

    pub fn authority(&self) -> &Authority {
        &self.running().authority
    }

    /// Administration, as with the root administrator's token.
    pub fn admin(&self) -> Admin {
        self.running().authority.admin(Actor::Root, None)
    }

    /// Administration over HTTP, as the command line does it.
    pub fn admin_client(&self) -> AdminClient {
        let file = self.running().admin_token_file.as_ref().unwrap();
        let token = std::fs::read_to_string(file).unwrap().trim().to_owned();
        AdminClient::new(&self.url(""), PlainSecret::from_caller(token)).unwrap()
    }

    pub async fn channel(&self, name: &str) -> Channel {
        self.channel_of(name, ChannelType::MessagingApi).await
    }

    pub async fn channel_of(&self, name: &str, of: ChannelType) -> Channel {
        let provider = self.admin().create_provider("provider").await.unwrap();
        let (channel, secret) = self.admin().create_channel(provider.id, name, of).await.unwrap();
        let kid = self.register(channel.id, &OWN, None).await;
        Channel { id: channel.id, secret: secret.reveal().to_owned(), kid }
    }

    async fn register(
        &self,
        channel: ChannelId,
        pair: &RsaKeyPair,
        group: Option<Group>,
    ) -> AssertionKeyId {
        let key = AssertionKey::from_jwk(jwk(pair).to_string().as_bytes()).unwrap();
        self.admin().register_key(channel, key, group).await.unwrap()
    }

    /// An assertion signed with a key that is bound to `group`.
    pub async fn assertion_of_group(&self, channel: &Channel, group: &str) -> String {
        let kid = self.register(channel.id, &TEAM, Some(group.parse().unwrap())).await;
        let mut header = channel.header();
        header["kid"] = json!(kid);
        let claims = channel.claims(self.now()).to_string();
        sign_bytes(&TEAM, header.to_string().as_bytes(), claims.as_bytes())
    }

    pub async fn change(&self, channel: &Channel, patch: ChannelPatch) {
        self.admin().change_channel(channel.id, patch, &ActOptions::default()).await.unwrap();
    }

    pub async fn set_state(&self, channel: &Channel, state: ChannelState) {
        if state == ChannelState::Deleted {
            self.admin().delete_channel(channel.id, &ActOptions::default()).await.unwrap();
            return;
        }
        self.change(channel, ChannelPatch { state: Some(state), ..Default::default() }).await;
    }

    /// Gives the channel a new secret; the previous one is accepted for `keep` seconds.
    pub async fn replace_secret(&self, channel: ChannelId, keep: i64) -> PlainSecret {
        let options = ActOptions::default();
        let done = self.admin().replace_secret(channel, keep, RevokeTokens::None, &options).await;
        match done.unwrap() {
            Outcome::Done(new, _) => new.secret,
            Outcome::DryRun(_) => panic!("it was no dry run"),
        }
    }

    /// Adds a signing key; its `kid`.
    pub async fn rotate_signing_keys(&self) -> SigningKeyId {
        self.admin().rotate_signing_keys().await.unwrap().id
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running().address)
    }

    pub fn now(&self) -> i64 {
        self.authority().now().0
    }

    /// Moves the clock, as a user of `--dev` does.
    pub async fn advance(&self, seconds: i64) {
        let body = json!({ "advance_seconds": seconds }).to_string();
        let moved = self.send(Method::POST, "/dev/clock", &[JSON], body).await;
        assert_eq!(moved.status, 200, "{}", moved.text);
    }

    pub async fn get(&self, path: &str) -> HttpResponse {
        self.send(Method::GET, path, &[], String::new()).await
    }

    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> HttpResponse {
        self.send(Method::GET, path, headers, String::new()).await
    }

    /// Posts a form.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> HttpResponse {
        self.post_with(path, &[], fields).await
    }

    pub async fn post_with(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        fields: &[(&str, &str)],
    ) -> HttpResponse {
        let form = ("content-type", "application/x-www-form-urlencoded");
        self.send(Method::POST, path, &[headers, &[form]].concat(), form_of(fields)).await
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> HttpResponse {
        self.send_bytes(method, path, headers, body.into_bytes()).await
    }

    /// The same with a body of any bytes.
    pub async fn send_bytes(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> HttpResponse {
        let mut request = self.http.request(method, self.url(path)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        HttpResponse { status, headers, text: response.text().await.unwrap() }
    }

    // ---- LINE's operations, for tests that assert an outcome

    /// A token of `kind`, which must be issued.
    pub async fn issue(&self, channel: &Channel, kind: Kind) -> String {
        self.must_issue(channel, kind, With::default()).await
    }

    /// A token of a group.
    pub async fn issue_to(&self, channel: &Channel, kind: Kind, group: &str) -> String {
        let group = group.parse().unwrap();
        let with = With { group: Some(&group), ..With::default() };
        self.must_issue(channel, kind, with).await
    }

    /// A token under an `Idempotency-Key`.
    pub async fn issue_once(&self, channel: &Channel, kind: Kind, key: &str) -> String {
        let with = With { idempotency_key: Some(key), ..With::default() };
        self.must_issue(channel, kind, with).await
    }

    /// A token of `kind`, or the status of the response that denies it.
    pub async fn try_issue(&self, channel: &Channel, kind: Kind) -> Result<String, u16> {
        match self.issue_with(channel, kind, With::default()).await {
            Ok(issued) => Ok(issued.token.reveal().to_owned()),
            Err(Failure::Denied { status, .. }) => Err(status),
            Err(Failure::LimitExceeded { .. }) => Err(429),
            Err(other) => panic!("{other}"),
        }
    }

    async fn must_issue(&self, channel: &Channel, kind: Kind, with: With<'_>) -> String {
        let issued = self.issue_with(channel, kind, with).await;
        issued.unwrap_or_else(|failure| panic!("{kind:?}: {failure}")).token.reveal().to_owned()
    }

    /// What the client makes of the response.
    pub async fn issue_with(
        &self,
        channel: &Channel,
        kind: Kind,
        with: With<'_>,
    ) -> Result<TokenResponse, Failure> {
        let secret = PlainSecret::from_caller(channel.secret.clone());
        match kind {
            Kind::V21 => self.line.issue_v21(&channel.assertion(self.now()), with).await,
            Kind::Stateless => {
                let authentication = ClientAuthentication::Secret(channel.id, &secret);
                self.line.issue_stateless(&authentication, with).await
            }
            Kind::ShortLived => self.line.issue_short_lived(channel.id, &secret, with).await,
            Kind::LongLived => panic!("an administrator makes long-lived tokens"),
        }
    }

    pub async fn verify(&self, token: &str) -> Result<Verified, Failure> {
        self.line.verify(&PlainSecret::from_caller(token.to_owned())).await
    }

    /// Whether a token is active, on the operation for its form.
    pub async fn is_good(&self, token: &str) -> bool {
        match self.verify(token).await {
            Ok(_) => true,
            Err(Failure::Denied { status: 400, .. }) => false,
            Err(other) => panic!("{other}"),
        }
    }

    /// Revokes a token, on the operation for its form; the response must be 200.
    pub async fn revoke(&self, channel: &Channel, token: &str) {
        let plain = PlainSecret::from_caller(token.to_owned());
        let secret = PlainSecret::from_caller(channel.secret.clone());
        let revoked = match token.contains('.') {
            true => self.line.revoke_v21(channel.id, &secret, &plain).await,
            false => self.line.revoke_opaque(&plain).await,
        };
        revoked.unwrap();
    }

    // ---- the same operations to the letter, for tests that assert statuses and bodies

    pub async fn short_lived(&self, channel: &Channel, more: &[(&str, &str)]) -> HttpResponse {
        self.post("/v2/oauth/accessToken", &[&channel.by_secret(), more].concat()).await
    }

    pub async fn stateless(&self, channel: &Channel, more: &[(&str, &str)]) -> HttpResponse {
        self.post("/oauth2/v3/token", &[&channel.by_secret(), more].concat()).await
    }

    pub async fn v21(&self, channel: &Channel, more: &[(&str, &str)]) -> HttpResponse {
        let assertion = channel.assertion(self.now());
        let fields = by_assertion(&assertion);
        self.post("/oauth2/v2.1/token", &[&fields, more].concat()).await
    }

    pub async fn verify_jws(&self, token: &str) -> HttpResponse {
        self.get(&format!("/oauth2/v2.1/verify?{}", form_of(&[("access_token", token)]))).await
    }

    pub async fn verify_opaque(&self, token: &str) -> HttpResponse {
        self.post("/v2/oauth/verify", &[("access_token", token)]).await
    }

    pub async fn revoke_jws(&self, channel: &Channel, token: &str) -> HttpResponse {
        let id = channel.id.to_string();
        let fields =
            [("client_id", &*id), ("client_secret", &*channel.secret), ("access_token", token)];
        self.post("/oauth2/v2.1/revoke", &fields).await
    }

    pub async fn revoke_opaque(&self, token: &str) -> HttpResponse {
        self.post("/v2/oauth/revoke", &[("access_token", token)]).await
    }

    pub async fn gateway(&self, token: &str, query: &str) -> HttpResponse {
        let bearer = format!("Bearer {token}");
        self.get_with(&format!("/gateway/verify{query}"), &[("authorization", &bearer)]).await
    }

    pub async fn key_ids(&self, assertion: &str) -> HttpResponse {
        let query =
            form_of(&[("client_assertion_type", JWT_BEARER), ("client_assertion", assertion)]);
        self.get(&format!("/oauth2/v2.1/tokens/kid?{query}")).await
    }
}

impl Channel {
    /// Grant type, id and secret.
    pub fn by_secret(&self) -> [(&str, &str); 3] {
        let id: &'static str = self.id.to_string().leak();
        [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", &self.secret)]
    }

    /// The claims that LINE's samples sign, at `now`.
    pub fn claims(&self, now: i64) -> Value {
        json!({
            "iss": self.id, "sub": self.id, "aud": "https://api.line.me/",
            "exp": now + 30 * 60, "token_exp": 60 * 60 * 24 * 30,
        })
    }

    pub fn header(&self) -> Value {
        json!({ "alg": "RS256", "typ": "JWT", "kid": self.kid })
    }

    /// A good assertion.
    pub fn assertion(&self, now: i64) -> String {
        self.sign(&self.claims(now))
    }

    pub fn sign(&self, claims: &Value) -> String {
        sign(&self.header(), claims)
    }
}

impl HttpResponse {
    /// Asserts status and body to the letter.
    #[track_caller]
    pub fn is(&self, status: u16, text: &str) {
        assert_eq!((self.status, self.text.as_str()), (status, text));
    }

    /// Asserts 200 and the body to the letter, but for the values of `hidden`
    /// members, which read `…`.
    #[track_caller]
    pub fn is_ok_but_for(&self, hidden: &[&str], text: &str) {
        let mut shown = self.text.clone();
        for name in hidden {
            shown = shown.replace(self.json()[name].as_str().unwrap(), "…");
        }
        assert_eq!((self.status, shown.as_str()), (200, text));
        assert_eq!(self.headers["content-type"], "application/json");
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The token in a response that issued one.
    #[track_caller]
    pub fn token(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()["access_token"].as_str().unwrap().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Waits longer than a program, since many tests share the machine.
fn line_of(running: &Running) -> Client {
    let base = format!("http://{}", running.address);
    Client::with_patience(&base, Duration::from_secs(60)).unwrap()
}

pub fn by_assertion(assertion: &str) -> [(&str, &str); 3] {
    [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", assertion),
    ]
}

pub fn form_of(fields: &[(&str, &str)]) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(fields).finish()
}

/// Two key pairs for all tests, since making one takes a while: the channels' own,
/// and one that a group may have.
static OWN: LazyLock<RsaKeyPair> = LazyLock::new(pair);
static TEAM: LazyLock<RsaKeyPair> = LazyLock::new(pair);

fn pair() -> RsaKeyPair {
    RsaKeyPair::generate(KeySize::Rsa2048).unwrap()
}

fn jwk(pair: &RsaKeyPair) -> Value {
    let public = pair.public_key();
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({
        "kty": "RSA", "alg": "RS256", "use": "sig",
        "n": text(public.modulus().big_endian_without_leading_zero()),
        "e": text(public.exponent().big_endian_without_leading_zero()),
    })
}

/// An assertion signed with the channels' own key.
pub fn sign(header: &Value, claims: &Value) -> String {
    sign_bytes(&OWN, header.to_string().as_bytes(), claims.to_string().as_bytes())
}

/// An assertion of these very bytes, signed with the channels' own key.
pub fn sign_text(header: &str, claims: &str) -> String {
    sign_bytes(&OWN, header.as_bytes(), claims.as_bytes())
}

fn sign_bytes(pair: &RsaKeyPair, header: &[u8], claims: &[u8]) -> String {
    let (header, claims) = (URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let message = format!("{header}.{claims}");
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}
