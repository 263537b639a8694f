//! The access log.

use super::{
    route::Route,
    trace::{Trace, known_method},
};
use crate::{api::app::App, authority::source::Source};
use http::{StatusCode, Uri, request::Parts};
use tegata_token::id::ChannelId;
use tracing::{Level, field::display};

/// One line of the access log. It contains the route's template and never the query
/// string, which holds a credential on token operations.
pub(super) struct Log {
    method: &'static str,
    uri: Uri,
    began: std::time::Instant,
    routine: bool,
}

impl Log {
    /// `None` if the line is not logged: routine requests are logged at DEBUG only.
    pub fn begin(app: &App, parts: &Parts) -> Option<Self> {
        let path = parts.uri.path();
        let routine = matches!(
            path,
            "/oauth2/v2.1/verify"
                | "/v2/oauth/verify"
                | "/gateway/verify"
                | "/livez"
                | "/readyz"
                | "/metrics"
        );
        let logged = tracing::enabled!(Level::DEBUG) || !routine && tracing::enabled!(Level::INFO);
        logged.then(|| Self {
            method: known_method(&parts.method).unwrap_or("*"),
            uri: parts.uri.clone(),
            began: app.authority.clock().steady(),
            routine,
        })
    }

    pub fn end(self, app: &App, it: &Finished<'_>) {
        let took = app.authority.clock().steady().duration_since(self.began);
        // JSON's numbers have 64 bits: one of 128 is written as a string.
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let Finished { id, source, status, .. } = *it;
        let (method, status, route) = (self.method, status.as_u16(), it.route.template());
        // The unknown path helps the client's operator to find the mistake.
        let path = route.is_none().then(|| loggable(self.uri.path()));
        let channel = it.channel.map(display);
        let trace_id = it.trace.id().map(display);
        if self.routine {
            tracing::debug!(method, route, path, channel, status, micros, %source,
                request_id = %id, trace_id, "request");
        } else {
            tracing::info!(method, route, path, channel, status, micros, %source,
                request_id = %id, trace_id, "request");
        }
    }
}

/// A request after its response.
pub(super) struct Finished<'a> {
    pub id: &'a uuid::Uuid,
    pub source: Source,
    pub route: &'a Route,
    pub channel: Option<ChannelId>,
    pub trace: &'a Trace,
    pub status: StatusCode,
}

/// An unknown path, as the log may contain it: our own words and ids stay, and everything
/// else, which may be a token put there by mistake, becomes a star.
fn loggable(path: &str) -> String {
    const WORDS: [&str; 32] = [
        "",
        "oauth2",
        "v2.1",
        "v3",
        "v2",
        "oauth",
        "token",
        "tokens",
        "kid",
        "verify",
        "revoke",
        "accessToken",
        "gateway",
        ".well-known",
        "jwks.json",
        "livez",
        "readyz",
        "metrics",
        "dev",
        "clock",
        "admin",
        "v1",
        "providers",
        "channels",
        "secret",
        "assertion-keys",
        "groups",
        "long-lived-token",
        "explain",
        "revocations",
        "signing-keys",
        "audit",
    ];
    let known = |word: &str| {
        WORDS.contains(&word)
            || (word.len() == 10 && word.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mut parts = path.split('/').map(|word| if known(word) { word } else { "*" });
    // No path of ours is longer; the rest becomes one star.
    let mut loggable: Vec<&str> = parts.by_ref().take(8).collect();
    if parts.next().is_some() {
        loggable.push("*");
    }
    loggable.join("/")
}
