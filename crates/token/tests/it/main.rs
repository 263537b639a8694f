//! What a verifier may rely on, as one test binary: the wire forms bit by bit, and
//! what a view says after which entries.

#![expect(clippy::unwrap_used, reason = "a test says no by panicking")]

mod channel;
mod view;
mod wire;
