//! The client against small servers on loopback, which respond as a test requires.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admin;
mod agent;
mod authority;
mod calls;
mod holder;
