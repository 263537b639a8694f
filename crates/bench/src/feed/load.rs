//! Issues and verifications per second with two thousand followers and a revocation a
//! second, against those of a server without followers.
//!
//! Two servers take turns on one core. Stateless tokens are issued, since a stored one is
//! bounded by the disk, and of a short-lived one each issue into a full channel is a
//! revocation as well.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::super::assertions::Signer;
use super::super::authority::{Asked, Authority};
use super::super::process::Demand;
use super::super::report::{Aim, Report};
use super::super::wire::{Wire, form};
use super::super::wrk::{Load, write_requests};
use super::super::{Plan, median, stopwatch};
use super::{fan::Sockets, plain_channels, two_thousand};

const CHANNELS: usize = 50;
const CONNECTIONS: usize = 32;
const AIM: Aim = Aim::AtLeast(0.95);

pub(in super::super) fn run(plan: &Plan, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let of_sockets = {
        let mut sockets = Sockets::start()?;
        let _followers = sockets.add(2_000)?;
        let costs = (0..3).map(|_| sockets.cost()).collect::<anyhow::Result<Vec<_>>>()?;
        let name = "bare sockets: share of a core, 2,000 messages and replies a second";
        report.ratio(name, &costs, Aim::None, &[]);
        median(&costs)
    };
    let alone = Side::start(plan, &folder.join("alone"))?;
    let followed = Side::start(plan, &folder.join("followed"))?;
    let mut followers = two_thousand(&followed.authority, 60_000)?;
    let rounds = if plan.long { 8 } else { 4 };
    let channels = plain_channels(&followed.authority, rounds * 2 * 10)?;
    let mut channels = channels.into_iter();
    for what in [What::Verifications, What::Issues] {
        let (mut rates, mut works, mut last) = (Vec::new(), Vec::new(), (0.0, 0.0));
        for _ in 0..rounds {
            let one = alone.load(what, &mut std::iter::empty())?;
            let other = followed.load(what, &mut channels)?;
            rates.push(other.rate / one.rate);
            works.push(other.per_second / one.per_second);
            last = (other.rate, one.rate);
        }
        let beside = [
            ("a second, last round", last.0),
            ("without followers", last.1),
            ("what bare sockets would leave", 1.0 - of_sockets),
        ];
        let name = what.name();
        report.ratio(&format!("{name} with 2,000 followers / without"), &rates, AIM, &beside);
        let name = format!("{name} per second of the server's processor time");
        report.ratio(&name, &works, AIM, &[]);
    }
    let fresh: f64 = followers
        .iter_mut()
        .map(|it| Ok(it.ask("younger 60000")?[0]))
        .sum::<anyhow::Result<_>>()?;
    ensure!(fresh == 2_000.0, "{fresh} followers are fresh at the end");
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    Verifications,
    Issues,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Verifications => "verifications",
            Self::Issues => "stateless issues",
        }
    }
}

struct Side {
    authority: Authority,
    verify: std::path::PathBuf,
    issue: std::path::PathBuf,
}

struct Rate {
    rate: f64,
    /// Responses per second of the server's processor time.
    per_second: f64,
}

impl Side {
    fn start(plan: &Plan, folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir(folder)?;
        let authority = Authority::start(&plan.tegata, folder)?;
        let channels = authority.channels(CHANNELS, &Signer::generate()?)?;
        let to = authority.address;
        let asked: Vec<_> = channels.iter().cloned().map(Asked::ShortLived).collect();
        let verify = authority.tokens(&asked)?.into_iter();
        let verify = verify.map(|it| form(to, "/v2/oauth/verify", &[("access_token", &it)]));
        let files = (folder.join("verify"), folder.join("issue"));
        write_requests(&files.0, verify)?;
        let issue = channels.into_iter().map(|it| Asked::Stateless(it).request(to));
        write_requests(&files.1, issue)?;
        Ok(Self { authority, verify: files.0, issue: files.1 })
    }

    /// Loads the server, and revokes the tokens of one of `channels` each second.
    fn load(
        &self,
        what: What,
        channels: &mut (impl Iterator<Item = String> + Send),
    ) -> anyhow::Result<Rate> {
        let over = AtomicBool::new(false);
        let requests = if what == What::Issues { &self.issue } else { &self.verify };
        let load = Load {
            to: self.authority.address,
            connections: CONNECTIONS,
            seconds: 4,
            requests,
            once: false,
        };
        let demand = Demand::of(self.authority.id());
        std::thread::scope(|scope| {
            let revoking = scope.spawn(|| self.revoke_until(&over, channels));
            let outcome = load.run();
            over.store(true, Relaxed);
            revoking.join().ok().context("the revocations panicked")??;
            let outcome = outcome?;
            let per_second = outcome.answered as f64 / demand.ran();
            Ok(Rate { rate: outcome.rate(), per_second })
        })
    }

    fn revoke_until(
        &self,
        over: &AtomicBool,
        channels: &mut impl Iterator<Item = String>,
    ) -> anyhow::Result<()> {
        let mut wire = Wire::open(self.authority.address)?;
        let mut due = stopwatch();
        while !over.load(Relaxed) {
            if stopwatch() >= due {
                due += Duration::from_secs(1);
                let Some(channel) = channels.next() else { return Ok(()) };
                let path = format!("/channels/{channel}/revocations");
                self.authority.admin(&mut wire, "POST", &path, &json!({ "all": true }))?;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}
