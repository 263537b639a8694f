//! The console over real HTTP, as a browser without a script uses it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attacks;
mod browser;
mod daily;
mod gate;
mod invitations;
mod journeys;
mod kept;
mod leaks;
mod many;
mod openid;
mod pages;
mod refused;
mod seen;
mod shop;
mod shown_once;
mod signing_in;
#[path = "../store/mod.rs"]
mod store;
mod tokens;
mod twice;
mod values;
