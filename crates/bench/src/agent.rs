//! Memory of the agent while it renews a hundred tokens.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::bail;

use super::assertions::Signer;
use super::authority::{Authority, free_address};
use super::channel::Channel;
use super::process::{Running, on_core};
use super::report::{Aim, Report};
use super::soak::resident;
use super::wire::{Wire, request};
use super::{LOAD_CORE, Plan, stopwatch};

/// Maximum resident memory, in MiB.
const MOST: f64 = 20.0;
const TARGETS: usize = 100;
/// Number of groups per channel: as many as the cap allows.
const OF_A_CHANNEL: usize = 15;
/// Lifetime of a token, in seconds.
const LIFETIME: u64 = 30;

pub(super) fn run(plan: &Plan, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let authority = Authority::start(&plan.tegata, folder)?;
    measure(plan, folder, &authority, report).map_err(|why| authority.explain(&why))
}

fn measure(
    plan: &Plan,
    folder: &Path,
    authority: &Authority,
    report: &mut Report,
) -> anyhow::Result<()> {
    let signer = Signer::generate()?;
    let channels = authority.channels(TARGETS.div_ceil(OF_A_CHANNEL), &signer)?;
    std::fs::write(folder.join("key.pem"), signer.pem()?)?;
    let address = free_address()?;
    let settings = settings(authority.address, address, &channels);
    std::fs::write(folder.join("agent.toml"), settings)?;
    let agent = Running::start(
        on_core(LOAD_CORE, &plan.tegata)
            .args(["agent", "run", "--config", "agent.toml", "--log", "warn"])
            .current_dir(folder),
    )?;
    until_green(address)?;
    let began = resident(agent.id())?;
    // Every token is renewed at least once, while health and metrics are requested.
    let rounds = if plan.long { 20 } else { 2 };
    let clock = stopwatch();
    while clock.elapsed() < Duration::from_secs(LIFETIME * rounds) {
        for path in ["/healthz", "/metrics"] {
            let response = Wire::open(address)?.send(&request(address, "GET", path, &[], ""))?;
            anyhow::ensure!(response.status == 200, "{path}: {response:?}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let holds = resident(agent.id())?;
    let renewed = authority.stored(&channels)?.iter().sum::<usize>();
    let beside = [
        ("MiB", holds),
        ("MiB when first green", began),
        ("active tokens at the end", renewed as f64),
    ];
    let name = "agent with 100 tokens / 20 MiB";
    report.ratio(name, &[holds.max(began) / MOST], Aim::AtMost(1.0), &beside);
    Ok(())
}

fn settings(authority: SocketAddr, listen: SocketAddr, channels: &[Channel]) -> String {
    let head = format!("authority = 'http://{authority}'\nlisten = '{listen}'\nstate = 'state'\n");
    let channel = |it: &Channel| {
        format!("[[channel]]\nid = '{}'\nkey_file = 'key.pem'\nkey_id = '{}'\n", it.id, it.kid)
    };
    let token = |number: usize| {
        let id = &channels[number / OF_A_CHANNEL].id;
        format!(
            "[[token]]\nname = 't{number}'\nchannel = '{id}'\ngroup = 'g{number}'\n\
             lifetime = {LIFETIME}\n[[sink]]\ntokens = ['t{number}']\npath = 'token{number}'\n"
        )
    };
    let channels = channels.iter().map(channel);
    std::iter::once(head).chain(channels).chain((0..TARGETS).map(token)).collect()
}

fn until_green(address: SocketAddr) -> anyhow::Result<()> {
    let clock = stopwatch();
    while clock.elapsed() < Duration::from_secs(60) {
        let question = request(address, "GET", "/healthz", &[], "");
        let response = Wire::open(address).and_then(|mut wire| wire.send(&question));
        if response.is_ok_and(|it| it.body.starts_with(r#"{"status":"green""#)) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("the agent was not green within a minute")
}
