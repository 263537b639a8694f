//! The authority's rules as pure functions: which kinds of token a channel may have and
//! how many of each, how a client authenticates, when a request is granted a token, and
//! which tokens it revokes.
//!
//! This crate reads no clock, network, disk, database or randomness: time and random
//! bytes are arguments.
//!
//! ```text
//! assertion / secret ──authorize::authorize──▶ Grant ──admit::admit──▶ Admit   (issuing)
//! ```

pub mod acts;
pub mod admit;
pub mod assertion;
pub mod authorize;
pub mod channel;
pub mod denied;
pub mod duration;
pub mod idle;
pub mod jwk;
pub mod openid;
pub mod password;
pub mod permission;
pub mod rules;
pub mod secret;
pub mod text;
pub mod totp;
// Only for fuzzing.
#[doc(hidden)]
pub mod strict_json;
