//! Problem details (RFC 9457), each with a `code` that stays the same for as long
//! as the API does; the words beside it are for people and may change.

use axum::response::{IntoResponse, Response};
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::json;
use std::borrow::Cow;
use tegata_store::Error;
use tegata_token::{decide::Refused, jwk::BadJwk, refusal::Refusal};

/// An answer that is not what was asked for.
#[derive(Debug)]
pub struct Problem {
    code: Code,
    detail: Cow<'static, str>,
}

/// What is wrong, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// No administrator's token, or a wrong one.
    Unauthorized,
    /// The path, or what it names, is not there.
    NotFound,
    /// The path is there and does not take this method.
    MethodNotAllowed,
    /// The body is not of a JSON type.
    UnsupportedMediaType,
    /// The body is no JSON object.
    MalformedBody,
    /// A member or query field that nobody knows.
    UnknownMember,
    /// One that stands twice.
    RepeatedMember,
    /// One that must be there is not.
    MissingMember,
    /// One has a value that it cannot have.
    InvalidMember,
    /// A JWK that cannot be registered.
    InvalidJwk,
    /// It cannot stand beside what is there already.
    Conflict,
    /// Channels of this type have no such tokens.
    KindNotForChannel,
    /// The channel is suspended.
    ChannelSuspended,
    /// The law has no room for it.
    Full,
    /// The `Idempotency-Key` was used with other parameters.
    IdempotencyKeyReused,
    /// The token that the `Idempotency-Key` stands for has ended.
    IdempotencyKeyEnded,
    /// Too many single endings of stateless tokens.
    TooManySingleEndings,
    /// Nothing can be known or done at the moment.
    Unavailable,
}

impl Code {
    fn status_and_name(self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type")
            }
            Self::MalformedBody => (StatusCode::BAD_REQUEST, "malformed-body"),
            Self::UnknownMember => (StatusCode::BAD_REQUEST, "unknown-member"),
            Self::RepeatedMember => (StatusCode::BAD_REQUEST, "repeated-member"),
            Self::MissingMember => (StatusCode::BAD_REQUEST, "missing-member"),
            Self::InvalidMember => (StatusCode::BAD_REQUEST, "invalid-member"),
            Self::InvalidJwk => (StatusCode::BAD_REQUEST, "invalid-jwk"),
            Self::Conflict => (StatusCode::CONFLICT, "conflict"),
            Self::KindNotForChannel => (StatusCode::CONFLICT, "kind-not-for-channel"),
            Self::ChannelSuspended => (StatusCode::CONFLICT, "channel-suspended"),
            Self::Full => (StatusCode::CONFLICT, "full"),
            Self::IdempotencyKeyReused => {
                (StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused")
            }
            Self::IdempotencyKeyEnded => (StatusCode::CONFLICT, "idempotency-key-ended"),
            Self::TooManySingleEndings => {
                (StatusCode::TOO_MANY_REQUESTS, "too-many-single-endings")
            }
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        }
    }
}

impl Problem {
    /// The problem of that code; `detail` says what is so and names the way out.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// What is wrong.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Its status, and its words for people.
    pub fn status_and_detail(&self) -> (u16, &str) {
        (self.code.status_and_name().0.as_u16(), &self.detail)
    }

    /// "There is no `what`".
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no {what}"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, code) = self.code.status_and_name();
        let body = json!({
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "code": code,
            "detail": self.detail,
        });
        let mut response = (status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.code {
            Code::Unauthorized => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Code::Unavailable => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            // By then each of the endings that take up the room has expired.
            Code::TooManySingleEndings => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("900"));
            }
            _ => {}
        }
        response
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refusal.into(),
            Error::NotFound(what) => Self::not_found(what),
            Error::Conflict(why) => Self::new(Code::Conflict, why),
            // The authority asks again by itself; whoever sees this may do so too.
            Error::Taken => Self::new(Code::Unavailable, "no free id was found; ask again"),
            Error::Unavailable(why) => {
                // The store's own words may name paths.
                tracing::error!(%why, "the store cannot answer");
                let detail = "the store cannot answer at the moment; whether it was done is not \
                              known, so look before you ask again";
                Self::new(Code::Unavailable, detail)
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::UnknownChannel | Refusal::UnknownAssertionKey | Refusal::NotFound => {
                Code::NotFound
            }
            Refusal::Suspended => Code::ChannelSuspended,
            Refusal::KindNotForChannel(_) | Refusal::ProofNotForKind(_) => Code::KindNotForChannel,
            Refusal::Full(_) | Refusal::GroupFull(_) | Refusal::TooManyGroups => Code::Full,
            Refusal::DelayUnderLegacyLaw | Refusal::OtherGroupsKey | Refusal::AssertionUsed => {
                Code::Conflict
            }
            Refusal::DelayOutOfRange | Refusal::Assertion(_) | Refusal::WrongSecret => {
                Code::InvalidMember
            }
            Refusal::IdempotencyMismatch => Code::IdempotencyKeyReused,
            Refusal::IdempotencyEnded => Code::IdempotencyKeyEnded,
            Refusal::TooManyStatelessEndings => Code::TooManySingleEndings,
        };
        Self::new(code, refusal.to_string())
    }
}

impl From<BadJwk> for Problem {
    fn from(bad: BadJwk) -> Self {
        Self::new(Code::InvalidJwk, bad.to_string())
    }
}

/// A string that was to be read as a token of ours, and is none.
impl From<Refused> for Problem {
    fn from(_: Refused) -> Self {
        Self::new(Code::NotFound, "this is no token of this authority")
    }
}
