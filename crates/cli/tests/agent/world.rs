//! An authority with a channel, and an agent with the channel's credentials.

use crate::process::{
    self,
    http::{Connection, HttpResponse, Request},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};
use tegata_client::key::PrivateKey;
use tempfile::TempDir;

pub(crate) const CALLER_SECRET: &str = "canary-caller-secret-0123456789";

/// How long a step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(50);

/// An authority and a channel.
pub(crate) struct World {
    pub(crate) server: process::Server,
    pub(crate) home: TempDir,
    pub(crate) channel: String,
    secret: String,
    /// All secrets, which must not appear in any output.
    canaries: Arc<Mutex<Vec<String>>>,
}

impl World {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let server = process::Server::start(process::serve(home.path(), arguments)).await;
        let text = |response: &Value, name: &str| response[name].as_str().expect(name).to_owned();
        let provider = server.create("/providers", json!({ "name": "Agents" })).await;
        let path = format!("/providers/{}/channels", text(&provider, "provider_id"));
        let made = server.create(&path, json!({ "name": "Bot", "type": "messaging-api" })).await;
        let (channel, secret) = (text(&made, "channel_id"), text(&made, "channel_secret"));
        let key = PrivateKey::generate().expect("a key");
        let path = format!("/channels/{channel}/assertion-keys");
        let kid = text(&server.create(&path, json!({ "jwk": key.public() })).await, "kid");
        let jwk = key.to_json(&kid);
        fs::write(home.path().join("key.json"), &jwk).expect("written");
        fs::write(home.path().join("secret"), &secret).expect("written");
        let jwk: Value = serde_json::from_str(&jwk).expect("JSON");
        let canaries = vec![secret.clone(), text(&jwk, "d"), text(&jwk, "p"), CALLER_SECRET.into()];
        Self { server, home, channel, secret, canaries: Arc::new(canaries.into()) }
    }

    /// Kills the authority, as by `kill -9`.
    pub(crate) fn stop(&mut self) {
        let _ = self.server.process.kill();
        let _ = self.server.process.wait();
    }

    /// Starts it again, on a port that may be another.
    pub(crate) async fn restart(&mut self, arguments: &[&str]) {
        let command = process::serve(self.home.path(), arguments);
        self.server = process::Server::start(command).await;
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes the settings: the common ones, and `more`.
    pub(crate) fn configure(&self, more: &str) {
        let (address, channel) = (self.server.address(), &self.channel);
        let text = format!(
            "authority = 'http://{address}'\nlisten = '127.0.0.1:0'\nverify_interval_seconds = 10\n{more}\n\
             [[channel]]\nid = '{channel}'\nkey_file = 'key.json'\nsecret_file = 'secret'\n"
        );
        fs::write(self.path("agent.toml"), text).expect("written");
    }

    pub(crate) fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tegata"));
        command
            .args(["agent", verb, "--config"])
            .arg(self.path("agent.toml"))
            .env_remove("TEGATA_LOG")
            .env("CALLER_SECRET", CALLER_SECRET)
            .stdin(Stdio::null());
        command
    }

    pub(crate) async fn agent(&self) -> Agent {
        Agent::start(self.command("run"), Arc::clone(&self.canaries)).await
    }

    pub(crate) async fn agent_with(&self, change: impl FnOnce(&mut Command)) -> Agent {
        let mut command = self.command("run");
        change(&mut command);
        Agent::start(command, Arc::clone(&self.canaries)).await
    }

    /// Whether the authority's gateway lets a token through.
    pub(crate) async fn lets_through(&self, token: &str) -> bool {
        self.is_secret(token);
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let response = self.server.ask(&Request::new("GET", "/gateway/verify", &headers, "")).await;
        assert!(matches!(response.status, 200 | 401), "{}", response.text());
        response.status == 200
    }

    /// All secrets, which must not appear in any output.
    pub(crate) fn secrets(&self) -> Vec<String> {
        self.canaries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds a secret.
    pub(crate) fn is_secret(&self, token: &str) {
        let mut canaries = self.canaries.lock().unwrap_or_else(PoisonError::into_inner);
        if !canaries.iter().any(|it| it == token) {
            canaries.push(token.to_owned());
        }
    }

    pub(crate) async fn admin(&self, method: &str, path: &str, body: Value) -> Value {
        let response = self.server.ask(&Request::admin(method, path, Some(&body))).await;
        assert!(response.status < 300, "{path}: {}", response.text());
        response.json()
    }

    /// The channel's stored tokens in a state (`active` …).
    pub(crate) async fn tokens(&self, state: &str) -> Vec<Value> {
        let path = format!("/channels/{}/tokens?limit=1000&state={state}", self.channel);
        let response = self.server.ask(&Request::admin("GET", &path, None)).await.json();
        response["tokens"].as_array().expect("tokens").clone()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Checks that the search looks for the right texts.
        assert_eq!(self.secret.len(), 32);
    }
}

/// A running agent; dropping it kills it, and searches its output.
pub(crate) struct Agent {
    pub(crate) process: Child,
    address: SocketAddr,
    said: Arc<Mutex<String>>,
    canaries: Arc<Mutex<Vec<String>>>,
}

impl Agent {
    async fn start(mut command: Command, canaries: Arc<Mutex<Vec<String>>>) -> Self {
        // The log at the highest level.
        let mut process = command
            .args(["--log", "trace"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start the agent");
        let said = Arc::new(Mutex::new(String::new()));
        let (found, address) = mpsc::channel();
        follow(process.stderr.take().expect("piped"), &said, |_| {});
        follow(process.stdout.take().expect("piped"), &said, move |line| {
            let address = line.rsplit_once("http://").and_then(|(_, it)| it.parse().ok());
            address.map(|address| found.send(address));
        });
        let mut agent = Self { process, address: ([127, 0, 0, 1], 0).into(), said, canaries };
        agent.address = address.recv_timeout(PATIENCE).expect("the agent says where it listens");
        agent
    }

    pub(crate) async fn ask(&self, request: &Request) -> HttpResponse {
        let asked = async {
            let mut connection = Connection::open(self.address).await.expect("the agent takes us");
            connection.ask(request).await.expect("the agent answers")
        };
        tokio::time::timeout(PATIENCE, asked).await.expect("the agent answers in time")
    }

    /// Its health: the status code and the report.
    pub(crate) async fn health(&self) -> (u16, Value) {
        let response = self.ask(&Request::new("GET", "/healthz", &[], "")).await;
        (response.status, response.json())
    }

    /// Waits until its health has this colour and contains this text; returns the report.
    pub(crate) async fn becomes(&self, colour: &str, says: &str) -> String {
        let mut last = String::new();
        for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
            let (status, report) = self.health().await;
            last = report.to_string();
            assert_eq!(status == 503, report["status"] == "red", "{status}: {last}");
            if report["status"] == colour && last.contains(says) {
                return last;
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("not {colour} with {says:?}, but: {last}");
    }

    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let said = self.said();
        if thread::panicking() {
            let all: Vec<_> = said.lines().filter(|line| line.contains("tegata_client")).collect();
            eprintln!("--- the agent said:\n{}\n---", all.join("\n"));
            return;
        }
        let canaries = self.canaries.lock().unwrap_or_else(PoisonError::into_inner);
        let found = canaries.iter().find(|it| said.contains(it.as_str()));
        assert!(found.is_none(), "a secret in what the agent said: {found:?}\n{said}");
    }
}

fn follow(
    stream: impl Read + Send + 'static,
    said: &Arc<Mutex<String>>,
    mut with: impl FnMut(&str) + Send + 'static,
) {
    let said = Arc::clone(said);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            with(&line);
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            said.push_str(&line);
            said.push('\n');
        }
    });
}

/// The settings of one token with a sink of its name.
pub(crate) fn kept(name: &str, lifetime: u32) -> String {
    format!(
        "[[token]]\nname = '{name}'\nchannel = 'CHANNEL'\ngroup = '{name}'\nlifetime = {lifetime}\n\
         [[sink]]\ntokens = ['{name}']\npath = 'out/{name}'\n"
    )
}

/// Waits until `holds` does.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
        if holds().await {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("it did not happen: {what}");
}

pub(crate) fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}
