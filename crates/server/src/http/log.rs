//! The access log.

use super::{
    route::Route,
    trace::{Trace, known_method},
};
use crate::{api::app::App, authority::source::Source};
use http::{StatusCode, Uri, request::Parts};
use tracing::{Level, field::display};

/// One line of the access log. It tells the route's template and never the query
/// string: that of a token operation holds a credential.
pub(super) struct Log {
    method: &'static str,
    uri: Uri,
    began: std::time::Instant,
    routine: bool,
}

impl Log {
    /// `None` where nobody listens: what is routine is told at DEBUG only.
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
        let heard = tracing::enabled!(Level::DEBUG) || !routine && tracing::enabled!(Level::INFO);
        heard.then(|| Self {
            method: known_method(&parts.method).unwrap_or("*"),
            uri: parts.uri.clone(),
            began: app.authority.clock().steady(),
            routine,
        })
    }

    pub fn end(self, app: &App, it: &Finished<'_>) {
        let micros = app.authority.clock().steady().duration_since(self.began).as_micros();
        let Finished { id, source, status, .. } = *it;
        let (method, status, route) = (self.method, status.as_u16(), it.route.template());
        // Which path it was that is not there helps whoever got it wrong.
        let path = route.is_none().then(|| loggable(self.uri.path()));
        let channel = it.route.channel().map(display);
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

/// A request, once it is answered.
pub(super) struct Finished<'a> {
    pub id: &'a uuid::Uuid,
    pub source: Source,
    pub route: &'a Route,
    pub trace: &'a Trace,
    pub status: StatusCode,
}

/// A path that is not there, as the log may hold it: words of ours and ids stand as they came, all
/// else, which may be a token that somebody put there by mistake, as a star.
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
    // Nothing of ours is deeper; what is, is one star more.
    let mut loggable: Vec<&str> = parts.by_ref().take(8).collect();
    if parts.next().is_some() {
        loggable.push("*");
    }
    loggable.join("/")
}
