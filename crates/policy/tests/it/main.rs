//! The authority's rules, as one test binary: the law case by case, assertions rule
//! by rule, folds, vectors of others, and random histories against a naive model.

#![expect(clippy::unwrap_used, reason = "a test says no by panicking")]

mod acts;
mod assertion;
mod channel;
mod compaction;
mod jwk;
mod known;
mod model;
mod rules;
mod signer;
mod vectors;
