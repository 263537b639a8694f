//! Finds channel access tokens and other secrets in text of several encodings.
//!
//! [`search`] is for a text that is in memory as a whole. The command line reads files in
//! pieces, and containers; for these, [`Flat`], [`Finder`] and [`Pass`] can be used by themselves.

mod finder;
mod flat;
mod objects;
mod pass;
mod search;

pub use finder::{Candidate, Finder, FoundSecret, Scanned};
pub use flat::Flat;
pub use pass::Pass;
pub use search::search;
