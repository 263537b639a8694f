//! Responses: a status, a few headers, and a body that is complete in memory. The HTTP
//! server adds the headers that every response has.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

/// A response.
pub type Reply = Response<Full<Bytes>>;

/// A response with a JSON body, given as text.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    typed(status, "application/json", body)
}

/// A response with a body of the given media type.
pub fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// `{"message": …}`, LINE's shape for errors that are not OAuth's.
#[must_use]
pub fn message(status: StatusCode, message: &str) -> Reply {
    json(status, serde_json::json!({ "message": message }).to_string())
}

/// 503: the answer cannot be known now, and a retry may succeed.
#[must_use]
pub fn unavailable() -> Reply {
    let words = "The service is temporarily unavailable. Try again later.";
    with(message(StatusCode::SERVICE_UNAVAILABLE, words), header::RETRY_AFTER, "1")
}

/// 500: an internal error.
#[must_use]
pub fn internal_error() -> Reply {
    message(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
}

/// The response with a header of a fixed value.
#[must_use]
pub fn with(mut reply: Reply, name: HeaderName, value: &'static str) -> Reply {
    reply.headers_mut().insert(name, HeaderValue::from_static(value));
    reply
}

/// The response with `Retry-After`.
#[must_use]
pub fn retry_after(mut reply: Reply, seconds: u64) -> Reply {
    reply.headers_mut().insert(header::RETRY_AFTER, seconds.max(1).into());
    reply
}
