//! Errors as OAuth's clients read them (RFC 6749, section 5.2; RFC 7009, section 2.2.1).

use crate::{
    api::{
        form::BadForm,
        reply::{self, Reply},
    },
    authority::Error,
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use std::borrow::Cow;
use tegata_policy::{assertion::BadAssertion, denied::Denied};

/// Why a request has no result.
#[derive(Debug)]
pub struct OAuthError {
    status: StatusCode,
    error: &'static str,
    words: Cow<'static, str>,
    challenge: Option<Challenge>,
    /// In seconds.
    retry_after: Option<u64>,
}

/// The `WWW-Authenticate` of a request whose client is wrong. A client that used its secret in
/// the form, or an assertion, gets none: some libraries show nothing but the challenge then, and
/// hide `error_description`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// Basic authentication.
    Basic,
    /// A verifier's token, which is missing.
    Bearer,
    /// A verifier's token, which is wrong (RFC 6750, section 3.1).
    WrongBearer,
}

impl Challenge {
    const fn value(self) -> &'static str {
        match self {
            Self::Basic => r#"Basic realm="tegata", charset="UTF-8""#,
            Self::Bearer => r#"Bearer realm="tegata""#,
            Self::WrongBearer => r#"Bearer realm="tegata", error="invalid_token""#,
        }
    }
}

/// What was presented and is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// A secret, as client authentication.
    Secret(Option<Challenge>),
    /// An assertion, as client authentication.
    Assertion,
    /// An assertion, as grant.
    Grant,
}

impl OAuthError {
    fn of_request(status: StatusCode, words: impl Into<Cow<'static, str>>) -> Self {
        let words = words.into();
        Self { status, error: "invalid_request", words, challenge: None, retry_after: None }
    }

    fn with(error: &'static str, words: impl Into<Cow<'static, str>>) -> Self {
        Self { error, ..Self::of_request(StatusCode::BAD_REQUEST, words) }
    }

    /// The request is malformed.
    pub fn invalid_request(words: impl Into<Cow<'static, str>>) -> Self {
        Self::of_request(StatusCode::BAD_REQUEST, words)
    }

    /// The client is not authenticated.
    pub fn invalid_client(
        challenge: Option<Challenge>,
        words: impl Into<Cow<'static, str>>,
    ) -> Self {
        let status = StatusCode::UNAUTHORIZED;
        Self { status, challenge, ..Self::with("invalid_client", words) }
    }

    /// The grant is not one of the client's.
    pub fn invalid_grant(words: impl Into<Cow<'static, str>>) -> Self {
        Self::with("invalid_grant", words)
    }

    /// The client may not do this.
    pub fn unauthorized_client(words: impl Into<Cow<'static, str>>) -> Self {
        Self::with("unauthorized_client", words)
    }

    /// There is no such grant type.
    pub fn unsupported_grant_type(words: impl Into<Cow<'static, str>>) -> Self {
        Self::with("unsupported_grant_type", words)
    }

    /// The scope is not one that the token would have.
    pub fn invalid_scope(words: impl Into<Cow<'static, str>>) -> Self {
        Self::with("invalid_scope", words)
    }

    /// The request can succeed in so many seconds.
    fn later(status: StatusCode, seconds: u64, words: impl Into<Cow<'static, str>>) -> Self {
        let later = Self::of_request(status, words);
        Self { error: "temporarily_unavailable", retry_after: Some(seconds), ..later }
    }

    /// The answer cannot be known now, and a retry may succeed.
    pub fn unavailable() -> Self {
        let words = "the answer cannot be known at the moment; try again later";
        Self::later(StatusCode::SERVICE_UNAVAILABLE, 1, words)
    }

    /// Too many requests.
    pub fn too_many(seconds: u64, words: impl Into<Cow<'static, str>>) -> Self {
        Self::later(StatusCode::TOO_MANY_REQUESTS, seconds, words)
    }

    /// An error of the authority, about a request that presented this.
    pub fn of(error: Error, presented: Presented) -> Self {
        match error {
            Error::Denied(denied) => Self::denied(denied, presented),
            error => {
                tracing::warn!(%error, "a request failed: the answer cannot be known");
                Self::unavailable()
            }
        }
    }

    fn denied(denied: Denied, presented: Presented) -> Self {
        match denied {
            // A channel that is suspended or unknown gets the answer of a wrong credential.
            Denied::UnknownChannel
            | Denied::UnknownAssertionKey
            | Denied::WrongSecret
            | Denied::Suspended => Self::wrong(presented, Self::unknown(denied, presented)),
            // Part of the request rather than of the credential.
            Denied::Assertion(
                bad @ (BadAssertion::TokenExpiry | BadAssertion::TokenExpiriesDiffer),
            ) => Self::invalid_request(bad.to_string()),
            Denied::Assertion(_) | Denied::AssertionUsed => {
                Self::wrong(presented, denied.to_string())
            }
            Denied::KindNotForChannel(_) | Denied::AuthenticationNotForKind(_) => {
                Self::unauthorized_client(denied.to_string())
            }
            Denied::IdempotencyInactive => {
                Self::of_request(StatusCode::CONFLICT, denied.to_string())
            }
            Denied::IdempotencyMismatch => {
                Self::of_request(StatusCode::UNPROCESSABLE_ENTITY, denied.to_string())
            }
            Denied::LimitExceeded { seconds } => Self::too_many(seconds, denied.to_string()),
            Denied::TooManyStatelessRevocations => Self::too_many(60, denied.to_string()),
            Denied::Full(_)
            | Denied::GroupFull(_)
            | Denied::OtherGroupsKey
            | Denied::TooManyGroups
            | Denied::DelayOutOfRange
            | Denied::GroupCapOutOfRange
            | Denied::NotALogin
            | Denied::DelayUnderLegacyRules
            | Denied::ProviderHasChannels { .. }
            | Denied::TooManyScopeRevocations(_)
            | Denied::NotFound => Self::invalid_request(denied.to_string()),
        }
    }

    /// The same words for a credential that is wrong and for one of no channel.
    fn unknown(denied: Denied, presented: Presented) -> Cow<'static, str> {
        match (presented, denied) {
            (Presented::Secret(_), _) => "client_id or client_secret is wrong".into(),
            (_, Denied::Suspended) => BadAssertion::Signature.to_string().into(),
            (_, _) => "the channel that iss names has no key with this kid; without a kid, an \
                       assertion must be signed by a key that is not bound to a group"
                .into(),
        }
    }

    fn wrong(presented: Presented, words: impl Into<Cow<'static, str>>) -> Self {
        match presented {
            Presented::Secret(challenge) => Self::invalid_client(challenge, words),
            Presented::Assertion => Self::invalid_client(None, words),
            Presented::Grant => Self::invalid_grant(words),
        }
    }
}

impl From<BadForm> for OAuthError {
    fn from(bad: BadForm) -> Self {
        Self::invalid_request(bad.to_string())
    }
}

impl From<OAuthError> for Reply {
    fn from(it: OAuthError) -> Self {
        let mut reply = failure(it.status, it.error, &it.words);
        if let Some(challenge) = it.challenge {
            let value = HeaderValue::from_static(challenge.value());
            reply.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        }
        match it.retry_after {
            Some(seconds) => reply::retry_after(reply, seconds),
            None => reply,
        }
    }
}

/// A response with an error.
#[must_use]
pub fn failure(status: StatusCode, error: &str, description: &str) -> Reply {
    #[derive(Serialize)]
    struct Body<'a> {
        error: &'a str,
        error_description: Cow<'a, str>,
    }
    // RFC 6749 allows no double quote and no backslash in it.
    let plain = |it: &str| it.replace(['"', '\\'], "'");
    let error_description = match description.contains(['"', '\\']) {
        true => plain(description).into(),
        false => description.into(),
    };
    let body = Body { error, error_description };
    reply::json(status, serde_json::to_vec(&body).unwrap_or_default())
}
