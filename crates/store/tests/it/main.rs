//! What a store promises, as one test binary: the acts case by case on every
//! backend, and what the embedded one does when power fails, disks break and
//! hundreds of requests race.
//!
//! `TEGATA_LONG=1` gives the tests that draw lots many more rounds.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod agree;
mod audit_checkpoints;
mod broken_disk;
mod cap_race;
mod conformance;
mod crash_points;
mod disk;
mod narrowing;
mod place;
mod power_loss;
mod rollbacks;
mod signer;
mod sqlite_file;
mod went_back;
mod world;

/// How many rounds of `quick` to run.
fn rounds(quick: usize) -> usize {
    if std::env::var_os("TEGATA_LONG").is_some() { quick * 20 } else { quick }
}
