//! A thousand snapshots of a hundred thousand facts at once, each for an instance of its own.
//!
//! The instances are registered before, since the authority registers fifty per second: those
//! that all need a snapshot at once have followed an earlier epoch. The facts are there before
//! the instances, or each of them had a receipt with a thousand lines.
//!
//! All responses are read at once, as by a thousand programs: the authority disconnects a client
//! that reads nothing for ten seconds.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::super::authority::Authority;
use super::super::report::{Aim, Report};
use super::super::wire::{Wire, request};
use super::super::{Plan, spread, stopwatch};
use super::{plain_channels, status, verifier};

const FACTS: usize = 100_000;
const REQUESTS: usize = 1_000;
/// How long nothing may come in.
const PATIENCE: Duration = Duration::from_secs(60);
/// Memory that a connection may take, in MiB.
const OF_A_CONNECTION: f64 = 16.0 / 1024.0;

pub(in super::super) fn run(plan: &Plan, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let authority = Authority::start(&plan.tegata, folder)?;
    measure(plan, folder, authority, report)
}

fn measure(
    plan: &Plan,
    folder: &Path,
    authority: Authority,
    report: &mut Report,
) -> anyhow::Result<()> {
    let channels = plain_channels(&authority, FACTS)?;
    spread(
        32,
        &channels,
        || Wire::open(authority.address),
        |wire, channel| {
            let path = format!("/channels/{channel}/revocations");
            authority.admin(wire, "POST", &path, &json!({ "all": true })).map(drop)
        },
    )?;
    let token = verifier(&authority, 60_000)?;
    register(&authority, &token)?;
    // Started again, so that the memory of the preparation is not counted.
    let address = authority.address;
    drop(authority);
    for (name, accepts) in [("plain", ""), ("gzip", "gzip")] {
        let authority = Authority::start_at(&plan.tegata, folder, address, &[])?;
        let asked = ask(&authority, &token, accepts);
        let asked = asked.map_err(|why| authority.explain(&why))?;
        let allowed = 2.0 * asked.snapshot + REQUESTS as f64 * OF_A_CONNECTION;
        let beside = [
            ("MiB of the snapshot", asked.snapshot),
            ("MiB on the wire each", asked.sent),
            ("MiB before", asked.before),
            ("at the peak", asked.peak),
            ("after", asked.after),
            ("s", asked.seconds),
        ];
        let name = format!("1,000 snapshots, {name}: peak / what is allowed");
        let ratio = [(asked.peak - asked.before) / allowed];
        report.ratio(&name, &ratio, Aim::AtMost(1.0), &beside);
    }
    Ok(())
}

struct Figures {
    snapshot: f64,
    sent: f64,
    before: f64,
    peak: f64,
    after: f64,
    seconds: f64,
}

/// Registers the instances.
fn register(authority: &Authority, token: &str) -> anyhow::Result<()> {
    let mut wire = Wire::open(authority.address)?;
    for number in 0..REQUESTS {
        let question = question(authority.address, token, "", number);
        let began = stopwatch();
        while wire.send(&question)?.status != 200 {
            ensure!(began.elapsed() < Duration::from_secs(30), "an instance is not registered");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// The request of an instance for a snapshot.
fn question(to: SocketAddr, token: &str, accepts: &str, number: usize) -> Vec<u8> {
    let path =
        format!("/feed/snapshot?instance={number:A>22}&staleness=60000&on_stale=deny&speaks=1");
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("Authorization", &*bearer)];
    headers.extend((!accepts.is_empty()).then_some(("Accept-Encoding", accepts)));
    request(to, "GET", &path, &headers, "")
}

fn ask(authority: &Authority, token: &str, accepts: &str) -> anyhow::Result<Figures> {
    let to = authority.address;
    std::thread::sleep(Duration::from_secs(2));
    let before = status(authority.id(), "VmRSS")?;
    // The peak from here on.
    std::fs::write(format!("/proc/{}/clear_refs", authority.id()), "5")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (lengths, seconds) = runtime.block_on(all(to, token, accepts))?;
    ensure!(lengths.iter().all(|it| it.abs_diff(lengths[0]) < 64), "not one length");
    let peak = status(authority.id(), "VmHWM")?;
    std::thread::sleep(Duration::from_secs(5));
    let after = status(authority.id(), "VmRSS")?;
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    let snapshot = plain_length(to, token)?;
    Ok(Figures { snapshot: mib(snapshot), sent: mib(lengths[0]), before, peak, after, seconds })
}

fn plain_length(to: SocketAddr, token: &str) -> anyhow::Result<usize> {
    let response = Wire::open(to)?.send(&question(to, token, "", 0))?;
    ensure!(response.status == 200, "{}", response.status);
    Ok(response.body.len())
}

/// The lengths of all bodies, and the seconds until the last is read.
async fn all(to: SocketAddr, token: &str, accepts: &str) -> anyhow::Result<(Vec<usize>, f64)> {
    let mut connections = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        connections.push(TcpStream::connect(to).await?);
    }
    let began = stopwatch();
    for (number, connection) in connections.iter_mut().enumerate() {
        connection.write_all(&question(to, token, accepts, number)).await?;
    }
    // All are being answered before the first is read.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut readers: JoinSet<_> = connections.into_iter().map(read).collect();
    let mut lengths = Vec::with_capacity(REQUESTS);
    while let Some(length) = readers.join_next().await {
        lengths.push(length??);
    }
    Ok((lengths, began.elapsed().as_secs_f64()))
}

/// Reads a response and returns the length of its body, without keeping it.
async fn read(mut stream: TcpStream) -> anyhow::Result<usize> {
    let mut buffer = vec![0; 64 * 1024];
    let first = timeout(PATIENCE, stream.read(&mut buffer)).await??;
    let end = buffer[..first].windows(4).position(|it| it == b"\r\n\r\n").context("no head")?;
    let head = std::str::from_utf8(&buffer[..end])?.to_lowercase();
    ensure!(head.starts_with("http/1.1 200"), "{head}");
    let length = head.lines().find_map(|it| it.strip_prefix("content-length: "));
    let length: usize = length.context("no length")?.parse()?;
    let mut has = first - end - 4;
    while has < length {
        let more = timeout(PATIENCE, stream.read(&mut buffer)).await??;
        ensure!(more > 0, "{has} of {length} bytes");
        has += more;
    }
    Ok(length)
}
