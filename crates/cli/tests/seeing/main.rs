//! Observability of a real `tegata serve`: traces at a collector, and ids that lead from a
//! response to the log and to the trace.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

#[path = "../process/collector.rs"]
mod collector;
#[path = "../process/line.rs"]
#[expect(dead_code, reason = "shared with tests that need all of it")]
mod line;
#[path = "../process/mod.rs"]
mod process;
mod traces;
