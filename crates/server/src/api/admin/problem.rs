//! Problem details (RFC 9457). Each has a `code` that stays stable for as long as the
//! API; the text beside it is for people and may change.

pub use super::code::Code;
use super::fault::{Fault, Place};
use crate::authority::admin;
use axum::response::{IntoResponse, Response};
use http::{
    HeaderValue,
    header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;
use std::{borrow::Cow, collections::BTreeMap};
use tegata_policy::{denied::Denied, jwk::BadJwk};
use tegata_store::Error;
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{Content, Ref, RefOr, Response as Described, ResponseBuilder},
};
use uuid::Uuid;

/// An error response.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    /// After how many seconds a retry may succeed, where that is known.
    retry_after: Option<u64>,
    /// Whether the store has said that it changed nothing.
    changed_nothing: bool,
    /// What is wrong with single parts of the request.
    errors: Vec<Fault>,
}

/// An error (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Details {
    /// The reason phrase of the status.
    #[schema(example = "Bad Request")]
    title: Option<&'static str>,
    /// The status of the response.
    #[schema(example = 400)]
    status: u16,
    code: Code,
    /// What is wrong, and the next step, for people; its wording may change.
    #[schema(example = "`nmae` is unknown; known here: name")]
    detail: Cow<'static, str>,
    /// Each member, query field or header that is invalid; `code` and `detail` above are those
    /// of the first.
    errors: Vec<Fault>,
    /// The request's id, as in the header `x-line-request-id` and in the log.
    #[schema(example = "6f0e0a5e-7f0c-4a44-a1f8-6f1a3c0b1d42")]
    request_id: String,
}

/// The error responses that every call can give.
pub struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        let problem = Content::new(Some(Ref::from_schema_name(Details::name())));
        let described = ResponseBuilder::new()
            .description("An error; `code` gives the reason.")
            .content("application/problem+json", problem);
        [("default".to_owned(), described.build().into())].into()
    }
}

impl Problem {
    /// The problem with that code; `detail` describes it and names the next step.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let (retry_after, changed_nothing) = (None, false);
        Self { code, detail: detail.into(), retry_after, changed_nothing, errors: Vec::new() }
    }

    /// The error.
    #[cfg(test)]
    pub fn code(&self) -> Code {
        self.code
    }

    /// Whether nothing was changed, although its status leaves that open.
    pub fn changed_nothing(&self) -> bool {
        self.changed_nothing
    }

    /// Its status, and its text for people.
    pub fn status_and_detail(&self) -> (u16, &str) {
        (self.code.status().as_u16(), &self.detail)
    }

    /// The problem of a header.
    pub fn header(name: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of(vec![Fault::of_name(Place::Header, name, Code::InvalidMember, detail)])
    }

    /// The problem of a member of the body.
    pub fn member(name: &str, code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of(vec![Fault::of_member(&[name.to_owned()], code, detail)])
    }

    /// The problem of the body as a whole.
    pub fn body(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of(vec![Fault::of_member(&[], code, detail)])
    }

    /// The problem of these parts of the request, of which there is at least one.
    pub fn of(errors: Vec<Fault>) -> Self {
        let first = errors.first().map(Fault::code_and_detail);
        let (code, detail) = first.unwrap_or((Code::InternalError, "".into()));
        Self { errors, ..Self::new(code, detail) }
    }

    /// The same for fields of the query.
    pub fn in_query(mut self) -> Self {
        self.errors = self.errors.into_iter().map(Fault::in_query).collect();
        self
    }

    /// "There is no such `what`".
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no such {what}"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (code, retry_after) = (self.code, self.retry_after);
        let mut response = code.status().into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match code {
            Code::Unauthorized | Code::WrongSignIn => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Code::Unavailable => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            // By then each of the single revocations that take up the room has expired.
            Code::TooManySingleRevocations => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("900"));
            }
            _ => {}
        }
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        // The body is written where the request's id is known: see `signed`.
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the body of a response that is a problem; other responses are left as they are.
pub fn signed(mut response: Response, request: &Uuid) -> Response {
    let Some(Problem { code, detail, errors, .. }) = response.extensions_mut().remove() else {
        return response;
    };
    let status = response.status();
    let title = status.canonical_reason();
    let request_id = request.to_string();
    let details = Details { title, status: status.as_u16(), code, detail, errors, request_id };
    // None of these members can fail to serialize.
    let body = serde_json::to_vec(&details).unwrap_or_default();
    // The router set the length of the empty body.
    response.headers_mut().insert(CONTENT_LENGTH, body.len().into());
    *response.body_mut() = body.into();
    response
}

impl From<admin::Error> for Problem {
    fn from(error: admin::Error) -> Self {
        match error {
            admin::Error::Forbidden { .. } | admin::Error::BeyondRights(_) => {
                Self::new(Code::Forbidden, error.to_string())
            }
            admin::Error::WrongSignIn => Self::new(Code::WrongSignIn, error.to_string()),
            admin::Error::TooManySignIns(seconds) => Self {
                retry_after: Some(seconds),
                ..Self::new(Code::LimitExceeded, error.to_string())
            },
            admin::Error::Busy => {
                Self { retry_after: Some(1), ..Self::new(Code::Unavailable, error.to_string()) }
            }
            admin::Error::LoginTaken(..) => Self::new(Code::Conflict, error.to_string()),
            admin::Error::Unacceptable(member, _) => {
                Self::member(member, Code::InvalidMember, error.to_string())
            }
            admin::Error::NotOurToken => Self::new(Code::NotOurToken, error.to_string()),
            admin::Error::OtherChannelsToken
            | admin::Error::NothingCreated(_)
            | admin::Error::NoSuch { .. } => Self::new(Code::NotFound, error.to_string()),
            admin::Error::Store(error) => error.into(),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Denied(denied) => denied.into(),
            Error::NotFound(what) => Self::not_found(what),
            Error::Conflict(why) => Self::new(Code::Conflict, why),
            Error::Changed => {
                let detail = "the object is not as your If-Match expects it: it was changed \
                              meanwhile, or has no tag; read it again, and repeat the request with \
                              its new ETag if it still fits";
                Self::new(Code::PreconditionFailed, detail)
            }
            // The authority retries by itself; a caller that gets this error may retry,
            // too.
            Error::Taken => Self {
                changed_nothing: true,
                ..Self::new(Code::Unavailable, "no unused id was found; retry")
            },
            Error::NotNow(why) => {
                Self { changed_nothing: true, ..Self::new(Code::Unavailable, why.to_string()) }
            }
            Error::Unavailable(why) => {
                // The store's own error may name paths.
                tracing::error!(%why, "the store is unavailable");
                let detail = "the store cannot answer at the moment; whether it was done is not \
                              known, so look at the present state before you retry";
                Self::new(Code::Unavailable, detail)
            }
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let code = match denied {
            Denied::UnknownChannel | Denied::UnknownAssertionKey | Denied::NotFound => {
                Code::NotFound
            }
            Denied::Suspended => Code::ChannelSuspended,
            Denied::KindNotForChannel(_) | Denied::AuthenticationNotForKind(_) => {
                Code::KindNotForChannel
            }
            Denied::Full(_) | Denied::GroupFull(_) | Denied::TooManyGroups => Code::Full,
            Denied::DelayUnderLegacyRules
            | Denied::OtherGroupsKey
            | Denied::AssertionUsed
            | Denied::ProviderHasChannels { .. }
            | Denied::TooManyScopeRevocations(_) => Code::Conflict,
            Denied::DelayOutOfRange
            | Denied::GroupCapOutOfRange
            | Denied::NotALogin
            | Denied::Assertion(_)
            | Denied::WrongSecret => Code::InvalidMember,
            Denied::IdempotencyMismatch => Code::IdempotencyKeyReused,
            Denied::IdempotencyInactive => Code::IdempotencyKeyInactive,
            Denied::LimitExceeded { .. } => Code::LimitExceeded,
            Denied::TooManyStatelessRevocations => Code::TooManySingleRevocations,
        };
        let retry_after = match denied {
            Denied::LimitExceeded { seconds } => Some(seconds),
            _ => None,
        };
        Self { retry_after, ..Self::new(code, denied.to_string()) }
    }
}

impl From<BadJwk> for Problem {
    fn from(bad: BadJwk) -> Self {
        Self::member("jwk", Code::InvalidJwk, bad.to_string())
    }
}
