//! Channel access tokens as pure functions: what kinds there are and by which
//! law they live, how a token is written and read back, when a request may have
//! one, and whether one that is shown is still good.
//!
//! This crate knows no clock, no network, no disk and no source of chance: time
//! and random bytes are arguments. Whoever embeds it gets exactly the rules the
//! authority itself runs on.
//!
//! The way of a request through it:
//!
//! ```text
//! assertion / secret ──policy::judge──▶ Grant ──policy::admit──▶ Admit   (issuing)
//! token bytes ──decide::decide(now, &View)──▶ Active | Refused           (checking)
//! log entry ──View::apply──▶ View                                       (following)
//! ```

pub mod assertion;
pub mod claims;
pub mod decide;
pub mod id;
pub mod jwk;
pub mod key;
pub mod law;
pub mod policy;
pub mod refusal;
pub mod secret;
// Only for fuzzing.
#[doc(hidden)]
pub mod strict_json;
pub mod time;
pub mod view;
pub mod wire;
