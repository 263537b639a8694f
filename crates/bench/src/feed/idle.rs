//! What two thousand idle followers of two verifiers cost at a staleness of 2 s.

use std::path::Path;
use std::time::Duration;

use super::super::authority::Authority;
use super::super::process::Demand;
use super::super::report::{Aim, Report};
use super::super::{Plan, stopwatch};
use super::{status, two_thousand};

const STALENESS: u32 = 2_000;

pub(in super::super) fn run(plan: &Plan, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let authority = Authority::start(&plan.tegata, folder)?;
    let measured = measure(plan, &authority, report);
    measured.map_err(|why| authority.explain(&why))
}

fn measure(plan: &Plan, authority: &Authority, report: &mut Report) -> anyhow::Result<()> {
    std::thread::sleep(Duration::from_secs(1));
    let before = status(authority.id(), "VmRSS")?;
    let own = Demand::of(authority.id());
    std::thread::sleep(Duration::from_secs(5));
    let alone = own.ran() / own.seconds();
    let mut all = two_thousand(authority, STALENESS)?;
    let began = stopwatch();
    let (mut shares, mut sizes) = (Vec::new(), Vec::new());
    let length = Duration::from_secs(if plan.long { 90 } else { 20 });
    while began.elapsed() < length {
        let demand = Demand::of(authority.id());
        std::thread::sleep(Duration::from_secs(5));
        shares.push(demand.ran() / demand.seconds() - alone);
        sizes.push((status(authority.id(), "VmRSS")? - before) * 1024.0 / 2_000.0);
    }
    let mut fresh = 0.0;
    for it in &mut all {
        fresh += it.ask(&format!("younger {STALENESS}"))?[0];
    }
    let beside = [("share of the server alone", alone), ("fresh at the end", fresh)];
    report.ratio("2,000 idle followers: share of a core", &shares, Aim::AtMost(0.1), &beside);
    let beside = [("MiB before", before)];
    report.ratio("2,000 idle followers: KiB each", &sizes, Aim::AtMost(8.0), &beside);
    Ok(())
}
