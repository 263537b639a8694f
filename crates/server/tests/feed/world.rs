//! A server with a store of its own, and followers that are requests.

use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tegata_server::{
    config::Settings,
    serve::{Running, serve},
};
use tegata_system::http::client_for;

pub struct World {
    running: Option<Running>,
    settings: Settings,
    http: reqwest::Client,
    admin_token: String,
    pub folder: tempfile::TempDir,
}

pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Response {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.bytes));
        self
    }
}

/// A verifier: its id and its token.
pub struct Verifier {
    pub id: String,
    pub token: String,
}

/// A follower: the parameters of its requests.
pub struct Follower<'a> {
    pub world: &'a World,
    pub token: String,
    pub instance: String,
    pub staleness: u64,
    pub on_stale: &'static str,
}

pub struct Channel {
    pub id: String,
    pub provider: String,
    pub secret: String,
}

impl World {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let loopback = ([127, 0, 0, 1], 0).into();
        let mut settings = Settings::new(loopback, folder.path().join("tegata.db"));
        settings.place = crate::store::place(folder.path());
        settings.dev = true;
        let running = serve(settings.clone()).await.unwrap();
        let address = format!("http://{}", running.address).parse().unwrap();
        let http = client_for(&address).build().unwrap();
        let file = running.admin_token_file.as_ref().unwrap();
        let admin_token = std::fs::read_to_string(file).unwrap().trim().to_owned();
        Self { running: Some(running), settings, http, admin_token, folder }
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub async fn restart(&mut self) {
        self.running.take().unwrap().stop().await;
        self.running = Some(serve(self.settings.clone()).await.unwrap());
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Response {
        let url = format!("http://{}{path}", self.running().address);
        let mut request = self.http.request(method, url).body(body.unwrap_or_default());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Response { status, headers, bytes: response.bytes().await.unwrap().to_vec() }
    }

    pub async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        self.admin_with(method, path, &[], body).await
    }

    pub async fn admin_with(
        &self,
        method: Method,
        path: &str,
        more: &[(&str, &str)],
        body: Option<Value>,
    ) -> Response {
        let token = format!("Bearer {}", self.admin_token);
        let mut headers = vec![("authorization", &*token)];
        headers.extend(body.is_some().then_some(("content-type", "application/json")));
        headers.extend(more);
        let path = format!("/admin/v1{path}");
        self.send(method, &path, &headers, body.map(|it| it.to_string())).await
    }

    pub async fn verifier(&self, settings: Value) -> Verifier {
        let made = self.admin(Method::POST, "/verifiers", Some(settings)).await.is(201).json();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Verifier { id: text("verifier_id"), token: text("verifier_token") }
    }

    /// A channel of a provider of its own.
    pub async fn channel(&self) -> Channel {
        let name = json!({ "name": "provider" });
        let made = self.admin(Method::POST, "/providers", Some(name)).await.is(201).json();
        let provider = made["provider_id"].as_str().unwrap().to_owned();
        let new = json!({ "name": "channel", "type": "messaging-api" });
        let path = format!("/providers/{provider}/channels");
        let made = self.admin(Method::POST, &path, Some(new)).await.is(201).json();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Channel { id: text("channel_id"), provider, secret: text("channel_secret") }
    }

    /// A short-lived token of a channel.
    pub async fn token(&self, channel: &Channel) -> String {
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}",
            channel.id, channel.secret
        );
        let form_type = [("content-type", "application/x-www-form-urlencoded")];
        let issued = self.send(Method::POST, "/v2/oauth/accessToken", &form_type, Some(form)).await;
        issued.is(200).json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Revokes all tokens of a channel; the answer.
    pub async fn revoke(&self, channel: &Channel, wait: u64) -> Value {
        let path = format!("/channels/{}/revocations", channel.id);
        let body = json!({ "all": true, "wait_seconds": wait });
        self.admin(Method::POST, &path, Some(body)).await.is(201).json()
    }

    pub async fn receipt(&self, position: &Value, wait: u64) -> Value {
        let path = format!("/receipts/{}?wait_seconds={wait}", position.as_str().unwrap());
        self.admin(Method::GET, &path, None).await.is(200).json()
    }

    pub fn follower(&self, verifier: &Verifier, name: &str) -> Follower<'_> {
        let instance = format!("{name:_<22}");
        let token = verifier.token.clone();
        Follower { world: self, token, instance, staleness: 60_000, on_stale: "deny" }
    }

    /// Waits until the server holds this many requests of followers.
    pub async fn holds(&self, requests: usize) {
        let patience = Instant::now() + Duration::from_secs(20);
        while self.running().authority.held_requests() < requests {
            assert!(Instant::now() < patience, "no request is held");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Follower<'_> {
    pub fn with(self, staleness: u64, on_stale: &'static str) -> Self {
        Self { staleness, on_stale, ..self }
    }

    pub async fn ask(&self, path: &str, more: &str, headers: &[(&str, &str)]) -> Response {
        let token = format!("Bearer {}", self.token);
        let headers = [&[("authorization", &*token)], headers].concat();
        let path = format!(
            "/feed/{path}?instance={}&staleness={}&on_stale={}&speaks=1{more}",
            self.instance, self.staleness, self.on_stale
        );
        self.world.send(Method::GET, &path, &headers, None).await
    }

    /// Takes a snapshot; its position.
    pub async fn snapshot(&self) -> String {
        let snapshot = self.ask("snapshot", "", &[]).await.is(200).json();
        snapshot["snapshot"]["position"].as_str().unwrap().to_owned()
    }

    pub async fn changes(&self, after: &str, hold: u64) -> Response {
        self.ask("changes", &format!("&after={after}&hold={hold}"), &[]).await
    }

    /// Asks after a position until there is none to follow; the last position.
    pub async fn catch_up(&self, after: &str) -> String {
        let mut after = after.to_owned();
        loop {
            let answer = self.changes(&after, 0).await.is(200).json();
            let through = answer["through"].as_str().unwrap().to_owned();
            if through == after {
                return after;
            }
            after = through;
        }
    }
}

/// The states of the instances in a receipt, by the instances' names.
pub fn states(receipt: &Value) -> Vec<(String, String)> {
    let lines = receipt["verifiers"].as_array().unwrap().iter();
    let line = |it: &Value| {
        let name = it["instance"].as_str().unwrap().trim_end_matches('_').to_owned();
        (name, it["state"].as_str().unwrap().to_owned())
    };
    let mut states: Vec<_> = lines.map(line).collect();
    states.sort();
    states
}

/// Compares the states with these.
#[track_caller]
pub fn are(receipt: &Value, expected: &[(&str, &str)]) {
    let expected: Vec<_> =
        expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    assert_eq!(states(receipt), expected, "{receipt:#}");
}
