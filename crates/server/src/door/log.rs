//! The access log.

use crate::{face::App, source::Source};
use http::{Method, StatusCode, request::Parts};
use tracing::Level;

/// One line of the access log. It knows the path and never the query string: that
/// of a token operation holds a credential.
pub(super) struct Log {
    method: &'static str,
    path: String,
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
            method: loggable_method(&parts.method),
            path: loggable(path),
            began: app.authority.clock().steady(),
            routine,
        })
    }

    pub fn end(self, app: &App, id: &uuid::Uuid, source: Source, status: StatusCode) {
        let took = app.authority.clock().steady().duration_since(self.began);
        let (method, path, status) = (self.method, self.path, status.as_u16());
        let micros = took.as_micros();
        if self.routine {
            tracing::debug!(method, path, status, micros, %source, request_id = %id, "request");
        } else {
            tracing::info!(method, path, status, micros, %source, request_id = %id, "request");
        }
    }
}

/// A method as the log may hold it: anybody may make up one of any length.
fn loggable_method(method: &Method) -> &'static str {
    static KNOWN: [Method; 9] = [
        Method::GET,
        Method::POST,
        Method::PATCH,
        Method::DELETE,
        Method::PUT,
        Method::HEAD,
        Method::OPTIONS,
        Method::TRACE,
        Method::CONNECT,
    ];
    KNOWN.iter().find(|known| *known == method).map_or("*", Method::as_str)
}

/// A path as the log may hold it: words of ours and ids stand as they came, all
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
