//! Administration: every administrative act and query is a method of [`Admin`].
//!
//! A method first checks the actor's permission. Protocols parse a request, call a method
//! here and render its result; they contain no rules and do not use the store.

mod assertion_keys;
mod audit;
mod channels;
mod explain;
mod facade;
mod groups;
mod ids;
pub mod permission;
mod providers;
mod revocations;
mod signing_keys;
mod taking;
mod tokens;
mod verifiers;
mod warnings;

pub use assertion_keys::UsedKey;
pub use channels::{ChannelWithUse, NewSecret};
pub use explain::{Explanation, Why};
pub use facade::{Admin, Error, Result};
pub use providers::ListedProvider;
pub use revocations::{Anywhere, InChannel};
pub use taking::{ActOptions, DryRun, Outcome, TakenAway};
pub use verifiers::{ListedVerifier, VerifierSettings};
pub use warnings::FoundWarnings;
