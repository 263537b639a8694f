//! The `tegata` program as operators use it: its output, its files, its exit codes.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

mod access_log;
mod assertions;
mod audit;
mod book;
mod certificate;
mod commands;
mod doctor;
mod explaining;
mod first_use;
mod forging;
mod hostile_server;
mod identity;
mod inspecting;
mod listing;
mod litestream;
#[path = "../machine/mod.rs"]
mod machine;
mod outbound;
mod owners;
mod pasting;
mod people;
mod program;
mod proxies;
mod refusals;
mod reset;
mod restoring;
mod rotating;
mod runbooks;
mod scanners;
mod secrets;
mod service;
mod serving;
mod terminal;
mod verify_proxy;
mod verify_proxy_alerts;
mod verify_proxy_tls;
mod verify_proxy_unit;
