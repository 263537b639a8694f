//! The console over real HTTP, as a browser without a script uses it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod browser;
mod gate;
mod journeys;
mod pages;
mod signing_in;
