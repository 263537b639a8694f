//! The `tegata` program as operators use it: its output, its files, its exit codes.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

mod audit;
mod book;
mod certificate;
mod commands;
mod doctor;
mod forging;
mod inspecting;
mod outbound;
mod owners;
mod program;
mod proxies;
mod reset;
mod runbooks;
mod secrets;
mod serving;
