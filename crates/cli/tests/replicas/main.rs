//! Several real servers on one PostgreSQL database: what one has answered holds for all.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests use more of it")]
#[path = "../process/line.rs"]
mod line;
#[path = "../process/mod.rs"]
mod process;
#[path = "../process/wall.rs"]
mod wall;

mod admin_token;
mod at_once;
mod audit;
mod balanced;
mod doctor;
mod failing;
mod full_disk;
mod master_key;
mod receipts;
mod signing_keys;
mod tls;
mod upgrade;

use line::{Channel, With, is_good, provider, token_in, verify};
use postgres_fixture::{PostgresServer, ServerSettings};
use process::{
    Server,
    http::{HttpResponse, Request},
    key::Key,
    serve,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::Instant;

/// The database server of the tests that do not stop it.
static SHARED: LazyLock<PostgresServer> =
    LazyLock::new(|| PostgresServer::start(ServerSettings::default()).unwrap());

/// A database, and the folders of the servers on it.
struct Field<'a> {
    postgres: &'a PostgresServer,
    database: String,
    home: TempDir,
}

impl Field<'static> {
    fn new() -> Self {
        Self::on(&SHARED)
    }
}

impl<'a> Field<'a> {
    fn on(postgres: &'a PostgresServer) -> Self {
        let database = postgres.empty_database().unwrap();
        Self { postgres, database, home: tempfile::tempdir().unwrap() }
    }

    fn master_key(&self) -> PathBuf {
        self.home.path().join("master.key")
    }

    /// The command that starts a server with a folder of its own.
    fn command(&self, name: &str, more: &[&str]) -> std::process::Command {
        let folder = self.home.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        let (store, key) = (self.postgres.url(&self.database), self.master_key());
        let mut command = serve(&folder, more);
        // Not as an argument, which other users of the machine can read.
        command.env("TEGATA_STORE", store).env("TEGATA_MASTER_KEY_FILE", key);
        command.env("TEGATA_PUBLIC_URL", "http://tokens.example");
        command
    }

    async fn start(&self, name: &str) -> Server {
        Server::start(self.command(name, &[])).await
    }

    /// Runs a command with the settings of a server; returns what it printed.
    fn tegata(&self, name: &str, words: &[&str]) -> Value {
        let out = self.command_of(name, words).args(["-o", "json"]).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{words:?}: {said}");
        serde_json::from_slice(&out.stdout).unwrap()
    }

    /// How many acts of that name the audit has.
    fn acts(&self, act: &str) -> usize {
        let sql = format!("SELECT id FROM audit WHERE act = '{act}'");
        self.postgres.ask(&self.database, &sql).unwrap().len()
    }

    /// What `tegata doctor` prints there.
    fn doctor(&self, name: &str) -> String {
        let out = self.command_of(name, &["doctor"]).output().unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    fn command_of(&self, name: &str, words: &[&str]) -> std::process::Command {
        let folder = self.home.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tegata"));
        command.args(words).current_dir(folder).env_clear();
        command.env("TEGATA_STORE", self.postgres.url(&self.database));
        command.env("TEGATA_MASTER_KEY_FILE", self.master_key());
        command
    }
}

async fn verifies(server: &Server, token: &str) -> bool {
    is_good(&server.ask(&verify(token)).await)
}

async fn issue(server: &Server, request: &Request) -> String {
    let response = server.ask(request).await;
    assert_eq!(response.status, 200, "{}", response.text());
    token_in(&response)
}

async fn change(server: &Server, channel: &Channel, body: Value) -> HttpResponse {
    let path = format!("/channels/{}", channel.id);
    let response = server.ask(&Request::admin("PATCH", &path, Some(&body))).await;
    assert_eq!(response.status, 200, "{}", response.text());
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_server_adds_another_knows_at_once_and_what_it_revokes_no_other_accepts() {
    let field = Field::new();
    let (a, b) = (field.start("a").await, field.start("b").await);
    let key = Key::generate();
    for round in 0..20 {
        let mut channel = Channel::create(&a, &provider(&a).await, &key).await;
        let v21 =
            issue(&b, &Channel::issue_v21(&channel.assertion(&key, 0), With::default())).await;
        let short = issue(&b, &channel.issue_short_lived(With::default())).await;
        let stateless = issue(&b, &channel.issue_stateless(With::default())).await;
        for token in [&v21, &short, &stateless] {
            assert!(verifies(&a, token).await && verifies(&b, token).await, "round {round}");
            assert_eq!(a.ask(&channel.revoke(token)).await.status, 200);
            assert!(!verifies(&b, token).await, "round {round}: revoked by the other server");
        }
        let token = issue(&a, &channel.issue_short_lived(With::default())).await;
        change(&a, &channel, json!({ "state": "suspended" })).await;
        assert!(!verifies(&b, &token).await, "round {round}: suspended");
        let denied = b.ask(&channel.issue_stateless(With::default())).await;
        assert_eq!(denied.status, 400, "round {round}: suspended");
        change(&a, &channel, json!({ "state": "active" })).await;
        assert!(verifies(&b, &token).await, "round {round}: resumed");
        let path = format!("/channels/{}/secret", channel.id);
        let new = a.create(&path, json!({})).await;
        let denied = b.ask(&channel.issue_stateless(With::default())).await;
        assert_eq!(denied.status, 400, "round {round}: the secret was replaced");
        channel.secret = new["channel_secret"].as_str().unwrap().to_owned();
        issue(&b, &channel.issue_stateless(With::default())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_servers_that_start_at_once_on_an_empty_database_one_makes_the_keys() {
    let field = Field::new();
    let starts = ["a", "b", "c"].map(|name| field.start(name));
    let [a, b, c] = starts;
    let (a, b, c) = tokio::join!(a, b, c);
    let keys = a.ask(&Request::admin("GET", "/signing-keys", None)).await.json();
    let keys = keys["signing_keys"].as_array().unwrap().clone();
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert_eq!(keys[0]["state"], "active");
    assert_eq!(
        field.postgres.ask(&field.database, "SELECT count(*) FROM audit_key").unwrap()[0][0]
            .as_deref(),
        Some("1")
    );
    let channel = Channel::create(&a, &provider(&a).await, &Key::generate()).await;
    for server in [&a, &b, &c] {
        let token = issue(server, &channel.issue_stateless(With::default())).await;
        for other in [&a, &b, &c] {
            assert!(verifies(other, &token).await);
        }
    }
    // A key that one of them makes is used by all.
    let path = format!("/signing-keys/{}/revoke", keys[0]["kid"].as_str().unwrap());
    let revoke = json!({ "signing_key": keys[0]["kid"] });
    let revoked = b.ask(&Request::admin("POST", "/revocations", Some(&revoke))).await;
    assert_eq!(revoked.status, 201, "{path}: {}", revoked.text());
    for server in [&a, &b, &c] {
        let token = issue(server, &channel.issue_stateless(With::default())).await;
        assert!(verifies(&a, &token).await && verifies(&c, &token).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_database_stops_verification_when_the_lease_runs_out_and_it_comes_back() {
    let postgres = PostgresServer::start(ServerSettings::default()).unwrap();
    let field = Field::on(&postgres);
    let (a, b) = (field.start("a").await, field.start("b").await);
    let channel = Channel::create(&a, &provider(&a).await, &Key::generate()).await;
    let token = issue(&a, &channel.issue_short_lived(With::default())).await;
    assert!(verifies(&b, &token).await);
    postgres.freeze();
    let frozen = Instant::now();
    let (mut good, mut after) = (Duration::ZERO, None);
    while after.is_none() && frozen.elapsed() < Duration::from_secs(10) {
        let asked = frozen.elapsed();
        let response = b.ask(&verify(&token)).await;
        match response.status {
            200 => good = asked,
            503 => {
                assert_eq!(response.header("retry-after"), Some("1"));
                after = Some(frozen.elapsed());
            }
            other => panic!("{other}: {}", response.text()),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let after = after.expect("the lease runs out");
    eprintln!("verified for {good:?} after the freeze, 503 after {after:?}");
    assert!(good > Duration::from_secs(1), "it went on from memory: {good:?}");
    assert!(after < Duration::from_millis(2_200), "a lease is 2 s: {after:?}");
    for request in
        [channel.issue_short_lived(With::default()), channel.issue_stateless(With::default())]
    {
        assert_eq!(b.ask(&request).await.status, 503);
    }
    let ready = b.ask(&Request::new("GET", "/readyz?verbose", &[], "")).await;
    assert_eq!(ready.status, 503, "{}", ready.text());
    assert_eq!(b.ask(&Request::new("GET", "/livez", &[], "")).await.status, 200);
    postgres.thaw();
    let thawed = Instant::now();
    loop {
        let response = b.ask(&verify(&token)).await;
        if response.status == 200 {
            break;
        }
        assert_eq!(response.status, 503, "never \"invalid\": {}", response.text());
        assert!(thawed.elapsed() < Duration::from_secs(30), "it does not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eprintln!("verified again {:?} after the thaw", thawed.elapsed());
}

/// What a server says that does not start.
fn refused(command: std::process::Command) -> String {
    let mut command = command;
    let out = command.output().unwrap();
    assert!(!out.status.success());
    String::from_utf8_lossy(&out.stderr).into_owned()
}

fn write_key(file: &Path, digit: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(file, digit.repeat(64)).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_master_key_or_none_is_refused_and_no_password_is_shown() {
    let field = Field::new();
    drop(field.start("a").await);
    let registered = || {
        let rows = field.postgres.ask(&field.database, "SELECT count(*)::text FROM replica");
        rows.unwrap()[0][0].as_deref().unwrap().parse::<usize>().unwrap()
    };
    let before = registered();
    let key = fs::read(field.master_key()).unwrap();
    fs::remove_file(field.master_key()).unwrap();
    let error = refused(field.command("a", &[]));
    assert!(error.contains("there is no master key at"), "{error}");
    assert!(registered() <= before, "a server that did not start is registered");
    assert!(!field.master_key().exists(), "none is made for a database that has keys");
    write_key(&field.master_key(), "a");
    let error = refused(field.command("a", &[]));
    assert!(error.contains("is not the master key that encrypts"), "{error}");
    // Else each act of other servers would wait for it.
    assert!(registered() <= before, "a server that did not start is registered");
    fs::write(field.master_key(), key).unwrap();
    let mut none = field.command("a", &[]);
    none.env_remove("TEGATA_MASTER_KEY_FILE");
    assert!(refused(none).contains("master_key_file: required with PostgreSQL"));
    for address in ["postgres://me:hush-hush@127.0.0.1:1/t", "postgress://me:hush-hush@db/t"] {
        let mut command = field.command("a", &[]);
        command.env("TEGATA_STORE", address);
        let error = refused(command);
        assert!(!error.contains("hush-hush"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_key_that_one_server_replaced_is_used_by_the_others() {
    let field = Field::new();
    let (a, b) = (field.start("a").await, field.start("b").await);
    let channel = Channel::create(&a, &provider(&a).await, &Key::generate()).await;
    let old = fs::read(field.master_key()).unwrap();
    let rotated = a.ask(&Request::admin("POST", "/master-key", Some(&json!({})))).await;
    assert!(rotated.status < 300, "{}", rotated.text());
    assert_ne!(fs::read(field.master_key()).unwrap(), old);
    // The other server makes a key, which only the new master key may encrypt.
    b.create("/signing-keys", json!({})).await;
    issue(&b, &channel.issue_stateless(With::default())).await;
    drop((a, b));
    let again = field.start("c").await;
    issue(&again, &channel.issue_stateless(With::default())).await;
}
