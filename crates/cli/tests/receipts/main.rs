//! Receipts with followers in processes of their own: some freeze, some are cut off, some
//! are killed, and the authority is killed under them. After a complete receipt none accepts.

#![expect(
    clippy::disallowed_methods,
    reason = "real processes and waits are measured in real time"
)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clocks;
mod copies;
mod gates;
mod herd;
#[path = "../process/line.rs"]
#[expect(dead_code, reason = "shared with tests that need all of it")]
mod line;
#[path = "../process/mod.rs"]
mod process;
mod proxy;
mod restored;
mod rotating;
#[path = "../process/wall.rs"]
mod wall;

use process::{Server, http::Request, serve};
use proxy::Proxy;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

/// The staleness of all followers, in milliseconds.
const STALENESS: u32 = 2_000;

/// Followers in one process; dropping it kills it.
struct Followers {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Followers {
    fn start(address: &str, token: &str, count: usize) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/receipts/follower.py");
        let mut python = Command::new("python3");
        let (staleness, count) = (STALENESS.to_string(), count.to_string());
        python.args([script, address, token, &staleness, &count]);
        let mut process =
            python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start python3");
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, input, output }
    }

    fn ask(&mut self, question: &str) -> usize {
        writeln!(self.input, "{question}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }

    /// How many would accept a token of this channel.
    fn accepts(&mut self, channel: &str) -> usize {
        self.ask(&format!("accepts {channel}"))
    }

    /// Waits until so many accept tokens of this channel.
    fn until_accepting(&mut self, channel: &str, count: usize) {
        let patience = Instant::now() + Duration::from_secs(60);
        while self.accepts(channel) < count {
            assert!(Instant::now() < patience, "the followers do not become fresh");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(id, signal).unwrap();
    }
}

impl Drop for Followers {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct World {
    server: Server,
    folder: tempfile::TempDir,
    token: String,
    verifier: String,
    provider: String,
}

impl World {
    async fn new() -> Self {
        Self::of(|folder| serve(folder, &[])).await
    }

    /// The authority that this command starts in a folder.
    async fn of(serve: impl FnOnce(&Path) -> Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(serve(folder.path())).await;
        let new = json!({ "name": "gateway", "max_staleness": STALENESS });
        let made = server.create("/verifiers", new).await;
        let provider = server.create("/providers", json!({ "name": "provider" })).await;
        let text = |it: &Value| it.as_str().unwrap().to_owned();
        let (token, verifier) = (text(&made["verifier_token"]), text(&made["verifier_id"]));
        Self { server, folder, token, verifier, provider: text(&provider["provider_id"]) }
    }

    async fn channel(&self) -> String {
        let path = format!("/providers/{}/channels", self.provider);
        let new = json!({ "name": "channel", "type": "messaging-api" });
        let made = self.server.create(&path, new).await;
        made["channel_id"].as_str().unwrap().to_owned()
    }

    async fn revoke(&self, channel: &str, wait: u64) -> Value {
        let body = json!({ "all": true, "wait_seconds": wait });
        self.server.create(&format!("/channels/{channel}/revocations"), body).await
    }

    async fn receipt(&self, position: &Value, wait: u64) -> Value {
        let path = format!("/receipts/{}?wait_seconds={wait}", position.as_str().unwrap());
        let response = self.server.ask(&Request::admin("GET", &path, None)).await;
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()
    }

    async fn instances(&self) -> usize {
        let path = format!("/verifiers/{}", self.verifier);
        let shown = self.server.ask(&Request::admin("GET", &path, None)).await.json();
        shown["instances"].as_array().unwrap().len()
    }

    /// Runs a command on the store.
    fn run(&self, words: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tegata"));
        let command = command.args(words).args(["--store", "sqlite:tegata.db"]);
        let done = command.current_dir(self.folder.path()).output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn address(&self) -> String {
        self.server.address().to_string()
    }
}

/// How many instances of a receipt are in each of these states.
#[track_caller]
fn states<const N: usize>(receipt: &Value, names: [&str; N]) -> [usize; N] {
    let lines = receipt["verifiers"].as_array().unwrap();
    names.map(|name| lines.iter().filter(|it| it["state"] == name).count())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_complete_receipt_no_process_accepts() {
    let world = World::new().await;
    let channel = world.channel().await;
    let mut all: Vec<_> =
        (0..3).map(|_| Followers::start(&world.address(), &world.token, 1)).collect();
    all.iter_mut().for_each(|it| it.until_accepting(&channel, 1));
    let revoked = world.revoke(&channel, 30).await;
    assert_eq!(revoked["receipt"]["state"], "complete", "{revoked:#}");
    assert_eq!(states(&revoked["receipt"], ["acknowledged"]), [3]);
    assert!(all.iter_mut().all(|it| it.accepts(&channel) == 0));
    assert!(all.iter_mut().all(|it| it.ask("fresh") == 1), "they know it, and are not stale");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_a_cut_off_and_a_killed_process_are_named_until_their_leases_run_out() {
    let world = World::new().await;
    let channel = world.channel().await;
    let proxy = Proxy::to(world.server.address()).await;
    let start = |address: &str| Followers::start(address, &world.token, 1);
    let (mut well, mut frozen) = (start(&world.address()), start(&world.address()));
    let (mut killed, mut cut_off) = (start(&world.address()), start(&proxy.address().to_string()));
    for it in [&mut well, &mut frozen, &mut killed, &mut cut_off] {
        it.until_accepting(&channel, 1);
    }
    frozen.signal(rustix::process::Signal::STOP);
    killed.signal(rustix::process::Signal::KILL);
    proxy.swallow(true);
    let began = Instant::now();
    let revoked = world.revoke(&channel, 0).await;
    assert_eq!(revoked["receipt"]["state"], "pending");
    assert!(states(&revoked["receipt"], ["waiting"])[0] >= 3, "{revoked:#}");
    assert_eq!(cut_off.accepts(&channel), 1, "it does not know yet");
    let receipt = world.receipt(&revoked["position"], 30).await;
    assert_eq!(receipt["state"], "complete", "{receipt:#}");
    assert_eq!(states(&receipt, ["acknowledged", "lease-expired"]), [1, 3], "{receipt:#}");
    assert!(began.elapsed() >= Duration::from_millis(2_300), "{:?}", began.elapsed());
    frozen.signal(rustix::process::Signal::CONT);
    for it in [&mut well, &mut frozen, &mut cut_off] {
        assert_eq!(it.accepts(&channel), 0);
    }
    proxy.swallow(false);
    let other = world.channel().await;
    cut_off.until_accepting(&other, 1);
    assert_eq!(cut_off.accepts(&channel), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_authority_loses_no_receipt_and_its_followers_go_on() {
    const FOLLOWERS: usize = 100;
    let mut world = World::new().await;
    let (before, after) = (world.channel().await, world.channel().await);
    let proxy = Proxy::to(world.server.address()).await;
    let mut followers = Followers::start(&proxy.address().to_string(), &world.token, FOLLOWERS);
    followers.until_accepting(&before, FOLLOWERS);
    assert_eq!(world.instances().await, FOLLOWERS);
    // Nothing reaches the followers from here on, so the receipt stays pending.
    proxy.swallow(true);
    let revoked = world.revoke(&before, 0).await;
    assert_eq!(revoked["receipt"]["state"], "pending");
    world.server.process.kill().unwrap();
    world.server.process.wait().unwrap();
    world.server = Server::start(serve(world.folder.path(), &[])).await;
    let receipt = world.receipt(&revoked["position"], 0).await;
    assert_eq!(receipt["verifiers"].as_array().unwrap().len(), FOLLOWERS, "{receipt:#}");
    proxy.point_at(world.server.address());
    proxy.swallow(false);
    let receipt = world.receipt(&revoked["position"], 60).await;
    assert_eq!(receipt["state"], "complete", "{receipt:#}");
    assert_eq!(followers.accepts(&before), 0);
    followers.until_accepting(&after, FOLLOWERS);
    let revoked = world.revoke(&after, 30).await;
    assert_eq!(states(&revoked["receipt"], ["acknowledged"]), [FOLLOWERS], "{revoked:#}");
    assert_eq!(followers.accepts(&after), 0);
    assert_eq!(world.instances().await, FOLLOWERS, "none was registered twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_was_shown_as_complete_stays_so_when_the_authority_is_killed_at_once() {
    let mut world = World::new().await;
    let channel = world.channel().await;
    let mut followers = Followers::start(&world.address(), &world.token, 3);
    followers.until_accepting(&channel, 3);
    let revoked = world.revoke(&channel, 30).await;
    world.server.process.kill().unwrap();
    assert_eq!(revoked["receipt"]["state"], "complete", "{revoked:#}");
    followers.signal(rustix::process::Signal::KILL);
    world.server.process.wait().unwrap();
    world.server = Server::start(serve(world.folder.path(), &[])).await;
    assert_eq!(world.receipt(&revoked["position"], 0).await, revoked["receipt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_recovery_receipts_name_the_instances_that_the_store_may_have_lost() {
    const LOST: &str = "instances_lost_with_the_store";
    let mut world = World::new().await;
    let lenient = json!({ "name": "lenient", "max_staleness": 500, "allow": true });
    let lenient = world.server.create("/verifiers", lenient).await;
    world.server.process.kill().unwrap();
    world.server.process.wait().unwrap();
    world.run(&["recover", "--revoke-everything"]);
    world.server = Server::start(serve(world.folder.path(), &[])).await;
    let channel = world.channel().await;
    let revoked = world.revoke(&channel, 3).await;
    assert_eq!(revoked["receipt"]["state"], "pending", "{revoked:#}");
    let receipt = &revoked["receipt"];
    assert_eq!(states(receipt, ["lease-expired", "may-still-accept"]), [1, 1], "{receipt:#}");
    assert!(receipt["verifiers"].as_array().unwrap().iter().all(|it| it["instance"] == LOST));
    let id = lenient["verifier_id"].as_str().unwrap();
    let path = format!("/verifiers/{id}/instances/{LOST}");
    let removed = world.server.ask(&Request::admin("DELETE", &path, None)).await;
    assert_eq!(removed.status, 200, "{}", removed.text());
    let receipt = world.receipt(&revoked["position"], 0).await;
    assert_eq!(receipt["state"], "complete", "{receipt:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_waits_prints_at_once_which_instance_it_waits_for() {
    let world = World::new().await;
    let channels = [world.channel().await, world.channel().await];
    let mut frozen = Followers::start(&world.address(), &world.token, 1);
    frozen.until_accepting(&channels[1], 1);
    frozen.signal(rustix::process::Signal::STOP);
    let start = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tegata"));
        command.args(words).env("TEGATA_URL", format!("http://{}", world.address()));
        command.env("TEGATA_ADMIN_TOKEN", process::ADMIN_TOKEN);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let revoke = ["token", "revoke", "--all", "--yes", "--wait", "30", "--channel"];
    let mut running = start(&[&revoke[..], &[&channels[0]]].concat());
    let mut said = String::new();
    BufReader::new(running.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(running.try_wait().unwrap().is_none(), "it was printed when the wait was over");
    assert!(said.starts_with("waiting up to ") && said.contains("gateway"), "{said}");
    assert!(said.trim().ends_with(": waiting"), "{said}");
    let done = running.wait_with_output().unwrap();
    let printed = String::from_utf8(done.stdout).unwrap();
    assert!(printed.contains("receipt") && printed.contains("complete"), "{printed}");
    assert!(printed.contains("lease-expired"), "{printed}");

    let mut fresh = Followers::start(&world.address(), &world.token, 1);
    fresh.until_accepting(&channels[1], 1);
    fresh.signal(rustix::process::Signal::STOP);
    let revoked = world.revoke(&channels[1], 0).await;
    let position = revoked["position"].as_str().unwrap();
    let mut running = start(&["receipt", "show", position, "--wait", "30"]);
    let mut said = String::new();
    BufReader::new(running.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.starts_with("waiting up to 30 s for gateway"), "{said}");
    assert!(running.wait().unwrap().success());
}
