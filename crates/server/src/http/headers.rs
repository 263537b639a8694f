//! The headers that every response has.

use super::listener::ServerResponse;
use http::{HeaderName, HeaderValue, header};
use std::time::{Duration, UNIX_EPOCH};
use tegata_token::time::UnixTime;

/// Adds the headers of every response. Tokens and their facts must not be cached; a
/// handler that allows it sets the header itself.
pub(super) fn add_headers(response: &mut ServerResponse, id: &uuid::Uuid, tls: bool) {
    const REQUEST_ID: HeaderName = HeaderName::from_static("x-line-request-id");
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let text = id.hyphenated().encode_lower(&mut text);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(text) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // No response of ours may be framed by another page, or loads anything; a page that
    // does sets its own policy.
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("max-age=0, no-cache, no-store"));
    if tls {
        // A client that has used TLS must not fall back to plain HTTP.
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
}

/// Sets `Date` to the development clock, so that a client can compare its clock.
pub(super) fn set_date(response: &mut ServerResponse, now: UnixTime) {
    let since = Duration::from_secs(u64::try_from(now.0).unwrap_or(0));
    // The format ends with the year 9999.
    let latest = Duration::from_secs(253_402_300_799);
    let date = httpdate::fmt_http_date(UNIX_EPOCH + since.min(latest));
    if let Ok(date) = HeaderValue::from_str(&date) {
        response.headers_mut().insert(header::DATE, date);
    }
}
