//! A client for programs that use channel access tokens: typed calls, renewal, the agent.
//!
//! It uses LINE's operations and works with LINE and with Tegata. [`call`] has the calls
//! and [`key`] the assertions; [`renewal`] decides when to request a token, as a pure state
//! machine; [`holder`] renews a token inside a Rust program, [`agent`] renews tokens for
//! programs in any language.
//! [`admin`] has the requests of Tegata's administration, for the command line and for
//! programs that set channels up. Both send by [`exchange`].

pub mod admin;
pub mod agent;
pub mod call;
pub mod exchange;
mod failure;
pub mod holder;
pub mod key;
pub mod machine;
pub mod public_key;
pub mod renewal;
pub mod wanted;

pub use failure::Failure;
