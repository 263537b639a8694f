//! Servers of two builds on one database: this program is replaced by the version after it,
//! one server after the other, behind a balancer and under load.

use crate::{
    Field,
    balanced::{Balancer, haproxy},
    line::{Channel, With, provider, token_in, verify},
    process::{
        Server,
        http::{HttpResponse, Request},
        key::Key,
        serve_at,
    },
    refused,
};
use postgres_fixture::ReservedPort;
use serde_json::json;
use std::{
    collections::VecDeque,
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::time::Instant;

/// Tokens that a client keeps; far below the 30 of a channel, so that none is evicted.
const KEPT: usize = 5;
/// Issues of a client without a response: each may have been done.
const UNANSWERED: usize = 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// The program of the version after this one, built from the same sources.
fn next_version() -> PathBuf {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_tegata")).with_file_name("tegata-next");
    let missing = "run `cargo xtask test`, which builds it";
    assert!(program.exists(), "{} is missing: {missing}", program.display());
    program
}

/// The command that starts a server of either build at an address.
fn command(field: &Field<'_>, program: Option<PathBuf>, at: SocketAddr) -> Command {
    let folder = field.home.path().join(at.port().to_string());
    std::fs::create_dir_all(&folder).unwrap();
    // The balancer notices within a second that a server is about to stop.
    let same = serve_at(at, &folder, &["--drain-delay", "3"]);
    let mut command = Command::new(program.unwrap_or_else(|| same.get_program().into()));
    command.args(same.get_args()).current_dir(&folder).stdin(std::process::Stdio::null());
    for (name, value) in same.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("TEGATA_STORE", field.postgres.url(&field.database));
    command.env("TEGATA_MASTER_KEY_FILE", field.master_key());
    command.env("TEGATA_PUBLIC_URL", "http://tokens.example");
    command
}

/// Stops a server as an operator does, and waits until it has finished its requests.
async fn stop(mut server: Server) {
    let process = server.process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &process]).status().unwrap().success());
    let asked = Instant::now();
    while server.process.try_wait().unwrap().is_none() {
        assert!(asked.elapsed() < PATIENCE, "the server does not stop");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a client met.
#[derive(Debug, Default)]
struct Tally {
    issued: usize,
    revoked: usize,
    /// Requests without a response, or with 502, 503 or 504: they may have been done.
    unanswered: usize,
}

impl Tally {
    /// The response, if the authority gave one.
    async fn ask(&mut self, balancer: &Balancer, request: &Request) -> Option<HttpResponse> {
        let response = balancer.try_ask(request).await;
        let response = response.filter(|it| !matches!(it.status, 502..=504));
        self.unanswered += usize::from(response.is_none());
        response
    }

    /// Panics unless the token is still what it was said to be.
    async fn expect(&mut self, balancer: &Balancer, token: &str, active: bool) {
        let Some(response) = self.ask(balancer, &verify(token)).await else { return };
        let status = if active { 200 } else { 400 };
        assert_eq!(response.status, status, "active: {active}; {}", response.text());
    }
}

/// Issues, verifies and revokes until the upgrade is done. Returns the tokens that were not
/// revoked.
async fn work(balancer: &Balancer, channel: &Channel, done: &AtomicBool) -> (Tally, Vec<String>) {
    let (mut tally, mut kept) = (Tally::default(), VecDeque::new());
    while !done.load(Ordering::Relaxed) {
        let issue = channel.issue_short_lived(With::default());
        let Some(issued) = tally.ask(balancer, &issue).await else {
            assert!(tally.unanswered < UNANSWERED, "the authority is away: {tally:?}");
            continue;
        };
        assert_eq!(issued.status, 200, "{}", issued.text());
        tally.issued += 1;
        kept.push_back(token_in(&issued));
        for token in &kept {
            tally.expect(balancer, token, true).await;
        }
        if kept.len() > KEPT
            && let Some(oldest) = kept.pop_front()
            && let Some(response) = tally.ask(balancer, &channel.revoke(&oldest)).await
        {
            assert_eq!(response.status, 200, "{}", response.text());
            tally.revoked += 1;
            tally.expect(balancer, &oldest, false).await;
        }
    }
    (tally, kept.into())
}

/// Creates a verifier, which is a change of a kind that only the newer version reads.
async fn new_verifier(server: &Server) -> HttpResponse {
    let body = json!({ "name": "gateway" });
    server.ask(&Request::admin("POST", "/verifiers", Some(&body))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_replaced_by_those_of_a_newer_build_under_load_and_nothing_is_lost() {
    let field = Field::new();
    let next = next_version();
    let ports = [(); 3].map(|()| ReservedPort::new().unwrap());
    let at = [0, 1, 2].map(|n: usize| ports[n].at());
    let mut old = Vec::new();
    for at in at {
        old.push(Server::start(command(&field, None, at)).await);
    }
    let balancer = haproxy(&field, &at).await;
    let provider = provider(&old[0]).await;
    let mut channels = Vec::new();
    for _ in 0..3 {
        channels.push(Channel::create(&old[0], &provider, &Key::generate()).await);
    }
    let done = AtomicBool::new(false);
    let schema = || {
        let sql = "SELECT max(version) FROM schema_version";
        field.postgres.ask(&field.database, sql).unwrap()[0][0].clone().unwrap()
    };
    assert_eq!(schema(), "1");

    let upgrade = async {
        let mut new = Vec::new();
        for (n, server) in std::mem::take(&mut old).into_iter().enumerate() {
            stop(server).await;
            new.push(Server::start(command(&field, Some(next.clone()), at[n])).await);
            assert_eq!(schema(), "2", "the first one of the new build changed the tables");
            if n < 2 {
                let refused = new_verifier(&new[n]).await;
                assert_eq!(refused.status, 503, "an old server could not read it");
                let why = refused.text();
                assert!(why.contains("servers of an older version run"), "{why}");
                assert!(at[n + 1..].iter().any(|it| why.contains(&it.to_string())), "{why}");
            }
        }
        done.store(true, Ordering::Relaxed);
        new
    };
    let client = |n: usize| work(&balancer, &channels[n], &done);
    let (new, a, b, c) = tokio::join!(upgrade, client(0), client(1), client(2));

    for (tally, kept) in [a, b, c] {
        eprintln!("{tally:?}");
        assert!(tally.issued > 10 && tally.revoked > 10, "the load went on: {tally:?}");
        for server in &new {
            for token in &kept {
                assert_eq!(server.ask(&verify(token)).await.status, 200, "it was issued");
            }
        }
    }
    let free = ReservedPort::new().unwrap();
    let old = refused(command(&field, None, free.at()));
    assert!(old.contains("has schema 2") && old.contains("up to 1"), "{old}");
    let created = new_verifier(&new[0]).await;
    assert_eq!(created.status, 201, "all servers read it: {}", created.text());
}
