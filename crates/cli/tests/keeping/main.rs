//! An older store revives no revoked token: backups and copies are put back after
//! revocations of every kind, and the real program verifies the tokens. And the
//! authority's keys and tokens are replaced without a lost request, whenever the process
//! is killed.
//!
//! `TEGATA_LONG=1` kills ten times as often.

mod left_log;
#[path = "../process/line.rs"]
#[expect(dead_code, reason = "shared with other test programs")]
mod line;
mod master_key;
mod moving;
mod one_commit_back;
#[path = "../process/mod.rs"]
mod process;
mod provider;
mod time;

use line::{Channel, With, is_good, token_in, verify};
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
    process::{Command, Output, Stdio},
    time::Duration,
};

/// A home for a store, with its revocation journal.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("it works"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self) -> Command {
        let words =
            ["--dev", "--store", "sqlite:tegata.db", "--revocation-journal", "revocations.log"];
        serve(self.0.path(), &words)
    }

    async fn start(&self) -> Server {
        Server::start(self.command()).await
    }

    /// The message of a start that must be refused.
    fn refused(&self) -> String {
        refused(self.command())
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tegata"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TEGATA_") {
                command.env_remove(name);
            }
        }
        command.args(words).current_dir(self.0.path()).env("TEGATA_ADMIN_TOKEN", ADMIN);
        command.stdin(Stdio::null()).output().expect("it works")
    }

    /// Runs a command that must succeed; returns its JSON.
    #[track_caller]
    fn tegata(&self, words: &[&str]) -> Value {
        let output = self.run(&[words, &["-o", "json"]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
        serde_json::from_slice(&output.stdout).expect("it works")
    }
}

use process::ADMIN_TOKEN as ADMIN;

/// The message of a start that must be refused; a process that starts is killed.
fn refused(mut command: Command) -> String {
    let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("started");
    for _ in 0..400 {
        if process.try_wait().expect("a child of ours").is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // It has exited, unless it was wrongly accepted.
    let _ = process.kill();
    let output = process.wait_with_output().expect("it ended");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

/// Stops a server in good order.
fn stop(mut server: Server) {
    let id = server.process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().expect("it works").success());
    assert!(server.process.wait().expect("it works").success());
}

async fn good(server: &Server, token: &str) -> bool {
    is_good(&server.ask(&verify(token)).await)
}

#[track_caller]
fn ok(response: &HttpResponse) {
    assert!((200..300).contains(&response.status), "{}", response.text());
}

/// Moves the clock forward, and lets the store write the time.
async fn pass(server: &Server, seconds: u64) {
    let body = json!({ "advance_seconds": seconds }).to_string();
    let json = [("content-type", "application/json")];
    ok(&server.ask(&Request::new("POST", "/dev/clock", &json, &body)).await);
    line::provider(server).await;
}

/// Tokens that are revoked after the backup, each in another way, and others that are not.
struct Scene {
    key: Key,
    channels: Vec<Channel>,
    ended: Vec<(&'static str, String)>,
    kept: Vec<String>,
}

impl Scene {
    async fn set(server: &Server) -> Self {
        let key = Key::generate();
        let provider = line::provider(server).await;
        let mut scene = Self { key, channels: Vec::new(), ended: Vec::new(), kept: Vec::new() };
        for _ in 0..WAYS.len() {
            scene.channels.push(Channel::create(server, &provider, &scene.key).await);
        }
        let plain = With::default();
        let team = With { group: Some("team"), ..plain };
        for (number, way) in WAYS.into_iter().enumerate() {
            let channel = &scene.channels[number];
            let assertion = channel.assertion(&scene.key, number);
            let request = match way {
                "v2.1" | "key" => Channel::issue_v21(&assertion, plain),
                "stateless" => channel.issue_stateless(plain),
                "group" => channel.issue_short_lived(team),
                _ => channel.issue_short_lived(plain),
            };
            scene.ended.push((way, token_in(&server.ask(&request).await)));
            // Beside it, a token that the revocation does not cover.
            let request = match way {
                "v2.1" | "stateless" | "short-lived" | "group" => channel.issue_short_lived(plain),
                "kind" => Channel::issue_v21(&assertion, plain),
                "key" => channel.issue_short_lived(plain),
                _ => continue,
            };
            scene.kept.push(token_in(&server.ask(&request).await));
        }
        scene
    }

    async fn end(&self, server: &Server) {
        for (number, (way, token)) in self.ended.iter().enumerate() {
            let channel = &self.channels[number];
            let patch = |body: Value| {
                Request::admin("PATCH", &format!("/channels/{}", channel.id), Some(&body))
            };
            let request = match *way {
                "v2.1" | "stateless" | "short-lived" => channel.revoke(token),
                "group" => channel.revocation(&json!({ "group": "team" })),
                "kind" => channel.revocation(&json!({ "kind": "short-lived" })),
                "channel" => channel.revocation(&json!({ "all": true })),
                "suspended" => patch(json!({ "state": "suspended" })),
                "deleted" => Request::admin("DELETE", &format!("/channels/{}", channel.id), None),
                "secret" => Request::admin(
                    "POST",
                    &format!("/channels/{}/secret", channel.id),
                    Some(&json!({ "revoke_tokens": "all" })),
                ),
                "key" => {
                    let path = format!("/channels/{}/assertion-keys", channel.id);
                    let keys = server.ask(&Request::admin("GET", &path, None)).await.json();
                    let kid =
                        keys["assertion_keys"][0]["kid"].as_str().expect("it works").to_owned();
                    let path = format!("{path}/{kid}?revoke_tokens=true");
                    Request::admin("DELETE", &path, None)
                }
                other => unreachable!("{other}"),
            };
            ok(&server.ask(&request).await);
            assert!(!good(server, token).await, "{way}");
        }
    }
}

const WAYS: [&str; 10] = [
    "v2.1",
    "stateless",
    "short-lived",
    "group",
    "kind",
    "channel",
    "suspended",
    "deleted",
    "secret",
    "key",
];

/// How an older state is put back.
#[derive(Clone, Copy, PartialEq)]
enum Back {
    Restored,
    CopiedByHand,
}

async fn an_older_state_comes_back(back: Back) {
    let home = Home::new();
    let server = home.start().await;
    let scene = Scene::set(&server).await;
    pass(&server, 60).await;
    match back {
        Back::Restored => drop(home.tegata(&["backup", "old.db"])),
        Back::CopiedByHand => {
            // In the middle of the same run, without a concurrent write.
            fs::copy(home.path("tegata.db"), home.path("old.db")).expect("it works");
            fs::copy(home.path("tegata.db-wal"), home.path("old.db-wal")).expect("it works");
        }
    }
    pass(&server, 60).await;
    scene.end(&server).await;
    let reader = line::Reader::of(&server).await;
    let shop = &scene.channels[2];
    let late = token_in(&server.ask(&shop.issue_short_lived(With::default())).await);
    let late_serial = reader.claims(&late).serial;
    for token in &scene.kept {
        assert!(good(&server, token).await);
    }
    // The rollback guard's maximum lag.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    stop(server);

    match back {
        Back::Restored => drop(home.tegata(&["restore", "old.db"])),
        Back::CopiedByHand => {
            fs::copy(home.path("old.db"), home.path("tegata.db")).expect("it works");
            fs::copy(home.path("old.db-wal"), home.path("tegata.db-wal")).expect("it works");
            let _ = fs::remove_file(home.path("tegata.db-shm"));
        }
    }
    let said = home.refused();
    assert!(said.contains("--replay") && said.contains("--revoke-everything"), "{said}");
    let recover = ["recover", "--replay", "revocations.log"];
    home.tegata(&[&recover[..], &["--dry-run"]].concat());
    home.refused();
    let done = home.tegata(&recover);
    assert!(done["epoch"].as_u64() > Some(1), "{done}");

    let server = home.start().await;
    for (way, token) in &scene.ended {
        assert!(!good(&server, token).await, "{way} lives again");
    }
    for token in &scene.kept {
        assert!(good(&server, token).await, "a token that was not revoked was lost");
    }
    assert!(!good(&server, &late).await, "what the store does not know of lives");
    let response = server.ask(&shop.issue_short_lived(With::default())).await;
    let fresh = token_in(&response);
    assert!(good(&server, &fresh).await);
    assert!(line::Reader::of(&server).await.claims(&fresh).serial > late_serial);
    // The replaced secret and the deleted key are revoked.
    let old_secret = &scene.channels[8];
    assert!(server.ask(&old_secret.issue_short_lived(With::default())).await.status >= 400);
    let assertion = scene.channels[9].assertion(&scene.key, 77);
    assert!(server.ask(&Channel::issue_v21(&assertion, With::default())).await.status >= 400);
    stop(server);
    // Also after another start.
    let server = home.start().await;
    assert!(good(&server, &fresh).await);
    stop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_backup_revives_nothing_and_loses_nothing() {
    an_older_state_comes_back(Back::Restored).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_copy_put_back_by_hand_revives_nothing_and_loses_nothing() {
    an_older_state_comes_back(Back::CopiedByHand).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_revocation_of_everything_no_token_is_active_and_a_revoked_key_stays_revoked() {
    let home = Home::new();
    let server = home.start().await;
    let scene = Scene::set(&server).await;
    pass(&server, 60).await;
    home.tegata(&["backup", "old.db"]);
    // All keys are treated as stolen.
    let all = Request::admin("POST", "/revocations", Some(&json!({ "all": true })));
    ok(&server.ask(&all).await);
    stop(server);
    let none_active = async |server: &Server| {
        for token in scene.ended.iter().map(|(_, token)| token).chain(&scene.kept) {
            assert!(!good(server, token).await);
        }
    };
    home.tegata(&["restore", "old.db"]);
    home.tegata(&["recover", "--replay", "revocations.log"]);
    let server = home.start().await;
    none_active(&server).await;
    let shop = &scene.channels[2];
    let second = token_in(&server.ask(&shop.issue_short_lived(With::default())).await);
    assert!(good(&server, &second).await);
    stop(server);

    home.tegata(&["restore", "old.db"]);
    home.refused();
    let words = ["recover", "--revoke-everything", "--revocation-journal", "revocations.log"];
    let recovered = home.tegata(&words);
    assert!(recovered["tokens_revoked"].as_u64() > Some(0), "{recovered}");
    let server = home.start().await;
    none_active(&server).await;
    assert!(!good(&server, &second).await);
    stop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_revocation_of_everything_no_invitation_of_the_copy_can_be_accepted() {
    let home = Home::new();
    let server = home.start().await;
    let new = json!({ "login": "mika", "operator": "administrator" });
    let invited = server.create("/people/invitations", new).await;
    let person = invited["person_id"].as_str().expect("an id");
    home.tegata(&["backup", "old.db"]);
    let gone = Request::admin("DELETE", &format!("/people/{person}"), None);
    assert_eq!(server.ask(&gone).await.status, 204);
    stop(server);

    home.tegata(&["restore", "old.db"]);
    let words = ["recover", "--revoke-everything", "--revocation-journal", "revocations.log"];
    let recovered = home.run(&words);
    let said = String::from_utf8_lossy(&recovered.stderr);
    assert!(recovered.status.success() && said.contains("no person can sign in"), "{said}");
    let server = home.start().await;
    let open = json!({ "invitation": invited["invitation"] }).to_string();
    let json = [("Content-Type", "application/json")];
    let request = Request::new("POST", "/admin/v1/invitations/open", &json, &open);
    assert_eq!(server.ask(&request).await.status, 404, "the invitation of the copy");
    stop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_without_its_rollback_guard_or_a_new_store_in_its_place_is_refused() {
    let home = Home::new();
    stop(home.start().await);
    let guard = fs::read(home.path("tegata.db.guard")).expect("it works");
    fs::remove_file(home.path("tegata.db.guard")).expect("it works");
    assert!(home.refused().contains("its rollback guard is missing"));
    fs::write(home.path("tegata.db.guard"), "{").expect("it works");
    assert!(home.refused().contains("its rollback guard cannot be read"));
    fs::write(home.path("tegata.db.guard"), guard).expect("it works");
    stop(home.start().await);
    fs::rename(home.path("tegata.db"), home.path("elsewhere.db")).expect("it works");
    assert!(home.refused().contains("this store is new"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rollback_guard_alone_detects_a_copy_from_the_same_run() {
    let home = Home::new();
    let without_log = || serve(home.0.path(), &["--dev", "--store", "sqlite:tegata.db"]);
    let server = Server::start(without_log()).await;
    for file in ["tegata.db", "tegata.db-wal"] {
        fs::copy(home.path(file), home.path(&format!("old-{file}"))).expect("copied");
    }
    line::provider(&server).await;
    // The rollback guard's maximum lag.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    stop(server);
    for file in ["tegata.db", "tegata.db-wal"] {
        fs::copy(home.path(&format!("old-{file}")), home.path(file)).expect("copied back");
    }
    let said = refused(without_log());
    assert!(said.contains("it stands at commit "), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kill_at_any_moment_causes_a_false_alarm_of_the_rollback_guard() {
    let rounds = if std::env::var_os("TEGATA_LONG").is_some() { 300 } else { 30 };
    let home = Home::new();
    stop(home.start().await);
    for round in 0..rounds {
        // Killed during the start, and shortly after it.
        let mut process =
            home.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it works");
        tokio::time::sleep(Duration::from_millis(round * 7 % 120)).await;
        process.kill().expect("it works");
        process.wait().expect("it works");
        if round % 3 == 0 {
            // Also killed while it writes.
            let mut server = home.start().await;
            let provider = line::provider(&server).await;
            for _ in 0..round % 5 {
                let path = format!("/providers/{provider}/channels");
                server.create(&path, json!({ "name": "x", "type": "messaging-api" })).await;
            }
            tokio::time::sleep(Duration::from_millis(round * 37 % 700)).await;
            server.process.kill().expect("it works");
        }
    }
    // It panics if the start is refused.
    stop(home.start().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_holds_no_usable_secret_without_the_master_key() {
    let home = Home::new();
    let server = home.start().await;
    let scene = Scene::set(&server).await;
    home.tegata(&["backup", "old.db"]);
    let backup = fs::read(home.path("old.db")).expect("it works");
    let log = fs::read(home.path("revocations.log")).expect("it works");
    let master = fs::read_to_string(home.path("master.key")).expect("it works");
    let master = master.trim();
    let digits =
        master.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("it works"));
    let raw: Vec<u8> = digits.map(|pair| u8::from_str_radix(pair, 16).expect("it works")).collect();
    let secrets = scene.channels.iter().map(|channel| channel.secret.clone().into_bytes());
    let tokens = scene.kept.iter().chain(scene.ended.iter().map(|(_, token)| token));
    let canaries: Vec<Vec<u8>> = secrets
        .chain(tokens.map(|token| token.clone().into_bytes()))
        .chain([ADMIN.as_bytes().to_vec(), master.as_bytes().to_vec(), raw])
        .collect();
    for canary in canaries {
        for file in [&backup, &log] {
            assert!(!file.windows(canary.len()).any(|part| part == canary));
        }
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(home.path("old.db")).expect("it works").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let again = home.run(&["backup", "old.db"]);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(fs::read(home.path("old.db")).expect("it works"), backup, "it was written over");
    stop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_master_key_changes_under_a_running_server_and_no_request_is_lost() {
    let home = Home::new();
    let server = home.start().await;
    let key = Key::generate();
    let provider = line::provider(&server).await;
    let shop = Channel::create(&server, &provider, &key).await;
    let url = format!("http://{}", server.address());
    let before = fs::read(home.path("master.key")).expect("it works");
    let mut tokens = Vec::new();
    for round in 0..5 {
        let rotating = {
            let (path, url) = (home.0.path().to_owned(), url.clone());
            tokio::task::spawn_blocking(move || rotate(&path, &url))
        };
        while !rotating.is_finished() {
            let request = shop.issue_short_lived(With::default());
            tokens.push(token_in(&server.ask(&request).await));
        }
        rotating.await.expect("it works");
        let rotate = Request::admin("POST", "/signing-keys", Some(&json!({})));
        let status = server.ask(&rotate).await.status;
        assert!(status == if round == 0 { 201 } else { 409 }, "{status}");
    }
    assert_ne!(fs::read(home.path("master.key")).expect("it works"), before);
    let newest = tokens.last().expect("it works").clone();
    assert!(good(&server, &newest).await);
    stop(server);
    home.tegata(&["master-key", "rotate"]);
    let server = home.start().await;
    assert!(good(&server, &newest).await);
    ok(&server.ask(&shop.issue_short_lived(With::default())).await);
    stop(server);
}

fn rotate(home: &Path, url: &str) {
    let done = Command::new(env!("CARGO_BIN_EXE_tegata"))
        .args(["master-key", "rotate", "--url", url])
        .env("TEGATA_ADMIN_TOKEN", ADMIN)
        .current_dir(home)
        .output()
        .expect("it works");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_rotation_of_the_master_key_leaves_a_key_that_decrypts_the_store() {
    let rounds = if std::env::var_os("TEGATA_LONG").is_some() { 300 } else { 30 };
    let home = Home::new();
    stop(home.start().await);
    for round in 0..rounds {
        let mut process = Command::new(env!("CARGO_BIN_EXE_tegata"))
            .args(["master-key", "rotate", "--store", "sqlite:tegata.db"])
            .current_dir(home.0.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it works");
        tokio::time::sleep(Duration::from_micros(round * 1_700 % 60_000)).await;
        process.kill().expect("it works");
        process.wait().expect("it works");
        if round % 10 == 9 {
            stop(home.start().await);
        }
    }
    stop(home.start().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_of_a_restore_prints_what_it_would_do_and_changes_nothing() {
    let home = Home::new();
    stop(home.start().await);
    home.tegata(&["backup", "backup.db"]);
    let store = fs::read(home.path("tegata.db")).expect("a store");
    let tried = home.tegata(&["restore", "backup.db", "--dry-run"]);
    assert!(tried["moved_aside"].as_str().expect("a name").ends_with("tegata.db.replaced-1"));
    let elsewhere = ["restore", "backup.db", "--dry-run", "--store", "sqlite:new.db"];
    assert!(home.tegata(&elsewhere)["moved_aside"].is_null());
    assert_eq!(fs::read(home.path("tegata.db")).expect("a store"), store);
    for file in ["tegata.db.replaced-1", "tegata.db.restoring", "new.db"] {
        assert!(!home.path(file).exists(), "{file}");
    }
    fs::write(home.path("backup.db"), "no backup").expect("written");
    assert!(!home.run(&["restore", "backup.db", "--dry-run"]).status.success());
    stop(home.start().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_fails_leaves_no_file_behind() {
    let home = Home::new();
    stop(home.start().await);
    home.tegata(&["backup", "backup.db"]);
    let store = fs::read(home.path("tegata.db")).expect("a store");
    // Cut off in the middle: its header is whole, and its rows are not.
    let backup = fs::read(home.path("backup.db")).expect("a backup");
    fs::write(home.path("backup.db"), &backup[..backup.len() / 2]).expect("written");
    for words in [&["restore", "backup.db"][..], &["restore", "backup.db", "--dry-run"]] {
        for to in ["sqlite:tegata.db", "sqlite:new.db"] {
            let output = home.run(&[words, &["--store", to]].concat());
            assert!(!output.status.success(), "{words:?} {to}");
        }
    }
    for file in ["tegata.db.restoring", "tegata.db.replaced-1", "new.db", "new.db.restoring"] {
        assert!(!home.path(file).exists(), "{file}");
    }
    assert_eq!(fs::read(home.path("tegata.db")).expect("a store"), store);
    stop(home.start().await);
}
