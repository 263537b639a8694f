//! Simulates a month of the agent in a second: its real logic and real files, with clock
//! and network simulated in the process. Every event comes from a seed; a failure names
//! it, and `TEGATA_SEED=N` repeats that run.
//!
//! At every event, so also at the end of every outage, each sink's file holds a token that
//! is active until the next event; no group ever has more than two; and the number of
//! issues is at most 1.2 times the ideal, which is one for each two thirds of a lifetime.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod authority;
mod random;
mod trouble;
mod world;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use world::{Plan, World};

const SEEDS: u64 = 100;
const MANY_SEEDS: u64 = 2_000;

fn seeds(few: u64) -> std::ops::Range<u64> {
    if let Ok(one) = std::env::var("TEGATA_SEED") {
        let one = one.parse().unwrap();
        return one..one + 1;
    }
    0..if std::env::var_os("TEGATA_LONG").is_some() { MANY_SEEDS } else { few }
}

/// Runs all seeds on as many threads as there are processors.
fn play(few: u64, plan: Plan) {
    let seeds = seeds(few);
    let next = AtomicU64::new(seeds.start);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let (mut issues, mut troubles, mut restarts, mut events) = (0, 0, 0, 0);
    let worst = std::thread::scope(|scope| {
        let work = || {
            let mut sums = Vec::new();
            loop {
                let seed = next.fetch_add(1, Relaxed);
                if seed >= seeds.end {
                    return sums;
                }
                sums.push(World::new(seed, plan).play());
            }
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let sums = workers.into_iter().flat_map(|it| it.join().unwrap());
        sums.fold(0.0_f64, |worst, sum| {
            issues += sum.issues;
            troubles += sum.troubles;
            restarts += sum.restarts;
            events += sum.events;
            worst.max(sum.ratio)
        })
    });
    println!(
        "{} months: {events} events, {issues} issues, {troubles} troubles, {restarts} restarts of the agent; \
         issues over the ideal at worst {worst:.3}",
        seeds.count()
    );
}

#[test]
fn a_month_of_outages_and_restarts_with_twenty_groups_over_two_channels() {
    play(SEEDS, Plan::Tegata);
}

/// LINE has no groups and no `Idempotency-Key`: a lost response costs a token there, so this
/// month loses none. The agent revokes the tokens that it replaced.
#[test]
fn a_month_with_line_where_the_agent_revokes_predecessors() {
    play(SEEDS / 10, Plan::Line);
}
