//! The authority's rules as pure functions: which kinds a channel may have and how
//! many of each, how a client proves who it is, when a request may have a token,
//! and what must end for it.
//!
//! This crate knows no clock, no network, no disk, no database and no randomness:
//! time and random bytes are arguments.
//!
//! ```text
//! assertion / secret ──judge::judge──▶ Grant ──admit::admit──▶ Admit   (issuing)
//! ```

pub mod acts;
pub mod admit;
pub mod assertion;
pub mod authorize;
pub mod channel;
pub mod denied;
pub mod jwk;
pub mod rules;
pub mod secret;
// Only for fuzzing.
#[doc(hidden)]
pub mod strict_json;
