//! A development server for one test, with a temporary store and a movable clock.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process;
use crate::process::http::{HttpResponse, Request};

pub(crate) use crate::process::ADMIN_TOKEN;

/// A running server; dropping it kills it.
pub(crate) struct Server {
    process: process::Server,
    url: String,
    _home: TempDir,
}

impl Server {
    /// Starts a server and waits until it is ready.
    pub(crate) async fn start() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let process = process::Server::start(process::serve(home.path(), &["--dev"])).await;
        let url = format!("http://{}", process.address());
        Server { process, url, _home: home }
    }

    /// Its address, as `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Creates something through the admin API: `path` is what follows
    /// `/admin/v1`. Panics unless the response is 201.
    pub(crate) async fn create(&self, path: &str, body: Value) -> Value {
        self.process.create(path, body).await
    }

    /// The server's time, in seconds since 1970.
    pub(crate) async fn now(&self) -> i64 {
        let clock = self.process.ask(&Request::new("GET", "/dev/clock", &[], "")).await;
        now_in(&clock)
    }

    /// Moves the server's clock forward.
    pub(crate) async fn advance(&self, seconds: u32) {
        let body = json!({ "advance_seconds": seconds }).to_string();
        let json = [("content-type", "application/json")];
        now_in(&self.process.ask(&Request::new("POST", "/dev/clock", &json, &body)).await);
    }
}

fn now_in(clock: &HttpResponse) -> i64 {
    assert_eq!(clock.status, 200, "{}", clock.text());
    clock.json()["now_unix"].as_i64().expect("now_unix is a whole number")
}
