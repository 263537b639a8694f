//! What a verifier relies on, as one test binary: the wire forms bit by bit, and the view
//! after each sort of change.

#![expect(clippy::unwrap_used, reason = "a test says no by panicking")]

mod channel;
mod feed;
mod revocations;
mod signed;
mod vectors;
mod view;
mod wire;
