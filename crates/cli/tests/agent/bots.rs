//! Long-running bots on LINE's own SDKs, unmodified, that read their token from the agent's
//! file and socket with the suppliers of the packages in `bindings`. The Messaging API is a small
//! server that verifies each bearer token at the real authority's gateway.

use crate::{
    process::http::{Connection, Request},
    world::{CALLER_SECRET, World, kept},
};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdin, ChildStdout, Command},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bots_on_lines_sdks_survive_rotations_without_a_restart() {
    let world = World::start(&[]).await;
    fs::create_dir(world.path("out")).expect("made");
    let token = kept("bot", 12).replace("CHANNEL", &world.channel);
    world.configure(&format!(
        "socket = 'agent.sock'\n{token}\
         [[caller]]\nname = 'bots'\ntokens = ['bot']\nsecret_env = 'CALLER_SECRET'\n"
    ));
    let agent = world.agent().await;
    agent.becomes("green", "").await;
    let api = messaging_api(world.server.address()).await;
    let mut bots = [
        Bot::start(&world, api, "python/bin/python", "bot.py"),
        Bot::start(&world, api, "node/node_modules/.bin/node", "bot.mjs"),
    ];
    // Three tokens each: two rotations, the first token long expired by then.
    let mut rounds = 0;
    loop {
        let mut least = usize::MAX;
        for bot in &mut bots {
            least = least.min(bot.round().await);
        }
        if least >= 3 {
            break;
        }
        rounds += 1;
        assert!(rounds < 600, "no two rotations within a minute");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("{rounds} rounds of calls over three tokens, none refused");
}

struct Bot {
    program: &'static str,
    _process: Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
}

impl Bot {
    fn start(world: &World, api: SocketAddr, interpreter: &str, program: &'static str) -> Self {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let parts = package.join("../../target/test-parts");
        let interpreter = part(&parts, interpreter);
        let mut process = Command::new(&interpreter)
            .arg(package.join("tests/agent").join(program))
            .env("BINDINGS", package.join("../../bindings"))
            .env("SDK", parts.join("node"))
            .env("TOKEN_FILE", world.path("out/bot"))
            .env("SOCKET", world.path("agent.sock"))
            .env("CALLER_SECRET", CALLER_SECRET)
            .env("API", format!("http://{api}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("run {}: {error}", interpreter.display()));
        let to = process.stdin.take().expect("piped");
        let from = BufReader::new(process.stdout.take().expect("piped")).lines();
        Self { program, _process: process, to, from }
    }

    /// Makes it call the API once each way; returns how many tokens it has seen.
    async fn round(&mut self) -> usize {
        self.to.write_all(b"go\n").await.expect("the bot runs");
        let patience = Duration::from_secs(60);
        let line = tokio::time::timeout(patience, self.from.next_line()).await;
        let line = line.expect("it answers").expect("it is read");
        let line = line.unwrap_or_else(|| panic!("{} exited; its output is above", self.program));
        line.strip_prefix("ok ").and_then(|it| it.parse().ok()).expect("ok and a number")
    }
}

fn part(parts: &Path, path: &str) -> PathBuf {
    let path = parts.join(path);
    let missing = "run `cargo xtask test`, which installs LINE's SDKs";
    assert!(path.exists(), "{} is missing: {missing}", path.display());
    path
}

const INFO: &str = r#"{"userId":"U0","basicId":"@b","displayName":"Bot","chatMode":"bot","markAsReadMode":"auto"}"#;

/// A Messaging API with the bot's own profile only.
async fn messaging_api(authority: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, authority));
        }
    });
    address
}

/// One request a connection.
async fn serve(mut stream: TcpStream, authority: SocketAddr) {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let bearer = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("authorization").then_some(value)
    });
    let headers = [("authorization", bearer.unwrap_or_default())];
    let mut gateway = Connection::open(authority).await.expect("the authority takes us");
    let asked = gateway.ask(&Request::new("GET", "/gateway/verify", &headers, "")).await;
    let (status, body) = match asked.expect("the authority answers").status {
        200 if head.starts_with("GET /v2/bot/info ") => ("200 OK", INFO),
        200 => ("404 Not Found", "{}"),
        _ => ("401 Unauthorized", r#"{"message":"Authentication failed"}"#),
    };
    let response = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(response.as_bytes()).await;
}
