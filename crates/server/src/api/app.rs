//! The state that all protocols share: the authority and the counters.

use super::subject;
use crate::{
    api::faults::Faults,
    authority::{Authority, admin_token::TokenSource, health::Health, jobs::Jobs},
    metrics::{Metrics, Verifications},
};
use std::sync::Arc;
use tegata_token::{
    time::UnixTime,
    verify::{Active, Invalid},
};

/// The state that all protocols share.
pub struct App {
    /// The authority.
    pub authority: Arc<Authority>,
    /// What `/readyz` reports.
    pub health: Arc<Health>,
    /// The server's counters.
    pub metrics: Arc<Metrics>,
    /// Whether the development clock can be moved.
    pub dev: bool,
    /// The faults to simulate; only under `--dev` can there be any.
    pub faults: Faults,
    /// The root administrator's token.
    pub admin_token: Arc<TokenSource>,
    /// The periodic jobs, which run at once when the clock is moved.
    pub jobs: Arc<Jobs>,
    /// The expiry of the TLS certificate in force, where TLS is used.
    pub certificate_until: Option<CertificateUntil>,
}

/// Reads the expiry of the TLS certificate in force.
pub type CertificateUntil = Box<dyn Fn() -> UnixTime + Send + Sync>;

impl App {
    /// Verifies a token; some verifications are timed among `counts`.
    pub(super) fn verify(&self, counts: &Verifications, token: &[u8]) -> Result<Active, Invalid> {
        let verified =
            counts.timed(|| self.authority.clock().steady(), || self.authority.verify(token));
        if let Ok(active) = &verified {
            subject::set(active.claims.channel);
        }
        verified
    }
}
