//! Revocations at three servers, one after the other, against a bare client's commits on the
//! same database: the response to each waits until the other servers have applied it.
//!
//! At least two commits are one after the other in it: that of the revocation, and those with
//! which the other servers acknowledge it.

use std::path::Path;

use anyhow::ensure;

use super::clients::percentile;
use super::commits::Bare;
use super::{CAP, Site};
use crate::authority::Asked;
use crate::report::{Aim, Report};
use crate::stopwatch;
use crate::wire::{Wire, form};
use crate::{Plan, median};

const SERVERS: usize = 3;
/// Of the p99 of two commits and a round trip.
const OF_COMMITS: Aim = Aim::AtMost(1.0);
/// Revocations of a round: three of them are above the p99.
const PER_ROUND: usize = 300;

pub(crate) fn run(plan: &Plan, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let mut site = Site::start(plan, folder)?;
    let rounds = if plan.long { 15 } else { 5 };
    let measured = site.grow_to(SERVERS).and_then(|()| measure(&site, rounds, report));
    measured.map_err(|why| site.explain(why))
}

/// Milliseconds of each act of a round, in ascending order.
#[derive(Default)]
struct Round {
    revoke: Vec<f64>,
    commit: Vec<f64>,
    round_trip: Vec<f64>,
}

impl Round {
    /// Of the call's percentile to that of two commits and a round trip.
    fn ratio(&self, part: usize) -> f64 {
        let least = 2.0 * percentile(&self.commit, part) + percentile(&self.round_trip, part);
        percentile(&self.revoke, part) / least
    }
}

fn measure(site: &Site, rounds: usize, report: &mut Report) -> anyhow::Result<()> {
    let bare = Bare::open(&site.own_url("postgres"))?;
    let mut wires =
        site.addresses().into_iter().map(Wire::open).collect::<anyhow::Result<Vec<_>>>()?;
    let mut done = Vec::new();
    // The first one fills caches.
    for round in 0..=rounds {
        let measured = revoke(site, &bare, &mut wires)?;
        if round > 0 {
            done.push(measured);
        }
    }
    let all = |figure: &dyn Fn(&Round) -> f64| done.iter().map(figure).collect::<Vec<_>>();
    let middle = |figure: &dyn Fn(&Round) -> f64| median(&all(figure));
    for (part, aim) in [(99, OF_COMMITS), (50, Aim::None)] {
        report.ratio(
            &format!("revoke p{part} / two commits and a round trip"),
            &all(&|it| it.ratio(part)),
            aim,
            &[
                ("revoke ms", middle(&|it| percentile(&it.revoke, part))),
                ("commit", middle(&|it| percentile(&it.commit, part))),
                ("round trip", middle(&|it| percentile(&it.round_trip, part))),
            ],
        );
    }
    Ok(())
}

/// A round: revocations, commits and round trips in turn.
fn revoke(site: &Site, bare: &Bare, wires: &mut [Wire]) -> anyhow::Result<Round> {
    let channels = site.first().channels_by_secret(PER_ROUND.div_ceil(CAP) * 4)?;
    let asked: Vec<_> =
        (0..PER_ROUND).map(|at| Asked::ShortLived(channels[at % channels.len()].clone())).collect();
    let tokens = site.first().tokens(&asked)?;
    let addresses = site.addresses();
    let mut round = Round::default();
    for (at, token) in tokens.iter().enumerate() {
        let server = at % wires.len();
        let request = form(addresses[server], "/v2/oauth/revoke", &[("access_token", token)]);
        let began = stopwatch();
        let response = wires[server].send(&request)?;
        round.revoke.push(began.elapsed().as_secs_f64() * 1e3);
        ensure!(response.status == 200, "answered {} {}", response.status, response.body);
        round.commit.push(bare.commit()?);
        round.round_trip.push(bare.round_trip()?);
    }
    for times in [&mut round.revoke, &mut round.commit, &mut round.round_trip] {
        times.sort_by(f64::total_cmp);
    }
    Ok(round)
}
