//! Cost of the revocation journal: 64 clients request short-lived tokens of full
//! channels at once, so that each issue evicts a token and writes a journal line.
//!
//! Two servers on two new stores, one of them with a revocation journal on the same
//! disk, are loaded in turn. The journal is synchronised before each commit with a
//! revocation, so such a commit takes two synchronisations instead of one.

use std::path::Path;

use super::assertions::Signer;
use super::authority::{Asked, Authority};
use super::report::{Aim, Report};
use super::wrk::{Load, Outcome, write_requests};
use super::{Plan, median};

const WITH_OF_WITHOUT: Aim = Aim::AtLeast(0.4);
const CLIENTS: usize = 64;
const CHANNELS: usize = 200;
/// The cap of the token rules.
const CAP: usize = 30;
/// Disables the limits, which are not measured here.
const NO_LIMITS: [&str; 4] = ["--surge-limit", "0", "--issue-rate-short-lived", "1000000"];

pub(super) fn run(plan: &Plan, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let without = Full::start(plan, &folder.join("without"), &NO_LIMITS)?;
    let journal = folder.join("journal.log").display().to_string();
    let settings = [&NO_LIMITS[..], &["--revocation-journal", &journal]].concat();
    let with = Full::start(plan, &folder.join("with"), &settings)?;
    let (rounds, seconds) = if plan.long { (9, 5) } else { (5, 3) };
    let mut rates = Vec::new();
    for _ in 0..rounds {
        rates.push([without.load(seconds)?, with.load(seconds)?]);
    }
    let ratios: Vec<f64> =
        rates.iter().map(|[without, with]| with.rate() / without.rate()).collect();
    let middle = |which: usize, figure: fn(&Outcome) -> f64| {
        median(&rates.iter().map(|both| figure(&both[which])).collect::<Vec<_>>())
    };
    report.ratio(
        "issues that evict a token, with the journal / without",
        &ratios,
        WITH_OF_WITHOUT,
        &[
            ("with, per second", middle(1, Outcome::rate)),
            ("without", middle(0, Outcome::rate)),
            ("p50 µs with", middle(1, |it| it.p50_us)),
            ("without", middle(0, |it| it.p50_us)),
            ("p99 µs with", middle(1, |it| it.p99_us)),
            ("without", middle(0, |it| it.p99_us)),
        ],
    );
    Ok(())
}

/// A server with full channels, and a request for each of them.
struct Full {
    authority: Authority,
    requests: std::path::PathBuf,
}

impl Full {
    fn start(plan: &Plan, folder: &Path, settings: &[&str]) -> anyhow::Result<Self> {
        std::fs::create_dir(folder)?;
        let authority = Authority::start_with(&plan.tegata, folder, settings)?;
        let channels = authority.channels(CHANNELS, &Signer::generate()?)?;
        let all = channels.iter().map(|channel| Asked::ShortLived(channel.clone()));
        let all: Vec<_> = all.collect();
        for _ in 0..CAP {
            authority.tokens(&all)?;
        }
        let requests = folder.join("requests");
        write_requests(&requests, all.iter().map(|it| it.request(authority.address)))?;
        Ok(Self { authority, requests })
    }

    fn load(&self, seconds: u64) -> anyhow::Result<Outcome> {
        let to = self.authority.address;
        let requests = &self.requests;
        Load { to, connections: CLIENTS, seconds, requests, once: false }
            .run()
            .map_err(|why| self.authority.explain(&why))
    }
}
