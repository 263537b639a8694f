//! The administrators' API, asked as a client would ask it: each test has an
//! authority of its own on a store in a temporary folder.

mod channels;
mod keys;
mod reading;
mod revocations;
mod tokens;
mod world;
