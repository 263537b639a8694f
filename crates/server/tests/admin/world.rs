//! An authority on a real store, its admin API, and ways to come by tokens.

use crate::{schema::check_response, store};
use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use axum::{
    Router,
    body::{Body, Bytes},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::sync::Arc;
use tegata_client::{admin::AdminClient, exchange::RequestError};
use tegata_policy::{
    assertion::{AssertionRules, UnverifiedAssertion},
    authorize::{Credential, IssueRequest},
    secret::PlainSecret,
};
use tegata_server::{
    Metrics,
    api::{self, admin},
    authority::{
        Authority, Memory,
        admin_token::AdminToken,
        place::{Database, Files},
        random,
        source::Source,
    },
};
use tegata_store::{
    Store,
    postgres::{PostgresOptions, PostgresStore},
    sqlite::{Options, SqliteStore},
};
use tegata_token::kind::Kind;
use tempfile::TempDir;
use tower::ServiceExt;

pub const ADMIN_TOKEN: &str = "an administrator's token, for tests";

/// Where all requests come from, as far as the API can tell.
pub const PEER: &str = "192.0.2.7";

pub struct World {
    pub authority: Arc<Authority>,
    /// Its store, as another server has it that shares it.
    pub store: Arc<dyn Store>,
    pub metrics: Arc<Metrics>,
    /// The same API over a connection, as the command line uses it.
    pub admin: AdminClient,
    router: Router,
    pub folder: TempDir,
}

/// A channel with its secret.
pub struct Shop {
    pub id: String,
    pub provider: String,
    pub secret: String,
}

impl Shop {
    /// A path below the channel.
    pub fn at(&self, path: &str) -> String {
        format!("/channels/{}{path}", self.id)
    }
}

/// A response, read whole.
#[derive(Debug)]
pub struct HttpResponse {
    pub status: u16,
    pub content_type: String,
    pub etag: Option<String>,
    pub body: Value,
}

impl HttpResponse {
    /// The body, of a response that must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// Checks that it is a problem of that status and code; gives its detail.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> String {
        assert_eq!((self.status, &self.body["code"]), (status, &json!(code)), "{}", self.body);
        assert_eq!(self.content_type, "application/problem+json");
        assert_eq!(self.body["status"], status);
        self.body["detail"].as_str().unwrap().to_owned()
    }
}

/// Opens the store of an authority, as a server does.
async fn open(place: &Files, issuer: &str, memory: &Arc<Memory>) -> Arc<dyn Store> {
    let (issuer, dev, applied) = (issuer.to_owned(), true, memory.on_commit());
    match &place.database {
        Some(Database { address, .. }) => {
            let url = address.reveal().to_owned();
            let options = PostgresOptions { url, issuer, dev, ..PostgresOptions::default() };
            Arc::new(PostgresStore::open(options, applied).await.unwrap())
        }
        None => {
            let options = Options { issuer, dev, ..Options::default() };
            Arc::new(SqliteStore::open(&place.store, options, applied).unwrap())
        }
    }
}

impl World {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::new();
        let issuer = "http://tegata.test";
        let place = store::place(folder.path());
        let store = open(&place, issuer, &memory).await;
        let master_key = place.master_key();
        let authority = Authority::start(store.clone(), memory, &master_key, issuer);
        let authority = Arc::new(authority.await.unwrap());
        let token = AdminToken::new(&PlainSecret::from_caller(ADMIN_TOKEN.to_owned())).unwrap();
        let metrics = authority.metrics().clone();
        let router = admin::router(authority.clone(), Arc::new(token.into()));
        let admin = connect(router.clone()).await;
        Self { authority, store, metrics, admin, router, folder }
    }

    /// Sends a request; whatever comes back must be as the API's description says.
    pub async fn send(&self, request: Request<Body>) -> HttpResponse {
        let (_, response) = checked(self.router.clone(), request).await;
        response
    }

    /// A request as an administrator sends it.
    pub fn request(&self, method: Method, path: &str, body: impl Into<Body>) -> Request<Body> {
        Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {ADMIN_TOKEN}"))
            .header("content-type", "application/json")
            .extension(Source(PEER.parse().unwrap()))
            .body(body.into())
            .unwrap()
    }

    pub async fn get(&self, path: &str) -> HttpResponse {
        self.send(self.request(Method::GET, path, "")).await
    }

    pub async fn post(&self, path: &str, body: impl ToString) -> HttpResponse {
        self.send(self.request(Method::POST, path, body.to_string())).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> HttpResponse {
        self.send(self.request(Method::PATCH, path, body.to_string())).await
    }

    pub async fn delete(&self, path: &str) -> HttpResponse {
        self.send(self.request(Method::DELETE, path, "")).await
    }

    pub async fn provider(&self, name: &str) -> String {
        let made = self.admin.post(&["providers"], &json!({ "name": name })).await.unwrap();
        made["provider_id"].as_str().unwrap().to_owned()
    }

    pub async fn channel(&self) -> Shop {
        let provider = self.provider("Company").await;
        self.channel_of(&provider, "messaging-api").await
    }

    pub async fn channel_of(&self, provider: &str, channel_type: &str) -> Shop {
        let body = json!({ "name": "shop", "type": channel_type });
        let made = self.admin.post(&["providers", provider, "channels"], &body).await.unwrap();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Shop {
            id: text("channel_id"),
            provider: provider.to_owned(),
            secret: text("channel_secret"),
        }
    }

    pub async fn short_lived(&self, shop: &Shop, group: Option<&str>) -> String {
        self.by_secret(shop, Kind::ShortLived, group).await
    }

    pub async fn stateless(&self, shop: &Shop) -> String {
        self.by_secret(shop, Kind::Stateless, None).await
    }

    pub async fn stateless_of(&self, shop: &Shop, group: Option<&str>) -> String {
        self.by_secret(shop, Kind::Stateless, group).await
    }

    async fn by_secret(&self, shop: &Shop, kind: Kind, group: Option<&str>) -> String {
        let credential = Credential::Secret(PlainSecret::from_caller(shop.secret.clone()));
        self.issue(shop, kind, credential, group).await
    }

    async fn issue(
        &self,
        shop: &Shop,
        kind: Kind,
        credential: Credential,
        group: Option<&str>,
    ) -> String {
        let group = group.map(|it| it.parse().unwrap());
        let request = IssueRequest { kind, credential, group, idempotency: None, lifetime: None };
        let issued = self.authority.issue(request, shop.id.parse().unwrap(), None).await.unwrap();
        issued.reveal().to_owned()
    }

    pub async fn long_lived(&self, shop: &Shop, delay: i64) -> (String, String) {
        let body = json!({ "delay_seconds": delay });
        let path = ["channels", &shop.id, "long-lived-token"];
        let made = self.admin.post(&path, &body).await.unwrap();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("access_token"), text("token_id"))
    }

    /// A v2.1 token asked for with `key`, which is registered as `kid`.
    pub async fn v21(&self, shop: &Shop, key: &KeyPair, kid: &str) -> String {
        let now = self.authority.now().0;
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": kid });
        let claims = json!({
            "iss": shop.id, "sub": shop.id, "aud": "https://api.line.me/",
            "exp": now + 60, "token_exp": 3_600,
        });
        let part = |it: Value| URL_SAFE_NO_PAD.encode(it.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; key.public_modulus_len()];
        let random = SystemRandom::new();
        key.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).unwrap();
        let jwt = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        let assertion = UnverifiedAssertion::parse(&jwt, AssertionRules::Line).unwrap();
        self.issue(shop, Kind::V21, Credential::Assertion(assertion), None).await
    }

    /// Registers a new key, for a group if one is named.
    pub async fn key(&self, shop: &Shop, group: Option<&str>) -> (KeyPair, String) {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let mut body = json!({ "jwk": public_jwk(&key) });
        if let Some(group) = group {
            body["group"] = group.into();
        }
        let path = ["channels", &shop.id, "assertion-keys"];
        let made = self.admin.post(&path, &body).await.unwrap();
        (key, made["kid"].as_str().unwrap().to_owned())
    }

    /// How the store calls a token's state.
    pub async fn state(&self, token: &str) -> String {
        self.explain(token).await["state"].as_str().unwrap().to_owned()
    }

    /// What a token is, and why it is good or not.
    pub async fn explain(&self, token: &str) -> Value {
        self.admin.post(&["explain"], &json!({ "access_token": token })).await.unwrap()
    }
}

/// Asserts that a request of the client failed with that status and code.
#[track_caller]
pub fn expect_problem(response: Result<Value, RequestError>, status: u16, code: &str) {
    let Err(RequestError::Problem(problem)) = response else { panic!("no problem: {response:?}") };
    assert_eq!((problem.status.as_u16(), problem.code.as_deref()), (status, Some(code)));
    assert!(problem.title.is_some() && problem.detail.is_some(), "{problem}");
}

/// The response to a request, as it is and as it reads; it must be as the API's
/// description says.
async fn checked(router: Router, request: Request<Body>) -> (Response<Bytes>, HttpResponse) {
    let (method, path) = (request.method().clone(), request.uri().to_string());
    let response = router.oneshot(request).await.unwrap();
    let response = api::signed(response, &random::request_id());
    let (parts, body) = response.into_parts();
    let content_type = parts.headers.get("content-type");
    let content_type = content_type.map_or("", |it| it.to_str().unwrap()).to_owned();
    let etag = parts.headers.get("etag").map(|it| it.to_str().unwrap().to_owned());
    let bytes = body.collect().await.unwrap().to_bytes();
    let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
    let status = parts.status.as_u16();
    check_response(&method, &path, status, &content_type, &body);
    (Response::from_parts(parts, bytes), HttpResponse { status, content_type, etag, body })
}

/// A client of the API, over a listener on loopback. A response that is not as described
/// panics on the server's side, and the client gets none.
async fn connect(router: Router) -> AdminClient {
    let response = async move |mut request: Request<Body>| {
        let path = request.uri().to_string();
        *request.uri_mut() = path.strip_prefix("/admin/v1").unwrap().parse().unwrap();
        request.extensions_mut().insert(Source(PEER.parse().unwrap()));
        checked(router.clone(), request).await.0.map(Body::from)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(response);
    tokio::spawn(async move { axum::serve(listener, app).await });
    AdminClient::new(&base, PlainSecret::from_caller(ADMIN_TOKEN.to_owned())).unwrap()
}

pub fn public_jwk(key: &KeyPair) -> Value {
    let number = |it: &[u8]| URL_SAFE_NO_PAD.encode(it);
    let public = key.public_key();
    let n = number(public.modulus().big_endian_without_leading_zero());
    json!({ "kty": "RSA", "alg": "RS256", "use": "sig", "e": "AQAB", "n": n })
}
