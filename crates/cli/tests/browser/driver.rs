//! A Chromium of one test: its driver, its profile and its session.
//!
//! Dropping it ends both processes, also when the test fails: the driver is killed by its
//! id, and the browser exits when the pipe between them closes.

use fantoccini::{
    Client, ClientBuilder,
    error::CmdError,
    wd::{Capabilities, WebDriverCompatibleCommand},
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread,
};
use tempfile::TempDir;
use tokio::runtime::{self, Runtime};

/// Options of a browser that opens one page of a test on this machine, and nothing else.
const OPTIONS: [&str; 12] = [
    "--headless=new",
    // The browser exits with its driver.
    "--remote-debugging-pipe",
    // It opens pages of this project only, and containers often have no sandbox.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
];

pub struct Driver {
    process: Child,
    runtime: Runtime,
    pub client: Client,
    /// The profile, removed when the processes are gone.
    _profile: TempDir,
}

impl Driver {
    pub fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .env("HOME", profile.path())
            .env("TMPDIR", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("`cargo xtask setup` installs chromedriver");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        // Read to its end, so that the driver never blocks on it.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut options: Vec<String> = OPTIONS.map(str::to_owned).into();
        options.push(format!("--user-data-dir={}", profile.path().join("profile").display()));
        let wanted = json!({
            "goog:chromeOptions": { "args": options },
            "goog:loggingPrefs": { "browser": "ALL" },
            "timeouts": { "implicit": 0, "pageLoad": 60_000, "script": 60_000 },
        });
        let wanted: Capabilities = serde_json::from_value(wanted).unwrap();
        let address = format!("http://127.0.0.1:{}", port.expect("the driver names its port"));
        let session = runtime.block_on(async {
            ClientBuilder::new(HttpConnector::new()).capabilities(wanted).connect(&address).await
        });
        match session {
            Ok(client) => Self { process, runtime, client, _profile: profile },
            Err(error) => {
                let _ = process.kill();
                let _ = process.wait();
                panic!("no browser: {error}");
            }
        }
    }

    /// Waits for a command of the client.
    pub fn wait<T>(&self, command: impl Future<Output = Result<T, CmdError>>) -> T {
        self.attempt(command).unwrap()
    }

    pub fn attempt<T>(
        &self,
        command: impl Future<Output = Result<T, CmdError>>,
    ) -> Result<T, CmdError> {
        self.runtime.block_on(command)
    }

    /// A command of Chromium's own protocol.
    pub fn chromium(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.wait(self.client.issue_cmd(Own::post("goog/cdp/execute", body)))
    }

    /// What the console of the browser has shown since the last call: errors of scripts,
    /// failed requests and violations of the policy for content.
    pub fn console(&self) -> Vec<String> {
        let lines =
            self.wait(self.client.issue_cmd(Own::post("se/log", json!({"type": "browser"}))));
        let text = |line: &Value| format!("{} {}", line["level"], line["message"]);
        lines.as_array().unwrap().iter().map(text).collect()
    }

    /// The name of an element for assistive technology.
    pub fn name(&self, element: &str) -> Result<String, CmdError> {
        let path = format!("element/{element}/computedlabel");
        let name = self.attempt(self.client.issue_cmd(Own { path, body: None }))?;
        Ok(name.as_str().unwrap_or_default().to_owned())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A command that the client has no method for.
#[derive(Debug)]
struct Own {
    path: String,
    body: Option<Value>,
}

impl Own {
    fn post(path: &str, body: Value) -> Self {
        Self { path: path.to_owned(), body: Some(body) }
    }
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        match &self.body {
            Some(body) => (http::Method::POST, Some(body.to_string())),
            None => (http::Method::GET, None),
        }
    }
}
