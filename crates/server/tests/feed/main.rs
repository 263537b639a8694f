//! The feed over HTTP, with a real server: what followers get, who waits for them, and what
//! their receipts say.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod following;
mod introspecting;
mod receipts;
mod world;
