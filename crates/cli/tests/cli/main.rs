//! The `tegata` program as people use it: started, asked, told to stop. What it
//! prints, which files it leaves, and how it ends.

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
mod serving;
