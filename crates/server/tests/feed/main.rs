//! The feed over HTTP, with a real server: what followers get, who waits for them, and what
//! their receipts say.

#![expect(
    clippy::disallowed_methods,
    reason = "real processes and waits are measured in real time"
)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accepting;
mod credentials;
mod following;
mod held;
mod idle;
mod introspecting;
mod keys;
mod receipts;
#[path = "../store/mod.rs"]
mod store;
mod uses;
mod world;
