//! Channel access tokens for everyone who verifies: what kinds there are, how a
//! token is written and read back, and whether one that is shown is still good.
//!
//! This crate knows no clock, no network, no disk and no randomness: time is an
//! argument. Nor does it know when a token may be issued: caps, channels' secrets
//! and assertions are in `tegata-policy`. A program that embeds it verifies by exactly
//! the rules of the authority itself.
//!
//! ```text
//! token bytes ──decide::decide(now, &View)──▶ Active | Refused   (checking)
//! log entries ──View::after──▶ View                              (following)
//! ```

pub mod claims;
pub mod id;
pub mod key;
pub mod kind;
pub mod time;
pub mod verify;
pub mod view;
pub mod wire;
