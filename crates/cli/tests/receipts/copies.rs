//! Proxies that start with a copy of a view that is of no use: too old, damaged, or of an
//! epoch that the authority has left.

use crate::{
    World,
    gates::{
        channel, command, issue, last_accepted, revoke, until_in_epoch_of, until_ready_has,
        verifier, verify,
    },
    process::{Server, serve},
    proxy::Proxy,
};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::{Duration, Instant},
};

/// A proxy that may never be ready; dropping it kills it.
struct Listening {
    process: Child,
    address: SocketAddr,
}

impl Listening {
    fn start(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://");
        let address = address.unwrap_or_else(|| panic!("it does not listen: {line}"));
        Self { process, address: address.parse().unwrap() }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The copy, once the view that is in force is on disk.
async fn copy_of(world: &World) -> Vec<u8> {
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        let copy = fs::read(world.folder.path().join("view")).unwrap_or_default();
        if serde_json::from_slice::<Value>(&copy).is_ok() {
            return copy;
        }
        assert!(Instant::now() < patience, "no copy: {}", String::from_utf8_lossy(&copy));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_that_is_put_back_is_not_used_after_the_receipt() {
    let world = World::new().await;
    let channel = channel(&world).await;
    let proxy = Proxy::to(world.server.address()).await;
    let (_, verifier) = verifier(&world, "gateway", 2_000).await;
    let words = ["--max-staleness", "2s", "--copy", "view"];
    let start = || command(&world, proxy.address(), &verifier, &words);
    let gate = Listening::start(start());
    until_ready_has(gate.address, r#""status":"ready""#).await;
    let token = issue(&world, &channel).await;
    assert_eq!(verify(gate.address, &token).await, Some(200));
    let old = copy_of(&world).await;
    proxy.swallow(true);
    drop(gate);
    let revoked = revoke(&world, &channel, &token, 30).await;
    assert_eq!(revoked["receipt"]["state"], "complete", "{revoked:#}");
    fs::write(world.folder.path().join("view"), old).unwrap();
    let gate = Listening::start(start());
    assert_eq!(verify(gate.address, &token).await, Some(503));
    proxy.swallow(false);
    until_ready_has(gate.address, r#""status":"ready""#).await;
    assert_eq!(verify(gate.address, &token).await, Some(401));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_copy_is_replaced() {
    let world = World::new().await;
    let channel = channel(&world).await;
    let (_, verifier) = verifier(&world, "gateway", 60_000).await;
    let words = ["--max-staleness", "60s", "--copy", "view"];
    let start = || command(&world, world.server.address(), &verifier, &words);
    let gate = Listening::start(start());
    until_ready_has(gate.address, r#""status":"ready""#).await;
    let whole = copy_of(&world).await;
    drop(gate);
    let token = issue(&world, &channel).await;
    revoke(&world, &channel, &token, 0).await;
    for length in [0, 1, 30, whole.len() / 2, whole.len() - 1] {
        fs::write(world.folder.path().join("view"), &whole[..length]).unwrap();
        let gate = Listening::start(start());
        until_ready_has(gate.address, r#""status":"ready""#).await;
        assert_eq!(verify(gate.address, &token).await, Some(401), "{length} bytes");
        copy_of(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_an_earlier_epoch_is_used_for_no_longer_than_a_receipt_waits() {
    let mut world = World::new().await;
    let channel = channel(&world).await;
    let proxy = Proxy::to(world.server.address()).await;
    let (_, verifier) = verifier(&world, "gateway", 12_000).await;
    let words = ["--max-staleness", "12s", "--copy", "view"];
    let gate = Listening::start(command(&world, proxy.address(), &verifier, &words));
    until_ready_has(gate.address, r#""status":"ready""#).await;
    copy_of(&world).await;
    let token = issue(&world, &channel).await;
    proxy.swallow(true);
    drop(gate);
    world.server.process.kill().unwrap();
    world.server.process.wait().unwrap();
    world.run(&["recover", "--revoke-everything"]);
    world.server = Server::start(serve(world.folder.path(), &[])).await;
    proxy.point_at(world.server.address());
    let again = revoke(&world, &channel, &token, 0).await;
    let gate = Listening::start(command(&world, proxy.address(), &verifier, &words));
    let over = AtomicBool::new(false);
    let receipt = async {
        let receipt = world.receipt(&again["position"], 30).await;
        let complete = Instant::now();
        assert_eq!(receipt["state"], "complete", "{receipt:#}");
        proxy.swallow(false);
        until_in_epoch_of(gate.address, &again).await;
        over.store(true, SeqCst);
        complete
    };
    let accepts = last_accepted(gate.address, &token, &over);
    let (complete, accepted) = tokio::join!(receipt, accepts);
    assert!(accepted.expect("it uses the copy, or this shows nothing") < complete);
    assert_eq!(verify(gate.address, &token).await, Some(401));
}

/// Copies the files of a folder.
fn copy_files(from: &Path, to: &Path) {
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_later_epoch_is_kept_and_the_next_step_is_named() {
    let mut world = World::new().await;
    let end = |server: &mut Server| {
        server.process.kill().unwrap();
        server.process.wait().unwrap();
    };
    end(&mut world.server);
    let earlier = tempfile::tempdir().unwrap();
    copy_files(world.folder.path(), earlier.path());
    world.run(&["recover", "--revoke-everything"]);
    world.server = Server::start(serve(world.folder.path(), &[])).await;
    let proxy = Proxy::to(world.server.address()).await;
    let words = ["--max-staleness", "2s", "--copy", "view"];
    let gate = Listening::start(command(&world, proxy.address(), &world.token, &words));
    until_ready_has(gate.address, r#""status":"ready""#).await;
    let copy = copy_of(&world).await;
    drop(gate);

    // The store of before is put back, with all that knew of the recovery.
    end(&mut world.server);
    let folder = world.folder.path();
    for file in fs::read_dir(folder).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    copy_files(earlier.path(), folder);
    world.server = Server::start(serve(folder, &[])).await;
    proxy.point_at(world.server.address());
    let path = folder.join("view");
    fs::write(&path, copy).unwrap();
    let start = || command(&world, proxy.address(), &world.token, &words);
    let gate = Listening::start(start());
    until_ready_has(gate.address, "the authority is at 1-").await;
    until_ready_has(gate.address, "remove the file of --copy").await;
    drop(gate);
    fs::remove_file(path).unwrap();
    let gate = Listening::start(start());
    until_ready_has(gate.address, r#""position":"1-"#).await;
}
