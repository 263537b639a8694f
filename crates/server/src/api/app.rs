//! What all protocols share: the authority that they ask, and what they count.

use crate::{
    authority::{Authority, admin_token::TokenSource, health::Health, jobs::Jobs},
    metrics::{Checks, Metrics},
};
use std::sync::Arc;
use tegata_token::{
    time::UnixTime,
    verify::{Active, Invalid},
};

/// What all protocols share.
pub struct App {
    /// The authority that answers.
    pub authority: Arc<Authority>,
    /// What `/readyz` answers.
    pub health: Arc<Health>,
    /// The server's counters.
    pub metrics: Arc<Metrics>,
    /// Whether the clock can be moved.
    pub dev: bool,
    /// The root administrator's token.
    pub admin_token: Arc<TokenSource>,
    /// The periodic jobs, which follow a clock that was moved.
    pub jobs: Arc<Jobs>,
    /// The expiry of the TLS certificate in force, where TLS is used.
    pub certificate_until: Option<CertificateUntil>,
}

/// Reads the expiry of the TLS certificate in force.
pub type CertificateUntil = Box<dyn Fn() -> UnixTime + Send + Sync>;

impl App {
    /// Verifies a token; some verifications are timed among `counts`.
    pub(super) fn check(&self, counts: &Checks, token: &[u8]) -> Result<Active, Invalid> {
        counts.timed(|| self.authority.clock().steady(), || self.authority.check(token))
    }
}
