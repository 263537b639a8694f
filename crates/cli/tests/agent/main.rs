//! The real `tegata agent` with a real authority: killed at any instant, on full and
//! read-only disks, with wrong keys and clocks, and with bots on LINE's own SDKs. Each test
//! searches its output for secrets at the end.

mod bots;
mod canary;
mod faults;
mod guide;
mod kills;
#[path = "../machine/mod.rs"]
mod machine;
mod month;
mod notify;
mod owners;
mod packaging;
#[path = "../process/mod.rs"]
#[expect(dead_code, reason = "shared with tests that need all of it")]
mod process;
mod reload;
mod reports;
mod sinks;
mod world;
