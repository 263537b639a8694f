//! Settings of a verifier.

use crate::standing::Use;
use reqwest::{
    Certificate, Url,
    header::{HeaderValue, InvalidHeaderValue},
};
use std::{io, path::PathBuf, time::Duration};
use tegata_token::feed::{OnStale, STALENESS};

/// Settings of a verifier.
#[derive(Debug, Clone)]
pub struct FollowSettings {
    /// The authority's address.
    pub authority: Url,
    /// `Bearer` and the verifier's token.
    pub(super) authorization: HeaderValue,
    /// The use that [`super::Verifier::verify`] verifies for.
    pub wanted: Use,
    /// The only certificate authorities that the authority's certificate may be of; if empty,
    /// those that the machine trusts.
    pub certificates: Vec<Certificate>,
    /// A file for a copy of the view: a process that starts while the authority cannot be
    /// reached uses the view of the last one.
    pub copy: Option<PathBuf>,
    /// Interval of the reports of uses, from which the authority knows when a token was last
    /// used; `None`: uses are not reported. Uses are what [`super::TokenVerifier::record_use`]
    /// counts: a program that does not call it reports that there were none.
    pub usage_interval: Option<Duration>,
    /// Number of tokens whose signature check is cached.
    pub cached_tokens: usize,
}

/// Why a verifier cannot start.
#[derive(Debug, thiserror::Error)]
pub enum VerifierStartError {
    /// The address is not one of a server, or has a password in it. So it is not repeated.
    #[error("this is not the address of an authority; it has the form https://HOST[:PORT]")]
    Address,
    /// The token has characters that no token has.
    #[error("the verifier's token has characters that no token has")]
    Token(#[from] InvalidHeaderValue),
    /// The staleness is out of range.
    #[error("a staleness of {0:?} is out of range; it is 500 ms to 24 h")]
    Staleness(Duration),
    /// The HTTP client cannot be built.
    #[error("the HTTP client cannot be built: {0}")]
    Http(#[from] reqwest::Error),
    /// A document of certificates holds none.
    #[error("the document holds no certificate in PEM")]
    NoCertificate,
    /// The copy cannot be locked.
    #[error("{0}")]
    Copy(io::Error),
    /// The follower's thread cannot be started.
    #[error("the follower's thread cannot be started: {0}")]
    Thread(io::Error),
    /// The system returned no random bytes.
    #[error("the system returned no random bytes")]
    NoRandomness,
    /// The system cannot say when the process forks.
    #[error("{0}")]
    NoFork(forkguard::atfork::AtforkError),
}

impl FollowSettings {
    /// Settings for the authority at this address with a verifier's token: a staleness of
    /// 60 s, and `deny`.
    ///
    /// # Errors
    /// The token has characters that no token has.
    pub fn new(authority: Url, token: &str) -> Result<Self, VerifierStartError> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}"))?;
        authorization.set_sensitive(true);
        let wanted = Use { staleness: Duration::from_secs(60), on_stale: OnStale::Deny };
        Ok(Self {
            authority,
            authorization,
            wanted,
            certificates: Vec::new(),
            copy: None,
            usage_interval: Some(Duration::from_secs(60)),
            cached_tokens: 10_000,
        })
    }

    /// Accepts only certificates of the certificate authorities in this PEM document, in place of
    /// those that the machine trusts.
    ///
    /// # Errors
    /// The document has no certificate, or one that cannot be read.
    pub fn trust(&mut self, pem: &[u8]) -> Result<(), VerifierStartError> {
        self.certificates = Certificate::from_pem_bundle(pem)?;
        let is_empty = self.certificates.is_empty();
        if is_empty { Err(VerifierStartError::NoCertificate) } else { Ok(()) }
    }

    pub(super) fn check(&self) -> Result<(), VerifierStartError> {
        let has_server = matches!(self.authority.scheme(), "http" | "https")
            && self.authority.has_host()
            && self.authority.query().is_none()
            && self.authority.username().is_empty()
            && self.authority.password().is_none();
        if !has_server {
            return Err(VerifierStartError::Address);
        }
        match STALENESS.contains(&self.wanted.staleness) {
            true => Ok(()),
            false => Err(VerifierStartError::Staleness(self.wanted.staleness)),
        }
    }
}
