//! LINE's SDKs against an API that verifies in its own process: the example of the crate
//! `verifier`, a process of its own, with a real authority.

use crate::{
    line::{self, Channel, With},
    package, part,
    process::{
        Server,
        http::{Connection, Request},
        key::Key,
        serve,
    },
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

/// How long the example may take until its view is fresh.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn the_example_api_refuses_lines_sdks_every_kind_of_token_once_its_receipt_is_complete() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(serve(folder.path(), &[])).await;
    let key = Key::generate();
    let channel = Channel::create(&server, &line::provider(&server).await, &key).await;
    let api = messaging_api(&server).await;
    let mut sdks = [
        Program::sdk("python/bin/python", "verify_python.py", &api.first_line),
        Program::sdk("node/node_modules/.bin/node", "verify_node.mjs", &api.first_line),
    ];
    let mut both = |token: &str| sdks.each_mut().map(|sdk| sdk.ask(token));
    let mut tokens = Vec::new();
    for issue in [
        Channel::issue_v21(&channel.assertion(&key, 1), With::default()),
        channel.issue_stateless(With::default()),
        channel.issue_short_lived(With::default()),
        channel.reissue_long_lived(0),
    ] {
        let token = line::token_in(&server.ask(&issue).await);
        assert_eq!(both(&token), ["200 200", "200 200"], "{token}");
        tokens.push(token);
    }
    assert_eq!(both("tgs_no-token-of-ours"), ["401 401", "401 401"]);
    while let Some(token) = tokens.pop() {
        let what = json!({ "access_token": token, "wait_seconds": 30 });
        let revoked = server.ask(&channel.revocation(&what)).await.json();
        let receipt = &revoked["receipt"];
        assert_eq!(receipt["state"], "complete", "{revoked:#}");
        assert_eq!(receipt["verifiers"][0]["state"], "acknowledged", "{revoked:#}");
        assert_eq!(both(&token), ["401 401", "401 401"], "{token}");
        for other in &tokens {
            assert_eq!(both(other), ["200 200", "200 200"], "{other}");
        }
    }
}

/// The example with a verifier of its own; its first line is its address.
#[expect(clippy::disallowed_methods, reason = "a process becomes ready in real time")]
async fn messaging_api(server: &Server) -> Program {
    let made = server.create("/verifiers", json!({ "name": "messaging-api" })).await;
    let mut command = Command::new(example());
    command
        .env("TEGATA_URL", format!("http://{}", server.address()))
        .env("TEGATA_VERIFIER_TOKEN", made["verifier_token"].as_str().expect("a token"))
        .env("LISTEN", "127.0.0.1:0");
    let mut api = Program::start(command);
    let line = api.line();
    api.first_line = line.strip_prefix("listening on ").expect("an address").to_owned();
    let address = api.first_line.strip_prefix("http://").and_then(|it| it.parse().ok());
    let address = address.expect("an address");
    let since = Instant::now();
    loop {
        let mut connection = Connection::open(address).await.expect("it listens");
        let health = connection.ask(&Request::new("GET", "/healthz", &[], "")).await;
        let health = health.expect("it responds");
        if health.status == 200 {
            return api;
        }
        assert!(since.elapsed() < PATIENCE, "it does not become fresh: {}", health.text());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Builds the example, in the profile's folder that the program under test is in, and with
/// the features that all tests are compiled with, so that nothing is compiled twice.
fn example() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_tegata")).ancestors().nth(2);
    let target = target.expect("a target folder");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--workspace", "--example", "messaging_api", "--locked"]);
    cargo.args(["--message-format=json-render-diagnostics", "--target-dir"]).arg(target);
    let built = cargo.current_dir(package()).output().expect("start cargo");
    let messages = String::from_utf8_lossy(&built.stdout);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let executable = |line: &str| {
        let message = serde_json::from_str::<Value>(line).ok()?;
        let is_it = message["target"]["name"] == "messaging_api";
        is_it.then(|| message["executable"].as_str().map(PathBuf::from))?
    };
    messages.lines().find_map(executable).expect("cargo names the example")
}

/// A process that prints a line for each line of its input; dropping it kills it.
struct Program {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    first_line: String,
}

impl Program {
    fn sdk(interpreter: &str, program: &str, api: &str) -> Self {
        let mut command = Command::new(part(interpreter));
        command.arg(package().join("tests/sdk").join(program)).arg(api);
        Self::start(command)
    }

    fn start(mut command: Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let input = process.stdin.take().expect("piped");
        let output = BufReader::new(process.stdout.take().expect("piped"));
        Self { process, input, output, first_line: String::new() }
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").expect("the program runs");
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("text");
        assert!(!line.is_empty(), "the program exited; its errors are above");
        line.trim_end().to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
