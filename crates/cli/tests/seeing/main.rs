//! What an operator sees of a real `tegata serve` from outside: traces at a
//! collector, ids that lead from an answer to the log and to the trace, the
//! certificate that it shows.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

#[path = "../process/collector.rs"]
mod collector;
#[path = "../process/line.rs"]
#[expect(dead_code, reason = "shared with tests that need all of it")]
mod line;
#[path = "../process/mod.rs"]
mod process;
mod traces;
