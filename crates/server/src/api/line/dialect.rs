//! Errors in LINE's words.
//!
//! LINE has two shapes of error, and uses both on one path: OAuth's `error` and
//! `error_description`, and a bare `message`. Its words for the same mistake differ
//! between operations, so an error carries which credential was used on which operation.

use crate::{
    api::{
        form::BadForm,
        reply::{self, Reply},
    },
    authority::Error,
};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use tegata_policy::{assertion::BadAssertion, denied::Denied};
use tegata_token::{verify::Invalid, wire::Malformed};

/// The credential that was used, and the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// An assertion.
    Assertion,
    /// A secret, on `/v2/oauth/accessToken`.
    Secret,
    /// A secret, on `/oauth2/v3/token`.
    StatelessSecret,
    /// A secret, on `/oauth2/v2.1/revoke`.
    RevokeSecret,
}

/// Why an operation has no result.
#[derive(Debug)]
pub enum Wrong {
    /// The form cannot be read.
    Form(BadForm),
    /// A required field is missing.
    Missing,
    /// Another grant type.
    GrantType,
    /// A field has an invalid value; the text describes it.
    Field(String),
    /// Secret and assertion together.
    BothCredentials,
    /// `client_id` names another channel than the assertion.
    OtherClient,
    /// The channel id is malformed.
    ChannelId(Presented),
    /// The token is not a JWS where one is required.
    NotJws,
    /// The JWS is malformed.
    MalformedJws,
    /// The token is not opaque, or malformed, where an opaque one is required.
    NotOpaque,
    /// A rule denies it.
    Invalid(Denied, Presented),
    /// The rate limit is exceeded; retry after this many seconds.
    LimitExceeded(u64),
    /// The answer cannot be known at the moment.
    Unavailable(Error),
}

impl Wrong {
    /// Maps an error of the authority.
    pub fn of(error: Error, presented: Presented) -> Self {
        match error {
            Error::Denied(Denied::LimitExceeded { seconds }) => Self::LimitExceeded(seconds),
            Error::Denied(denied) => Self::Invalid(denied, presented),
            error => Self::Unavailable(error),
        }
    }
}

impl From<BadForm> for Wrong {
    fn from(bad: BadForm) -> Self {
        Self::Form(bad)
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        Reply::from(self).into_response()
    }
}

impl From<Wrong> for Reply {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Form(bad @ BadForm::MediaType) => {
                reply::message(StatusCode::UNSUPPORTED_MEDIA_TYPE, &bad.to_string())
            }
            Wrong::Form(bad) => oauth("invalid_request", &bad.to_string()),
            Wrong::Missing => oauth("invalid_request", "some parameters missed or invalid"),
            Wrong::GrantType => {
                oauth("unsupported_grant_type", "grant_type must be client_credentials")
            }
            Wrong::Field(words) => oauth("invalid_request", &words),
            Wrong::BothCredentials => oauth(
                "invalid_request",
                "send client_id and client_secret, or client_assertion_type and client_assertion, not both",
            ),
            Wrong::OtherClient => oauth("invalid_client", "iss and clientId of key do not match"),
            Wrong::ChannelId(Presented::Secret) => {
                oauth("invalid_request", "some parameters in the wrong format")
            }
            Wrong::ChannelId(presented) => refused(Denied::UnknownChannel, presented),
            Wrong::NotJws => oauth("invalid_request", NOT_JWS),
            Wrong::MalformedJws => oauth("invalid_request", MALFORMED),
            Wrong::NotOpaque => {
                reply::json(StatusCode::BAD_REQUEST, r#"{"error":"invalid_request"}"#)
            }
            Wrong::Invalid(denied, presented) => refused(denied, presented),
            Wrong::LimitExceeded(seconds) => {
                let words = "The API rate limit has been exceeded. Try again later.";
                let reply = reply::message(StatusCode::TOO_MANY_REQUESTS, words);
                reply::retry_after(reply, seconds)
            }
            Wrong::Unavailable(error) => {
                tracing::warn!(%error, "a request failed: the answer cannot be known");
                reply::unavailable()
            }
        }
    }
}

/// The response to a request that was denied: to issue, to list or to revoke.
fn refused(denied: Denied, presented: Presented) -> Reply {
    match (denied, presented) {
        (Denied::UnknownAssertionKey, _) | (Denied::UnknownChannel, Presented::Assertion) => {
            let words = "Cannot find channel key that satisfies the conditions";
            reply::message(StatusCode::NOT_FOUND, words)
        }
        (
            Denied::UnknownChannel | Denied::WrongSecret | Denied::Suspended,
            Presented::StatelessSecret,
        ) => oauth("invalid_request", "Invalid 'client_credentials'."),
        (Denied::UnknownChannel, _) => oauth("invalid_client", "invalid client_id"),
        // A suspended channel gets the same response as a wrong credential.
        (Denied::Suspended, Presented::Assertion) => {
            oauth("invalid_client", &BadAssertion::Signature.to_string())
        }
        (Denied::WrongSecret | Denied::Suspended, _) => {
            oauth("invalid_client", "invalid client_secret")
        }
        (Denied::Assertion(_) | Denied::AssertionUsed, _) => {
            oauth("invalid_client", &denied.to_string())
        }
        (Denied::KindNotForChannel(_) | Denied::AuthenticationNotForKind(_), _) => {
            oauth("unauthorized_client", &denied.to_string())
        }
        (Denied::Full(_) | Denied::GroupFull(_), _) => {
            let words = "The maximum number of access tokens has already been issued";
            reply::message(StatusCode::BAD_REQUEST, words)
        }
        (Denied::IdempotencyInactive, _) => {
            reply::message(StatusCode::CONFLICT, &denied.to_string())
        }
        (Denied::IdempotencyMismatch, _) => {
            reply::message(StatusCode::UNPROCESSABLE_ENTITY, &denied.to_string())
        }
        (Denied::LimitExceeded { seconds }, _) => Wrong::LimitExceeded(seconds).into(),
        (Denied::TooManyStatelessRevocations, _) => {
            let reply = reply::message(StatusCode::TOO_MANY_REQUESTS, &denied.to_string());
            reply::retry_after(reply, 60)
        }
        (
            Denied::OtherGroupsKey
            | Denied::TooManyGroups
            | Denied::DelayOutOfRange
            | Denied::GroupCapOutOfRange
            | Denied::NotALogin
            | Denied::DelayUnderLegacyRules
            | Denied::ProviderHasChannels { .. }
            | Denied::TooManyScopeRevocations(_)
            | Denied::NotFound,
            _,
        ) => oauth("invalid_request", &denied.to_string()),
    }
}

const NOT_JWS: &str = "The access token not JWS";
const MALFORMED: &str = "The access token malformed";

/// The response to an invalid token on `/oauth2/v2.1/verify`.
pub fn bad_jws(invalid: Invalid) -> Reply {
    let words = match invalid {
        Invalid::Malformed(Malformed::OtherShape | Malformed::Opaque) => NOT_JWS,
        Invalid::Malformed(Malformed::Jws)
        | Invalid::BadSignature
        | Invalid::UnknownKey
        | Invalid::Foreign => MALFORMED,
        Invalid::Expired => "The access token expired",
        Invalid::Revoked(_) | Invalid::Suspended => "The access token revoked",
    };
    oauth("invalid_request", words)
}

/// The response to an invalid token on `/v2/oauth/verify`.
pub fn bad_opaque(invalid: Invalid) -> Reply {
    let words = match invalid {
        Invalid::Malformed(_) => "access_token in invalid format",
        Invalid::BadSignature
        | Invalid::UnknownKey
        | Invalid::Foreign
        | Invalid::Expired
        | Invalid::Revoked(_)
        | Invalid::Suspended => "access_token invalid",
    };
    oauth("invalid_request", words)
}

fn oauth(error: &str, description: &str) -> Reply {
    #[derive(Serialize)]
    struct Body<'a> {
        error: &'a str,
        error_description: &'a str,
    }
    let body = Body { error, error_description: description };
    reply::json(StatusCode::BAD_REQUEST, serde_json::to_vec(&body).unwrap_or_default())
}

/// 200, and the body as JSON, its members in their order.
pub fn ok(body: &impl Serialize) -> Reply {
    // A response with a token fits without growing.
    let mut text = Vec::with_capacity(1024);
    match serde_json::to_writer(&mut text, body) {
        Ok(()) => reply::json(StatusCode::OK, text),
        Err(_) => reply::internal_error(),
    }
}
