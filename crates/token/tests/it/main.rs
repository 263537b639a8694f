//! What the crate promises, as one test binary: the law case by case, the wire
//! forms bit by bit, assertions rule by rule, vectors of others, and random
//! histories against a naive model.

#![expect(clippy::unwrap_used, reason = "a test says no by panicking")]

mod assertion;
mod channel;
mod jwk;
mod law;
mod model;
mod signer;
mod vectors;
mod view;
mod wire;
