//! A real `tegata serve`, started for one test and killed with it, also when the test
//! fails: dropping a [`Server`] kills its process, by its id. Shared by the test programs
//! beside this folder; each test has a store and ports of its own, so they run in
//! parallel.

pub(crate) mod http;
pub(crate) mod key;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use http::{Connection, HttpResponse, Request};
use serde_json::Value;

/// The server's administrator token.
pub(crate) const ADMIN_TOKEN: &str = "an-administrator's-token-for-tests-only!";

/// How long a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// `tegata serve` with these arguments, in this folder, without settings from the
/// environment.
pub(crate) fn serve(home: &Path, arguments: &[&str]) -> Command {
    serve_at(([127, 0, 0, 1], 0).into(), home, arguments)
}

/// As `serve`, at this address.
pub(crate) fn serve_at(address: SocketAddr, home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tegata"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("TEGATA_") || text.starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    command
        .arg("serve")
        .args(["--listen", &address.to_string()])
        .args(arguments)
        .env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN)
        // Not each request: the log is printed when a test fails.
        .env("TEGATA_LOG", "warn")
        .env("TMPDIR", home)
        .current_dir(home)
        .stdin(Stdio::null());
    command
}

/// A running server; dropping it kills it.
pub(crate) struct Server {
    /// For tests that stop it in another way.
    pub(crate) process: Child,
    pub(crate) said: Arc<Mutex<String>>,
    address: SocketAddr,
}

impl Server {
    /// Starts a server and waits until it is ready.
    pub(crate) async fn start(command: Command) -> Self {
        Self::start_or_refuse(command).await.expect("it becomes ready; what it said is above")
    }

    /// Like `start`; prints the output and returns `None` if the server exits instead.
    pub(crate) async fn start_or_refuse(command: Command) -> Option<Self> {
        let (mut server, address) = Self::spawn(command);
        let ready = server.becomes_ready(&address).await;
        if !ready {
            server.print_said();
        }
        ready.then_some(server)
    }

    fn spawn(mut command: Command) -> (Self, Receiver<SocketAddr>) {
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start tegata");
        let said = Arc::new(Mutex::new(String::new()));
        let (found, address) = channel();
        follow(process.stdout.take().expect("piped"), &said, found.clone());
        follow(process.stderr.take().expect("piped"), &said, found);
        // From here on dropping the server kills the process.
        (Server { process, said, address: ([127, 0, 0, 1], 0).into() }, address)
    }

    /// Its address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends one request on a connection of its own.
    pub(crate) async fn ask(&self, request: &Request) -> HttpResponse {
        let mut connection = Connection::open(self.address).await.expect("the server takes us");
        connection.ask(request).await.expect("the server answers")
    }

    /// Creates something through the admin API: `path` is what follows
    /// `/admin/v1`. Panics unless the response is 201.
    pub(crate) async fn create(&self, path: &str, body: Value) -> Value {
        let response = self.ask(&Request::admin("POST", path, Some(&body))).await;
        assert_eq!(response.status, 201, "{path}: {}", response.text());
        response.json()
    }

    async fn becomes_ready(&mut self, address: &Receiver<SocketAddr>) -> bool {
        // The channel is closed once both streams of the process are closed.
        let Ok(address) = address.recv_timeout(PATIENCE) else { return false };
        self.address = address;
        let pause = Duration::from_millis(20);
        let request = Request::new("GET", "/readyz", &[], "");
        for _ in 0..PATIENCE.as_millis() / pause.as_millis() {
            if let Ok(mut connection) = Connection::open(self.address).await
                && connection.ask(&request).await.is_ok_and(|response| response.status == 200)
            {
                return true;
            }
            if self.process.try_wait().expect("a child of ours").is_some() {
                return false;
            }
            tokio::time::sleep(pause).await;
        }
        false
    }

    fn print_said(&self) {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        eprintln!("--- the server said:\n{said}---");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            self.print_said();
        }
    }
}

/// Reads a stream of the server to its end, so that the server never blocks on it, and sends
/// the first address in it.
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
                // There is no receiver if the other stream had it first.
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
