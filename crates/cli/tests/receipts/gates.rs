//! `tegata verify-proxy` processes, and what is done to their authority.

use crate::{
    World,
    line::{self, Channel},
    process::{
        Server,
        http::{Connection, Request},
        key::Key,
    },
};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::{Duration, Instant},
};

/// The command of a proxy of this authority.
pub fn command(world: &World, authority: SocketAddr, token: &str, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tegata"));
    command
        .args(["verify-proxy", "--listen", "127.0.0.1:0"])
        .args(["--authority", &format!("http://{authority}")])
        .args(words)
        .env("TEGATA_VERIFIER_TOKEN", token)
        .env("TEGATA_LOG", "error")
        .current_dir(world.folder.path())
        .stdin(Stdio::null());
    command
}

/// A proxy of this authority whose view is fresh.
pub async fn gate(world: &World, authority: SocketAddr, token: &str, staleness: &str) -> Server {
    let words = ["--max-staleness", staleness];
    Server::start(command(world, authority, token, &words)).await
}

/// The status of a verification; `None` if the proxy has stopped.
pub async fn verify(gate: SocketAddr, token: &str) -> Option<u16> {
    let bearer = format!("Bearer {token}");
    let request = Request::new("GET", "/gateway/verify", &[("authorization", &*bearer)], "");
    let mut connection = Connection::open(gate).await.ok()?;
    Some(connection.ask(&request).await.ok()?.status)
}

pub async fn issue(world: &World, channel: &Channel) -> String {
    let response = world.server.ask(&channel.issue_short_lived(line::With::default())).await;
    assert_eq!(response.status, 200, "{}", response.text());
    line::token_in(&response)
}

pub async fn revoke(world: &World, channel: &Channel, token: &str, wait: u64) -> Value {
    let what = json!({ "access_token": token, "wait_seconds": wait });
    let response = world.server.ask(&channel.revocation(&what)).await;
    assert_eq!(response.status, 201, "{}", response.text());
    response.json()
}

pub async fn channel(world: &World) -> Channel {
    Channel::create(&world.server, &world.provider, &Key::generate()).await
}

pub async fn verifier(world: &World, name: &str, max_staleness: u32) -> (String, String) {
    let new = json!({ "name": name, "max_staleness": max_staleness });
    let made = world.server.create("/verifiers", new).await;
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("verifier_id"), text("verifier_token"))
}

pub async fn delete(world: &World, verifier: &str) {
    let request = Request::admin("DELETE", &format!("/verifiers/{verifier}"), None);
    let response = world.server.ask(&request).await;
    assert_eq!(response.status, 204, "{}", response.text());
}

/// Asks a proxy about a token until it is over. Returns when the last question began that was
/// answered with 200.
pub async fn last_accepted(gate: SocketAddr, token: &str, over: &AtomicBool) -> Option<Instant> {
    let mut last = None;
    while !over.load(SeqCst) {
        let began = Instant::now();
        if verify(gate, token).await == Some(200) {
            last = Some(began);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    last
}

/// Waits until `/readyz` of a proxy has this in its body.
pub async fn until_ready_has(gate: SocketAddr, words: &str) {
    let ready = Request::new("GET", "/readyz", &[], "");
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        let mut connection = Connection::open(gate).await.unwrap();
        let body = connection.ask(&ready).await.unwrap().text();
        if body.contains(words) {
            return;
        }
        assert!(Instant::now() < patience, "{words} is not in {body}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until a proxy's view is of the epoch of this receipt.
pub async fn until_in_epoch_of(gate: SocketAddr, receipt: &Value) {
    let (epoch, _) = receipt["position"].as_str().unwrap().split_once('-').unwrap();
    until_ready_has(gate, &format!(r#""position":"{epoch}-"#)).await;
}
