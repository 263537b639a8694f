//! The administrators' API, called as a client calls it: each test has an authority of
//! its own on a store in a temporary folder.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod channels;
mod conditional;
mod facade;
mod faults;
mod isolation;
mod keys;
mod once;
mod openapi;
mod people;
mod providers;
mod reading;
mod revocations;
mod schema;
mod settings;
#[path = "../store/mod.rs"]
mod store;
mod taking;
mod tokens;
mod warnings;
mod world;
