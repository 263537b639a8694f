//! The headers that every response has.

use super::{listener::ServerResponse, plain::PlainResponse};
use http::{HeaderName, HeaderValue, header};
use std::time::{Duration, UNIX_EPOCH};
use tegata_token::time::UnixTime;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-line-request-id");
const NOSNIFF: &str = "nosniff";
/// No response of ours may be framed by another page, or loads anything; a page that does sets
/// its own policy.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'";
/// A client that has used TLS must not fall back to plain HTTP for a year.
const TLS_ONLY: &str = "max-age=31536000";

/// Adds the headers of every response. Tokens and their facts must not be cached; a
/// handler that allows it sets the header itself.
pub(super) fn add_headers(response: &mut ServerResponse, id: &uuid::Uuid, tls: bool) {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let text = id.hyphenated().encode_lower(&mut text);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(text) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static(NOSNIFF));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("max-age=0, no-cache, no-store"));
    if tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(TLS_ONLY));
    }
}

/// The same, and `Date`, for a response of the feed, which says itself whether it may be cached.
pub(super) fn write_headers(
    response: &mut PlainResponse,
    id: &uuid::Uuid,
    tls: bool,
    now: UnixTime,
) {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let text = id.hyphenated().encode_lower(&mut text);
    response.header(REQUEST_ID.as_str(), text.as_bytes());
    response.header(header::X_CONTENT_TYPE_OPTIONS.as_str(), NOSNIFF.as_bytes());
    response.header(header::CONTENT_SECURITY_POLICY.as_str(), POLICY.as_bytes());
    if tls {
        response.header(header::STRICT_TRANSPORT_SECURITY.as_str(), TLS_ONLY.as_bytes());
    }
    response.header(header::DATE.as_str(), date(now).as_bytes());
}

/// Sets `Date` to the development clock, so that a client can compare its clock.
pub(super) fn set_date(response: &mut ServerResponse, now: UnixTime) {
    if let Ok(date) = HeaderValue::from_str(&date(now)) {
        response.headers_mut().insert(header::DATE, date);
    }
}

fn date(now: UnixTime) -> String {
    let since = Duration::from_secs(u64::try_from(now.0).unwrap_or(0));
    // The format ends with the year 9999.
    let latest = Duration::from_secs(253_402_300_799);
    httpdate::fmt_http_date(UNIX_EPOCH + since.min(latest))
}
