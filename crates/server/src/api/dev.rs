//! The development clock, which can be moved, and faults that the server is to simulate,
//! for trials and tests. These paths exist under `--dev` only.
//!
//! A web page that a developer visits can send requests to this machine, so the requests
//! must be JSON, which a page cannot send elsewhere without permission, and name this
//! machine as their host, which a page of a rebound name cannot.

use super::{app::App, faults::Fault, form};
use crate::{
    api::reply::{self, Reply},
    authority::jobs,
};
use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, header, uri::Authority};
use serde::Deserialize;
use std::{net::IpAddr, sync::Arc};
use tegata_token::time::{DAY, UnixTime};

/// `/dev/clock` and `/dev/faults`.
pub fn router() -> Router<Arc<App>> {
    let show = async |State(app): State<Arc<App>>| shown(app.authority.now());
    let advance = async |State(app): State<Arc<App>>, body: Bytes| advance(&app, &body).await;
    let list = async |State(app): State<Arc<App>>| listed(app.faults.list());
    let add = async |State(app): State<Arc<App>>, body: Bytes| add(&app, &body);
    let clear = async |State(app): State<Arc<App>>| listed(app.faults.clear());
    Router::new()
        .route("/dev/clock", get(show).post(advance))
        .route("/dev/faults", get(list).post(add).delete(clear))
        .route_layer(from_fn(only_from_here))
}

/// Refuses what a web page can send.
async fn only_from_here(request: Request, next: Next) -> Response {
    if !names_this_machine(request.uri(), request.headers()) {
        let words = "the Host must be a loopback address or localhost";
        return reply::message(StatusCode::FORBIDDEN, words).into_response();
    }
    if *request.method() == Method::POST && !form::is_json(request.headers()) {
        let words = "send JSON with the header Content-Type: application/json";
        return reply::message(StatusCode::UNSUPPORTED_MEDIA_TYPE, words).into_response();
    }
    next.run(request).await
}

/// Whether a request's host, from its URI (HTTP/2) or its only `Host`, is a loopback
/// address or `localhost`.
fn names_this_machine(uri: &Uri, headers: &HeaderMap) -> bool {
    let header = || headers.get(header::HOST)?.to_str().ok()?.parse::<Authority>().ok();
    let Some(authority) = uri.authority().cloned().or_else(header) else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: i64,
}

/// The maximum of one move, a thousand years, so that times stay far from the end of
/// their range.
const FARTHEST: i64 = 365_250 * DAY;

async fn advance(app: &App, body: &[u8]) -> Reply {
    let wanted = serde_json::from_slice::<Advance>(body).ok().map(|it| it.advance_seconds);
    let Some(seconds) = wanted.filter(|seconds| (0..=FARTHEST).contains(seconds)) else {
        let words = r#"send {"advance_seconds": N}, N a whole number of at least 0"#;
        return reply::message(StatusCode::BAD_REQUEST, words);
    };
    match app.authority.advance_clock(seconds).await {
        Ok(now) => {
            // Runs what is due by the new time before the next request sees that time.
            jobs::run(&app.jobs).await;
            shown(now)
        }
        Err(error) => {
            tracing::warn!(%error, "the clock was not moved");
            reply::unavailable()
        }
    }
}

fn shown(now: UnixTime) -> Reply {
    reply::json(StatusCode::OK, format!(r#"{{"now_unix": {}}}"#, now.0))
}

fn add(app: &App, body: &[u8]) -> Reply {
    match Fault::parse(body).and_then(|fault| app.faults.add(fault)) {
        Ok(all) => listed(all),
        Err(words) => reply::message(StatusCode::BAD_REQUEST, words),
    }
}

fn listed(faults: Vec<Fault>) -> Reply {
    reply::json(StatusCode::OK, serde_json::json!({ "faults": faults }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn only_a_host_of_this_machine_is_accepted() {
        let by_header = |host: &'static str| {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
            names_this_machine(&Uri::from_static("/dev/clock"), &headers)
        };
        for host in ["127.0.0.1:8080", "127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:8080"] {
            assert!(by_header(host), "{host}");
        }
        for host in ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "10.0.0.1", ""]
        {
            assert!(!by_header(host), "{host}");
        }
        let none = HeaderMap::new();
        assert!(!names_this_machine(&Uri::from_static("/dev/clock"), &none));
        assert!(names_this_machine(&Uri::from_static("http://127.0.0.1:1/dev/clock"), &none));
        assert!(!names_this_machine(&Uri::from_static("http://a.example/dev/clock"), &none));
    }
}
