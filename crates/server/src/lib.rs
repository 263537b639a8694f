//! The authority of channel access tokens as a server: its memory, its signing keys, its
//! protocols and its jobs.
//!
//! [`http`] receives a request, a protocol of [`api`] parses it and calls the
//! [`authority`], which applies the pure rules of `tegata-policy` and acts through the
//! store. Dependencies point downwards only: `http`, `api`, `authority`, store. This
//! crate contains neither rules nor SQL.

pub mod api;
pub mod authority;
pub mod config;
pub mod http;
pub mod metrics;
pub mod serve;

pub use self::http::{BadCertificate, CertificateValidity, SELF_SIGNED_CA, TlsFiles};
pub use authority::limits::{Limits, Rates, SurgeLimit};
pub use metrics::Metrics;
