//! The server over real HTTP, on the real store in a temporary file.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod assertions;
mod connections;
mod created_by;
mod ext_authz;
mod gateway;
mod groups;
mod http2;
mod introspecting;
mod leaks;
mod lease;
mod limits;
mod line_check;
mod line_issue;
mod line_revoke;
mod listeners;
mod master_key;
mod oauth;
mod operations;
mod races;
mod recent_uses;
mod seeing;
mod signing_keys;
mod start;
#[path = "../store/mod.rs"]
mod store;
mod warnings;
mod world;
