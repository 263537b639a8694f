//! Administration: every administrative act and question, each a method of [`Admin`].
//!
//! A method's first line asks the table of permissions whether the actor may do it.
//! Protocols parse, call a method here and render what it gives; they contain no rule
//! and ask the store nothing.

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
mod tokens;
mod warnings;

pub use assertion_keys::UsedKey;
pub use channels::{ChannelWithUse, NewSecret};
pub use explain::{Explanation, Why};
pub use facade::{Admin, Error, Outcome, Receipt, Result, Revocation};
pub use providers::ListedProvider;
pub use revocations::{Anywhere, InChannel};
pub use warnings::FoundWarnings;
