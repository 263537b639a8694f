//! The authority of channel access tokens as a server: its memory, its signer,
//! its protocols and its jobs.
//!
//! A request comes in at [`http`], a protocol of [`api`] reads it and asks the
//! [`authority`], the authority decides by the pure rules of `tegata-token` and
//! acts through the store. Arrows run downwards only: `http`, `api`, `authority`,
//! store. The rules are not here, and neither is any SQL.

pub mod api;
pub mod authority;
pub mod config;
pub mod http;
pub mod metrics;
pub mod serve;

pub use self::http::{BadCertificate, Good, TlsFiles};
pub use authority::limits::{Limits, Rates, SurgeLimit};
pub use metrics::Metrics;
