//! The authority's rules, as one test binary: token rules case by case, assertions
//! rule by rule, compaction, published test vectors, and random histories compared with
//! a naive model.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod acts;
mod assertion;
mod channel;
mod compaction;
mod idle;
mod jwk;
mod known;
mod model;
mod oauth;
mod openid;
mod people;
mod permission;
mod replay;
mod requests;
#[path = "../../../token/tests/it/revocations.rs"]
mod revocations;
mod root_token;
mod rules;
mod scopes;
mod signer;
mod upkeep;
mod vectors;
mod verifiers;
