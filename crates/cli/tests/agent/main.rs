//! `tegata agent` as people run it, beside a real authority: killed at any instant,
//! on disks that are full or read-only, with wrong keys and clocks, and behind bots
//! on LINE's own SDKs. What it says is searched for secrets at the end of each test.

mod bots;
mod canary;
mod faults;
mod guide;
mod kills;
mod month;
mod notify;
mod owners;
mod packaging;
#[path = "../process/mod.rs"]
#[expect(dead_code, reason = "shared with tests that need all of it")]
mod process;
mod sinks;
mod world;
