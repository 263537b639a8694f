//! Tests of the follower: random schedules of faults, its single rules, and its requests
//! over a network.

#![expect(clippy::unwrap_used, reason = "a test says no by panicking")]

mod authority;
mod blocking;
mod network;
mod planted;
mod rules;
mod schedules;
mod vectors;
