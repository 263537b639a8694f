//! Several servers on one PostgreSQL database, with fsync: issues against the same inserts by
//! pgbench, issues into full channels against plain ones, and revocations against commits.
//!
//! Servers, database and clients share all cores, since there are more of them than cores.
//! So each line says how much processor time every part used, and how much other programs
//! did: with less than a core for each, a ratio says as much about the machine.

mod clients;
mod commits;
pub(super) mod full;
pub(super) mod issues;
mod pgbench;
pub(super) mod revoke;
pub(super) mod site;
mod spent;

use std::time::Duration;

use anyhow::Context as _;

use super::Plan;
use super::channel::Channel;
use clients::{Clients, Outcome};
use site::Site;
use spent::Spent;

/// The cap of the token rules for short-lived tokens: a further issue evicts one.
const CAP: usize = 30;
/// Fewer channels would often have two requests in flight.
const FEWEST_CHANNELS: usize = 256;
/// Factor on the rate of the round before: a round can be faster than the one before.
const SURPLUS: f64 = 1.5;

/// How many rounds, and how long each load takes.
struct Size {
    rounds: usize,
    load: Duration,
}

impl Size {
    fn of(plan: &Plan) -> Self {
        let (rounds, seconds) = if plan.long { (9, 5) } else { (3, 2) };
        Self { rounds, load: Duration::from_secs(seconds) }
    }
}

/// A load, and the processor time that each part spent on it.
struct Measured {
    load: Outcome,
    spent: Spent,
    /// Bytes that the database wrote to its log.
    logged: f64,
}

impl Measured {
    /// Microseconds of processor time per answered request.
    fn each(&self, part: fn(&Spent) -> f64) -> f64 {
        part(&self.spent) * 1e6 / self.load.answered as f64
    }

    /// Mean number of cores that a part used.
    fn cores(&self, part: fn(&Spent) -> f64) -> f64 {
        part(&self.spent) / self.load.seconds
    }
}

/// Issues short-lived tokens by these channels in turn, `most` at most.
fn issue(
    site: &Site,
    clients: usize,
    channels: &[Channel],
    most: usize,
    limit: Duration,
) -> anyhow::Result<Measured> {
    let requests = site.requests(channels);
    let load = Clients { to: site.addresses(), count: clients, most, limit };
    let (before, log) = (site.spent()?, site.log()?);
    let load = load.run(|server, number| &requests[server][number % channels.len()])?;
    Ok(Measured { load, spent: site.spent()?.since(before), logged: site.log()? - log })
}

/// New channels with room for `rate` issues a second that evict no token.
fn room_for(site: &Site, rate: f64, time: Duration) -> anyhow::Result<Vec<Channel>> {
    let issues = rate * time.as_secs_f64() * SURPLUS;
    let count = (issues as usize).div_ceil(CAP).max(FEWEST_CHANNELS);
    site.first().channels_by_secret(count).context("creating channels")
}
