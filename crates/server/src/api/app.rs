//! The state that all protocols share: the authority and the counters.

use super::subject::{self, VerifiedToken};
use crate::{
    api::faults::Faults,
    authority::{
        Authority, CertificateUntil, Result, admin_token::TokenSource, health::Health, jobs::Jobs,
        leaks::LeakReceiver, source::Source,
    },
    metrics::{Metrics, Verifications, reason},
};
use std::sync::Arc;
use tegata_token::{
    claims::Claims,
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
    /// Whether a line is logged for each verification.
    pub log_verifications: bool,
    /// The faults to simulate; only under `--dev` can there be any.
    pub faults: Faults,
    /// The root administrator's token.
    pub admin_token: Arc<TokenSource>,
    /// The periodic jobs, which run at once when the clock is moved.
    pub jobs: Arc<Jobs>,
    /// Who may report leaked tokens in a programme's name.
    pub leaks: Arc<LeakReceiver>,
    /// The expiry of the TLS certificate in force, where TLS is used.
    pub certificate_until: Option<CertificateUntil>,
}

impl App {
    /// Verifies a token for a client; some verifications are timed among `counts`.
    /// The inner error is the reason why it is not valid.
    ///
    /// # Errors
    /// [`Unavailable`](crate::authority::Error::Unavailable): whether it is valid is not known.
    pub(super) async fn verify(
        &self,
        counts: &Verifications,
        token: &[u8],
        source: Source,
    ) -> Result<std::result::Result<Active, Invalid>> {
        let verify = self.authority.verify(token, Some(source));
        let verified = counts.timed(|| self.authority.clock().steady(), verify).await?;
        if let Ok(active) = &verified {
            subject::set(active.claims.channel);
        }
        if self.log_verifications {
            let result = verified.as_ref().map_or_else(|invalid| reason(*invalid), |_| "active");
            let claims = match &verified {
                Ok(active) => Some(Claims::clone(&active.claims)),
                // A token of ours that is not valid has an id, too.
                Err(_) => self.authority.read_now(token).ok(),
            };
            subject::set_verified(VerifiedToken { result, claims });
        }
        Ok(verified)
    }
}
