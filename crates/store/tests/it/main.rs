//! The promises of a store, as one test binary: the acts case by case on every backend,
//! and the embedded store under power losses, disk faults and hundreds of concurrent
//! requests.
//!
//! `TEGATA_LONG=1` gives the randomized tests many more rounds.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod agree;
mod audit_checkpoints;
mod broken_disk;
mod cap_race;
mod conformance;
mod crash_points;
mod disk;
mod failover;
mod held_up;
mod history;
mod looking;
mod lost_database;
mod lost_instances;
mod missing_standby;
mod moved_journals;
mod moving;
mod narrowing;
mod people;
mod place;
mod postgres_place;
mod power_loss;
mod recovered_database;
mod rollbacks;
mod rolled_back;
mod several_hosts;
mod sharing;
mod signer;
mod sqlite_file;
mod statements;
mod unfit_databases;
mod upgrade;
mod world;

/// How many rounds of `quick` to run.
fn rounds(quick: usize) -> usize {
    if is_long() { quick * 20 } else { quick }
}

/// Whether the tests may take long.
fn is_long() -> bool {
    std::env::var_os("TEGATA_LONG").is_some()
}
