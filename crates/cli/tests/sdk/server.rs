//! A real `tegata serve --dev`, started for one test and ended with it, also
//! when the test fails. Each has a store, a clock and a port of its own, so
//! tests run side by side. Its admin API and clock are reached with plain HTTP.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// What the server takes for an administrator's token.
pub(crate) const ADMIN_TOKEN: &str = "an-administrator's-token-for-tests-only!";

/// How long a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; dropping it ends it.
pub(crate) struct Server {
    process: Child,
    said: Arc<Mutex<String>>,
    url: String,
    http: reqwest::Client,
    _home: TempDir,
}

impl Server {
    /// Starts one and waits until it says that it is ready.
    pub(crate) async fn start() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tegata"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TEGATA_") {
                command.env_remove(name);
            }
        }
        let mut process = command
            .args(["serve", "--dev", "--listen", "127.0.0.1:0"])
            .env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN)
            .env("TMPDIR", home.path())
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start tegata");

        let said = Arc::new(Mutex::new(String::new()));
        let (found, address) = channel();
        follow(process.stdout.take().expect("piped"), &said, found.clone());
        follow(process.stderr.take().expect("piped"), &said, found);
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .expect("an HTTP client");
        // From here on dropping the server ends the process.
        let mut server = Server { process, said, url: String::new(), http, _home: home };
        server.url = address
            .recv_timeout(PATIENCE)
            .expect("the server says where it listens before it ends");
        server.ready().await;
        server
    }

    /// Its address, as `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Creates something through the admin API: `path` is what follows
    /// `/admin/v1`. Panics unless the answer is 201.
    pub(crate) async fn create(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/admin/v1{path}", self.url);
        let request = self.http.post(url).bearer_auth(ADMIN_TOKEN).json(&body);
        json_of(request, 201).await
    }

    /// The server's time, in seconds since 1970.
    pub(crate) async fn now(&self) -> i64 {
        let clock = json_of(self.http.get(format!("{}/dev/clock", self.url)), 200).await;
        clock["now_unix"].as_i64().expect("now_unix is a whole number")
    }

    /// Moves the server's clock forward.
    pub(crate) async fn advance(&self, seconds: u32) {
        let request = self.http.post(format!("{}/dev/clock", self.url));
        json_of(request.json(&json!({ "advance_seconds": seconds })), 200).await;
    }

    async fn ready(&self) {
        let pause = Duration::from_millis(50);
        for _ in 0..PATIENCE.as_millis() / pause.as_millis() {
            let answer = self.http.get(format!("{}/readyz", self.url)).send().await;
            if answer.is_ok_and(|answer| answer.status() == 200) {
                return;
            }
            tokio::time::sleep(pause).await;
        }
        panic!("the server did not become ready");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            eprintln!("--- the server said:\n{said}---");
        }
    }
}

/// Reads a stream of the server to its end, so that it never blocks on us, and
/// passes on the first address in it.
fn follow(stream: impl Read + Send + 'static, said: &Arc<Mutex<String>>, found: Sender<String>) {
    let said = Arc::clone(said);
    thread::spawn(move || {
        let mut found = Some(found);
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if let Some(address) = address_in(&line)
                && let Some(found) = found.take()
            {
                // Nobody listens any more once the other stream had it first.
                let _ = found.send(address);
            }
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            said.push_str(&line);
            said.push('\n');
        }
    });
}

/// The `http://127.0.0.1:PORT` in a line that the server prints.
fn address_in(line: &str) -> Option<String> {
    const HOST: &str = "http://127.0.0.1:";
    let rest = &line[line.find(HOST)? + HOST.len()..];
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (!port.is_empty()).then(|| format!("{HOST}{port}"))
}

async fn json_of(request: reqwest::RequestBuilder, status: u16) -> Value {
    let answer = request.send().await.expect("the server answers");
    let (found, path) = (answer.status(), answer.url().path().to_owned());
    let body = answer.text().await.expect("the answer has an end");
    assert_eq!(found, status, "{path}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error} in {body}"))
}
