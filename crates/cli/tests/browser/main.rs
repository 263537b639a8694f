//! The console in a real browser, as people use it: with a mouse at a desk, on a phone, by
//! keyboard alone, and without JavaScript.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

mod browser;
mod console;
mod driver;
mod forms;
mod journeys;
#[path = "../process/key.rs"]
#[expect(dead_code, reason = "the other test programs sign with it")]
mod key;
#[path = "../../../server/tests/console/openid/node.rs"]
mod node;
mod pages;
#[path = "../cli/program.rs"]
#[expect(dead_code, reason = "the other test program needs more of it")]
mod program;
mod scenery;
mod signing_in;
mod single_sign_on;
