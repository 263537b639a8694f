//! Reads request bodies whole, within a maximum length and time.

use crate::api;
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Response, header};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::{Instant, timeout_at};

/// Maximum length of a body, in bytes.
const LONGEST: usize = 64 * 1024;
/// Maximum length of a report of a verifier's uses.
const LONGEST_USAGE: usize = tegata_token::feed::LONGEST_USAGE;
/// The form that can contain a whole log, and its maximum length.
const LEAK_DESK: &str = api::console::LEAK_DESK.0;
const LONGEST_LEAK: usize = api::console::LEAK_DESK.1;
/// Of a body that is too long, this many more bytes are read and dropped, so that a
/// client that only reads after it has written still gets the response.
const DRAINED: usize = 1024 * 1024;

/// Reads `body` whole, by `due` at the latest; `path` selects the API whose error form is
/// used.
///
/// # Errors
/// The response to a request whose body was not read.
pub async fn read(
    body: impl Body<Data = Bytes> + Unpin,
    due: Instant,
    path: &str,
) -> Result<Bytes, Response<axum::body::Body>> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let longest = match path {
        api::USAGE => LONGEST_USAGE,
        LEAK_DESK => LONGEST_LEAK,
        path if api::leaks::takes_reports(path) => api::leaks::LONGEST,
        _ => LONGEST,
    };
    let unread = match timeout_at(due, collect(body, longest)).await {
        Ok(Ok(Some(body))) => return Ok(body),
        Ok(Ok(None)) => api::Unread::TooLong,
        Ok(Err(_)) => api::Unread::BrokeOff,
        Err(_) => api::Unread::TooSlow,
    };
    let mut refused = api::refuse(path, unread);
    refused.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    Err(refused)
}

/// `None`: the body is too long.
async fn collect<B: Body<Data = Bytes> + Unpin>(
    mut body: B,
    longest: usize,
) -> Result<Option<Bytes>, B::Error> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        length += data.len();
        if length > longest {
            rest.clear();
            if length > longest + DRAINED {
                return Ok(None);
            }
        } else if first.is_empty() {
            // Most bodies arrive in one piece, which need not be copied.
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
    }
    let whole = if rest.is_empty() { first } else { rest.freeze() };
    Ok((length <= longest).then_some(whole))
}
