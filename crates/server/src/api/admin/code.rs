//! The codes of problems, and the status of each.

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// The error, for programs. New codes can be added at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// No administrator's token, or a wrong one.
    Unauthorized,
    /// The sign-in name, the password or the code is wrong.
    WrongSignIn,
    /// The caller lacks the permission.
    Forbidden,
    /// The path, or the object that it names, does not exist.
    NotFound,
    /// The string is not a token of this authority.
    NotOurToken,
    /// The path exists but does not support this method.
    MethodNotAllowed,
    /// The body is not of a JSON media type.
    UnsupportedMediaType,
    /// The request does not have exactly one `Host`.
    MalformedHead,
    /// The request has too many header fields.
    HeadTooLong,
    /// The body exceeds the maximum length.
    BodyTooLong,
    /// The body did not arrive in time.
    BodyTooSlow,
    /// The body is not a JSON object.
    MalformedBody,
    /// A member or query field is unknown.
    UnknownMember,
    /// A member or query field is repeated.
    RepeatedMember,
    /// A required member or query field is missing.
    MissingMember,
    /// A member or query field has an invalid value.
    InvalidMember,
    /// The JWK cannot be registered.
    InvalidJwk,
    /// The request conflicts with the present state.
    Conflict,
    /// Channels of this type cannot have tokens of this kind.
    KindNotForChannel,
    /// The channel is suspended.
    ChannelSuspended,
    /// The token rules' cap is reached.
    Full,
    /// The `Idempotency-Key` was used with other parameters.
    IdempotencyKeyReused,
    /// The token of this `Idempotency-Key` is expired or revoked.
    IdempotencyKeyInactive,
    /// The object is not as `If-Match` expects it.
    PreconditionFailed,
    /// A rate or surge limit is exceeded.
    LimitExceeded,
    /// Too many single revocations of stateless tokens.
    TooManySingleRevocations,
    /// The server cannot respond at the moment.
    Unavailable,
    /// An internal error.
    InternalError,
}

impl Code {
    /// The status of a response with it.
    pub fn status(self) -> StatusCode {
        match self {
            Self::MalformedHead
            | Self::MalformedBody
            | Self::UnknownMember
            | Self::RepeatedMember
            | Self::MissingMember
            | Self::InvalidMember
            | Self::InvalidJwk => StatusCode::BAD_REQUEST,
            Self::Unauthorized | Self::WrongSignIn => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound | Self::NotOurToken => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict
            | Self::KindNotForChannel
            | Self::ChannelSuspended
            | Self::Full
            | Self::IdempotencyKeyInactive => StatusCode::CONFLICT,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::HeadTooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BodyTooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::LimitExceeded | Self::TooManySingleRevocations => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
