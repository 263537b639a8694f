//! Answers as they leave: a status, a few headers, a body that is at hand as a
//! whole. What every answer bears is put on at the door.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

/// An answer.
pub type Reply = Response<Full<Bytes>>;

/// An answer with a JSON body, as text.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    typed(status, "application/json", body)
}

/// An answer with a body of the given type.
pub fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// `{"message": …}`, LINE's shape for what is not OAuth's.
#[must_use]
pub fn message(status: StatusCode, message: &str) -> Reply {
    json(status, serde_json::json!({ "message": message }).to_string())
}

/// 503: the answer cannot be known now, and asking again may help.
#[must_use]
pub fn unavailable() -> Reply {
    let words = "The service is temporarily unavailable. Try again later.";
    with(message(StatusCode::SERVICE_UNAVAILABLE, words), header::RETRY_AFTER, "1")
}

/// 500: a bug of ours.
#[must_use]
pub fn bug() -> Reply {
    message(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
}

/// The answer with a header of a fixed value.
#[must_use]
pub fn with(mut reply: Reply, name: HeaderName, value: &'static str) -> Reply {
    reply.headers_mut().insert(name, HeaderValue::from_static(value));
    reply
}

/// The answer, to be repeated after so many seconds at the earliest.
#[must_use]
pub fn retry_after(mut reply: Reply, seconds: u64) -> Reply {
    reply.headers_mut().insert(header::RETRY_AFTER, seconds.max(1).into());
    reply
}
