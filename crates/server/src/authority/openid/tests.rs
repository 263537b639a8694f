//! The settings, and what is kept of a provider as time passes.

use super::*;
use crate::authority::{clock::Clock, openid_settings::SecondFactorFrom};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};
use std::sync::Mutex as SharedMutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

fn openid(issuer: &str, console: &str) -> Result<OpenId, &'static str> {
    let settings = OpenIdSettings {
        issuer: issuer.to_owned(),
        client_id: "tegata".to_owned(),
        client_secret: None,
        second_factor: SecondFactorFrom::Tegata,
    };
    OpenId::new(settings, console)
}

#[test]
fn issuer_and_console_are_confidential_or_on_this_machine() {
    let works = |issuer: &str, console: &str| openid(issuer, console).is_ok();
    for issuer in
        ["https://id.example.com", "https://id.example.com/realms/a/", "http://127.0.0.1:9"]
    {
        assert!(works(issuer, "https://tegata.example.com"), "{issuer}");
    }
    for issuer in [
        "http://id.example.com",
        "https://id.example.com?x",
        "https://id.example.com#x",
        "https://a:b@id.example.com",
        "ftp://127.0.0.1",
        "id.example.com",
        "",
    ] {
        assert!(!works(issuer, "https://tegata.example.com"), "{issuer}");
    }
    assert!(works("https://id.example.com", "http://localhost:8080"));
    assert!(!works("https://id.example.com", "http://tegata.example.com"));
    let it = openid("https://id.example.com", "https://tegata.example.com/line").unwrap();
    assert_eq!(it.redirect_uri, "https://tegata.example.com/console/sign-in/identity/return");
}

const NOW: UnixTime = UnixTime(1_800_000_000);

/// A provider that signs with one key at a time.
struct Provider {
    issuer: String,
    key: Arc<SharedMutex<(EcdsaKeyPair, Value)>>,
    token: Arc<SharedMutex<Value>>,
    serving: JoinHandle<()>,
}

impl Provider {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let metadata = json!({
            "issuer": issuer, "authorization_endpoint": format!("{issuer}/auth"),
            "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"),
        });
        let key = Arc::new(SharedMutex::new(new_key("a")));
        let token = Arc::new(SharedMutex::new(Value::Null));
        let (keys, tokens) = (key.clone(), token.clone());
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let body = match &*path(&mut stream).await {
                    "/.well-known/openid-configuration" => metadata.clone(),
                    "/keys" => json!({ "keys": [keys.lock().unwrap().1.clone()] }),
                    _ => tokens.lock().unwrap().clone(),
                };
                let (body, close) = (body.to_string(), "connection: close");
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json";
                let length = body.len();
                let text = format!("{head}\r\n{close}\r\ncontent-length: {length}\r\n\r\n{body}");
                stream.write_all(text.as_bytes()).await.unwrap();
            }
        });
        Self { issuer, key, token, serving }
    }

    /// Completes a sign-in that began with it, at this time.
    async fn signs_in(&self, it: &OpenId, steady: Instant) -> Result<IdTokenFacts, OpenIdError> {
        let times = (NOW, steady);
        let (_, asked) = it.begin(Purpose::SignIn, String::new(), times).await?;
        let claims = json!({
            "iss": self.issuer, "aud": "tegata", "sub": "a", "nonce": asked.nonce,
            "exp": NOW.0 + 60, "iat": NOW.0,
        });
        let id_token = {
            let (key, jwk) = &*self.key.lock().unwrap();
            let part = |it: &[u8]| URL_SAFE_NO_PAD.encode(it);
            let header = json!({ "alg": "ES256", "kid": jwk["kid"] }).to_string();
            let message =
                format!("{}.{}", part(header.as_bytes()), part(claims.to_string().as_bytes()));
            let signature = key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
            format!("{message}.{}", part(signature.as_ref()))
        };
        *self.token.lock().unwrap() = json!({ "id_token": id_token });
        let returned =
            Returned { state: Some(&asked.state), code: Some("c"), ..Returned::default() };
        it.complete(&asked, returned, times).await
    }
}

/// Reads a request, and returns its path.
async fn path(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "an unfinished request");
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|it| it.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |it| it.parse().unwrap()) {
            return head.split(' ').nth(1).unwrap().to_owned();
        }
    }
}

fn new_key(kid: &str) -> (EcdsaKeyPair, Value) {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = key.public_key().as_ref();
    let part = |range| URL_SAFE_NO_PAD.encode(&point[range]);
    let jwk =
        json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": part(1..33), "y": part(33..65) });
    (key, jwk)
}

#[tokio::test]
async fn a_new_key_of_the_provider_is_fetched_when_it_is_first_used() {
    let provider = Provider::start().await;
    let it = openid(&provider.issuer, "http://127.0.0.1:1").unwrap();
    let began = Clock::new().steady();
    assert!(provider.signs_in(&it, began).await.is_ok());
    *provider.key.lock().unwrap() = new_key("b");
    // Not with each token that names one: the keys were just fetched.
    let soon = provider.signs_in(&it, began + PATIENCE).await;
    assert_eq!(soon, Err(OpenIdError::Invalid));
    assert!(provider.signs_in(&it, began + 3 * PATIENCE).await.is_ok());
}

#[tokio::test]
async fn what_a_provider_publishes_is_used_for_a_day_while_it_is_down() {
    let provider = Provider::start().await;
    let it = openid(&provider.issuer, "http://127.0.0.1:1").unwrap();
    let began = Clock::new().steady();
    let begin = async |hours: u64| {
        let steady = began + Duration::from_secs(hours * 3_600);
        it.begin(Purpose::SignIn, String::new(), (NOW, steady)).await.map(drop)
    };
    assert_eq!(begin(0).await, Ok(()));
    provider.serving.abort();
    let _ = provider.serving.await;
    assert_eq!(begin(23).await, Ok(()));
    assert_eq!(begin(25).await, Err(OpenIdError::Unavailable));
}
