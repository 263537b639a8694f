//! The authority of channel access tokens as a server: its memory, its signer,
//! its HTTP faces and its jobs.
//!
//! A request comes in at the [`door`], a face reads it and asks the
//! [`authority`], the authority judges by the pure rules of `tegata-token` and
//! acts through the store. The rules are not here, and neither is any SQL.

pub mod admin_token;
pub mod audit;
pub mod authority;
pub mod chance;
mod channels;
pub mod clock;
pub mod config;
mod descriptors;
mod door;
pub mod face;
// Only for fuzzing.
#[doc(hidden)]
pub mod form;
mod health;
mod jobs;
pub mod keeping;
mod keyring;
mod last_used;
mod limits;
pub mod master_key;
mod metrics;
pub mod private_file;
pub mod record;
mod reply;
pub mod serve;
pub mod source;
pub mod traces;
pub mod warnings;

pub use door::{BadCertificate, Good, TlsFiles};
pub use limits::{Limits, Rates, StormGuard};
pub use metrics::Metrics;
