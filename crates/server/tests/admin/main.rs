//! The administrators' API, asked as a client would ask it: each test has an
//! authority of its own on a store in a temporary folder.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

mod channels;
mod facade;
mod keys;
mod openapi;
mod reading;
mod revocations;
mod schema;
mod tokens;
mod warnings;
mod world;
