//! A real `tegata serve`, started for one test and ended with it, also when the
//! test fails: dropping a [`Server`] kills its process, by its id. Shared by the
//! test programs beside this folder; each has stores and ports of its own, so
//! they run side by side.

pub(crate) mod http;
pub(crate) mod key;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use http::{Answer, Connection, Request};
use serde_json::Value;

/// What the server takes for an administrator's token.
pub(crate) const ADMIN_TOKEN: &str = "an-administrator's-token-for-tests-only!";

/// How long a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// `tegata serve` with these arguments, at home in this folder, told nothing by
/// the environment of whoever runs the tests.
pub(crate) fn serve(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tegata"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TEGATA_") {
            command.env_remove(name);
        }
    }
    command
        .arg("serve")
        .args(["--listen", "127.0.0.1:0"])
        .args(arguments)
        .env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN)
        // Not each request: what it said is shown when a test fails.
        .env("TEGATA_LOG", "warn")
        .env("TMPDIR", home)
        .current_dir(home)
        .stdin(Stdio::null());
    command
}

/// A running server; dropping it ends it.
pub(crate) struct Server {
    /// For tests that end it in ways of their own.
    pub(crate) process: Child,
    said: Arc<Mutex<String>>,
    address: SocketAddr,
}

impl Server {
    /// Starts one and waits until it says that it is ready.
    pub(crate) async fn start(mut command: Command) -> Self {
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start tegata");
        let said = Arc::new(Mutex::new(String::new()));
        let (found, address) = channel();
        follow(process.stdout.take().expect("piped"), &said, found.clone());
        follow(process.stderr.take().expect("piped"), &said, found);
        // From here on dropping the server ends the process.
        let mut server = Server { process, said, address: ([127, 0, 0, 1], 0).into() };
        server.address = address
            .recv_timeout(PATIENCE)
            .expect("the server says where it listens before it ends");
        server.ready().await;
        server
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its answer to one request, on a connection of its own.
    pub(crate) async fn ask(&self, request: &Request) -> Answer {
        let mut connection = Connection::open(self.address).await.expect("the server takes us");
        connection.ask(request).await.expect("the server answers")
    }

    /// Creates something through the admin API: `path` is what follows
    /// `/admin/v1`. Panics unless the answer is 201.
    pub(crate) async fn create(&self, path: &str, body: Value) -> Value {
        let answer = self.ask(&Request::admin("POST", path, Some(&body))).await;
        assert_eq!(answer.status, 201, "{path}: {}", answer.text());
        answer.json()
    }

    async fn ready(&mut self) {
        let pause = Duration::from_millis(20);
        let request = Request::new("GET", "/readyz", &[], "");
        for _ in 0..PATIENCE.as_millis() / pause.as_millis() {
            if let Ok(mut connection) = Connection::open(self.address).await
                && connection.ask(&request).await.is_ok_and(|answer| answer.status == 200)
            {
                return;
            }
            let ended = self.process.try_wait().expect("a child of ours");
            assert!(ended.is_none(), "the server ended before it was ready: {ended:?}");
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
fn follow(
    stream: impl Read + Send + 'static,
    said: &Arc<Mutex<String>>,
    found: Sender<SocketAddr>,
) {
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

/// The address in a `http://127.0.0.1:PORT` that the server prints.
fn address_in(line: &str) -> Option<SocketAddr> {
    const SCHEME: &str = "http://";
    let rest = &line[line.find("http://127.0.0.1:")? + SCHEME.len()..];
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':');
    rest[..end.unwrap_or(rest.len())].parse().ok()
}
