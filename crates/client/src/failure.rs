//! Why a call failed.

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The authority refused the request: a status from 400 to 499, except 408 and 429.
    #[error("refused with {status}: {said}")]
    Denied {
        /// The HTTP status.
        status: u16,
        /// The authority's message; for people only, since it may change.
        said: String,
    },
    /// 429: the channel is over a rate limit.
    #[error("refused with 429: too many requests")]
    LimitExceeded {
        /// Seconds to wait before the next request, if the response says so.
        retry_after: Option<u64>,
    },
    /// No response, or none that is reliable: the request may have taken effect.
    #[error("no usable answer from {from}: {why}")]
    Unavailable {
        /// The authority's address.
        from: String,
        /// What happened instead.
        why: String,
        /// Seconds to wait before the next request, if the response says so.
        retry_after: Option<u64>,
    },
    /// No request was sent, since this machine lacks what it needs.
    #[error("no request was sent: {0}")]
    NotAsked(String),
}

impl Failure {
    /// Seconds to wait before the next request, if the response says so.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::LimitExceeded { retry_after } | Self::Unavailable { retry_after, .. } => {
                *retry_after
            }
            Self::Denied { .. } | Self::NotAsked(_) => None,
        }
    }
}
