//! Two thousand whole verifiers when the authority is killed and started again.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;

use super::super::authority::{Asked, Authority, free_address};
use super::super::followers::Followers;
use super::super::report::{Aim, Report};
use super::super::{LOAD_CORE, Plan, assertions::Signer, stopwatch};
use super::{PATIENCE, verifier};

const PROCESSES: usize = 4;
const OF_A_PROCESS: usize = 500;
/// The default of a verifier.
const STALENESS: u32 = 60_000;
/// How long verifications are measured before the kill.
const QUIET: Duration = Duration::from_secs(5);

pub(in super::super) fn run(plan: &Plan, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let address = free_address()?;
    let mut authority = Authority::start_at(&plan.tegata, folder, address, &[])?;
    let tokens = [verifier(&authority, STALENESS)?, verifier(&authority, STALENESS)?];
    let channel = authority.channels(1, &Signer::generate()?)?.remove(0);
    let verified = authority.tokens(&[Asked::ShortLived(channel)])?.remove(0);
    let (at, staleness) = (address.to_string(), STALENESS.to_string());
    let mut herd = (0..PROCESSES)
        .map(|it| {
            let words = ["real", &at, &tokens[it * tokens.len() / PROCESSES], &staleness];
            Followers::start(LOAD_CORE, &words, OF_A_PROCESS)
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    for it in &mut herd {
        it.until_fresh(PATIENCE)?;
        it.ask(&format!("verify {verified}"))?;
    }
    let (mut current, mut slower, mut readiness) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..if plan.long { 10 } else { 4 } {
        figures(&mut herd)?;
        std::thread::sleep(QUIET);
        let before = figures(&mut herd)?;
        drop(authority);
        let killed = stopwatch();
        authority = Authority::start_at(&plan.tegata, folder, address, &[])?;
        readiness.push(killed.elapsed().as_secs_f64());
        let ready = stopwatch();
        current.push(until_current(&mut herd, killed, ready)?);
        let rest = QUIET.saturating_sub(killed.elapsed());
        std::thread::sleep(rest);
        let during = figures(&mut herd)?;
        ensure!(before.refused + during.refused == 0.0, "verifiers refused an active token");
        slower.push(during.p99 / before.p99);
    }
    let beside = [("s from the kill to readiness", super::super::median(&readiness))];
    let name = "2,000 verifiers current, seconds after readiness";
    report.ratio(name, &current, Aim::AtMost(2.0), &beside);
    let name = "p99 of verifications, after a kill / before";
    report.ratio(name, &slower, Aim::AtMost(2.0), &[]);
    Ok(())
}

/// Seconds from readiness until every verifier has a response of the new process: one since the
/// old one was `killed`. The first come before this process finds the new one ready.
fn until_current(
    herd: &mut [Followers],
    killed: std::time::Instant,
    ready: std::time::Instant,
) -> anyhow::Result<f64> {
    loop {
        let mut current = 0.0;
        for it in &mut *herd {
            // Each process reads its own clock, a little later than this one.
            let ms = killed.elapsed().as_millis();
            current += it.ask(&format!("younger {ms}"))?[0];
        }
        if current as usize == PROCESSES * OF_A_PROCESS {
            return Ok(ready.elapsed().as_secs_f64());
        }
        ensure!(ready.elapsed() < PATIENCE, "{current} are current");
        std::thread::sleep(Duration::from_millis(20));
    }
}

struct Figures {
    p99: f64,
    refused: f64,
}

fn figures(herd: &mut [Followers]) -> anyhow::Result<Figures> {
    let (mut p99, mut refused) = (Vec::new(), 0.0);
    for it in herd {
        let answer = it.ask("figures")?;
        let [_, _, slow, not_accepted] = answer[..] else {
            anyhow::bail!("not four figures: {answer:?}")
        };
        p99.push(slow);
        refused += not_accepted;
    }
    Ok(Figures { p99: super::super::median(&p99), refused })
}
