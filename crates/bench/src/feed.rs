//! From the call of a revocation to the last acknowledgement, at a hundred, a thousand and
//! two thousand followers, against the same fan-out by NATS with replies and by bare sockets.
//!
//! The three take turns within a round. Each has its server on one core and its followers on
//! the other; a follower does the same on each side: it reads a message and replies. The time
//! begins before the call and ends with the response to it, which waits until the receipt is
//! complete: the commit of the revocation, the one of the receipt, and a line for each
//! follower are part of it.

mod fan;
pub(super) mod herd;
pub(super) mod idle;
pub(super) mod layer;
pub(super) mod load;
pub(super) mod snapshots;

pub(super) use fan::serve as serve_sockets;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::authority::{Authority, text};
use super::followers::Followers;
use super::report::{Aim, Report};
use super::wire::Wire;
use super::{LOAD_CORE, Plan, stopwatch};

/// How long 2,000 new followers may take: the authority registers fifty per second.
const PATIENCE: Duration = Duration::from_secs(240);
/// The pause between two fan-outs.
const REST: Duration = Duration::from_millis(20);
/// Maximum number of instances of one verifier.
const OF_A_VERIFIER: usize = 1_000;

pub(super) fn run(plan: &Plan, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let authority = Authority::start(&plan.tegata, folder)?;
    let measured = measure(plan, folder, &authority, report);
    measured.map_err(|why| authority.explain(&why))
}

fn measure(
    plan: &Plan,
    folder: &Path,
    authority: &Authority,
    report: &mut Report,
) -> anyhow::Result<()> {
    let rounds = if plan.long { 400 } else { 200 };
    let tokens = [verifier(authority, 60_000)?, verifier(authority, 60_000)?];
    let mut channels = plain_channels(authority, rounds * 3)?.into_iter();
    let nats = fan::Nats::start(folder)?;
    let (mut subscribers, mut sockets) = (nats.publisher()?, fan::Sockets::start()?);
    let mut groups = Vec::new();
    for (more, token) in [(100, 0), (900, 0), (1_000, 1)] {
        let mut own =
            Followers::of("bare", LOAD_CORE, authority.address, &tokens[token], 60_000, more)?;
        own.until_fresh(PATIENCE)?;
        groups.push((own, subscribers.add(more)?, sockets.add(more)?));
        let count = groups.iter().map(|(own, ..)| own.count).sum();
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        let mut call = Wire::open(authority.address)?;
        for round in 0..rounds {
            let channel = channels.next().context("too few channels")?;
            for turn in 0..3 {
                // The first of a round changes.
                let who = (round + turn) % 3;
                times[who].push(match who {
                    0 => revoke(authority, &mut call, &channel, count)?,
                    1 => subscribers.publish()?,
                    _ => sockets.publish()?,
                });
                // Let what follows the last acknowledgement come to rest.
                std::thread::sleep(REST);
            }
        }
        compare(report, count, times);
    }
    Ok(())
}

fn compare(report: &mut Report, count: usize, mut times: [Vec<f64>; 3]) {
    let pairs = times[0].iter().zip(&times[1]);
    let of_a_round: Vec<f64> = pairs.map(|(own, nats)| own / nats).collect();
    times.iter_mut().for_each(|it| it.sort_by(f64::total_cmp));
    let of = |who: usize, part: usize| {
        let sorted = &times[who];
        sorted[(sorted.len() * part / 100).min(sorted.len() - 1)]
    };
    let beside = [
        ("ms p50", of(0, 50)),
        ("p99", of(0, 99)),
        ("NATS p50", of(1, 50)),
        ("p99", of(1, 99)),
        ("sockets p50", of(2, 50)),
        ("p99", of(2, 99)),
    ];
    let name = |what: &str| format!("{count} followers, {what}");
    let ratio = |who: usize, part: usize| [of(0, part) / of(who, part)];
    report.ratio(&name("p99 / NATS"), &ratio(1, 99), Aim::AtMost(1.0), &beside);
    report.ratio(&name("p50 / NATS"), &ratio(1, 50), Aim::None, &[]);
    report.ratio(&name("each round / NATS"), &of_a_round, Aim::None, &[]);
    report.ratio(&name("p50 / bare sockets"), &ratio(2, 50), Aim::None, &[]);
}

/// Revokes the tokens of a channel; milliseconds until `count` followers have acknowledged.
fn revoke(
    authority: &Authority,
    wire: &mut Wire,
    channel: &str,
    count: usize,
) -> anyhow::Result<f64> {
    let body = json!({ "all": true, "wait_seconds": 30 });
    let request = authority.of_admin("POST", &format!("/channels/{channel}/revocations"), &body);
    let began = stopwatch();
    let made = wire.send(&request)?;
    let took = began.elapsed().as_secs_f64() * 1e3;
    let made = made.json()?;
    let lines = made["receipt"]["verifiers"].as_array().context("no receipt")?;
    let done = lines.iter().filter(|it| it["state"] == "acknowledged").count();
    ensure!(done == count, "{done} of {count} acknowledged: {}", made["receipt"]["state"]);
    Ok(took)
}

/// Creates a verifier and returns its token.
fn verifier(authority: &Authority, staleness: u32) -> anyhow::Result<String> {
    let mut wire = Wire::open(authority.address)?;
    let new = json!({ "name": "benchmark", "max_staleness": staleness });
    text(&authority.admin(&mut wire, "POST", "/verifiers", &new)?, "verifier_token")
}

/// Creates channels of one provider and returns their ids.
fn plain_channels(authority: &Authority, count: usize) -> anyhow::Result<Vec<String>> {
    let mut wire = Wire::open(authority.address)?;
    let provider = authority.admin(&mut wire, "POST", "/providers", &json!({ "name": "b" }))?;
    let path = format!("/providers/{}/channels", text(&provider, "provider_id")?);
    let new = json!({ "name": "benchmark", "type": "messaging-api" });
    let numbers: Vec<_> = (0..count).collect();
    super::spread(
        32,
        &numbers,
        || Wire::open(authority.address),
        |wire, _| text(&authority.admin(wire, "POST", &path, &new)?, "channel_id"),
    )
}

/// The member of a process's status in the kernel, in MiB.
pub(super) fn status(id: u32, member: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(member)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.with_context(|| format!("no {member}"))?.trim().parse::<f64>()? / 1024.0)
}

/// Two thousand light followers of two verifiers, all with a view.
fn two_thousand(authority: &Authority, staleness: u32) -> anyhow::Result<Vec<Followers>> {
    let mut all = Vec::new();
    for _ in 0..2 {
        let token = verifier(authority, staleness)?;
        let at: SocketAddr = authority.address;
        all.push(Followers::of("light", LOAD_CORE, at, &token, staleness, OF_A_VERIFIER)?);
    }
    for it in &mut all {
        it.until_fresh(PATIENCE)?;
    }
    Ok(all)
}
