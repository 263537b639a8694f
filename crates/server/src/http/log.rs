//! The access log.

use super::{
    route::{Route, Shortcut},
    trace::{Trace, known_method},
};
use crate::{
    api::{admin, app::App, feed::CHANGES, subject::VerifiedToken},
    authority::source::Source,
};
use http::{StatusCode, request::Parts};
use std::{borrow::Cow, collections::BTreeSet, sync::LazyLock};
use tegata_gateway::ext_authz;
use tegata_token::id::ChannelId;
use tracing::{Level, field::display};

const V21: &str = Shortcut::IssueV21.template();

/// One line of the access log. It contains the route's template and never the query
/// string, which holds a credential on token operations.
pub(super) struct Log {
    method: &'static str,
    path: Cow<'static, str>,
    began: std::time::Instant,
    routine: bool,
}

impl Log {
    /// `None` if the line is not logged: routine requests are logged at DEBUG only.
    pub fn begin(app: &App, parts: &Parts) -> Option<Self> {
        let routine = match parts.uri.path() {
            "/oauth2/v2.1/verify" | "/v2/oauth/verify" | "/gateway/verify" | ext_authz::PATH => {
                !app.log_verifications
            }
            path => matches!(path, "/livez" | "/readyz" | "/metrics"),
        };
        // The request's own text would keep its buffer alive while it waits.
        let path = match parts.uri.path() {
            CHANGES => CHANGES.into(),
            V21 => V21.into(),
            path => path.to_owned().into(),
        };
        let method = known_method(&parts.method).unwrap_or("*");
        Self::new(app, method, path, routine)
    }

    /// The same for a request for changes that was read without the HTTP library.
    pub fn of_changes(app: &App) -> Option<Self> {
        Self::new(app, "GET", CHANGES.into(), false)
    }

    fn new(
        app: &App,
        method: &'static str,
        path: Cow<'static, str>,
        routine: bool,
    ) -> Option<Self> {
        let logged = tracing::enabled!(Level::DEBUG) || !routine && tracing::enabled!(Level::INFO);
        logged.then(|| Self { method, path, began: app.authority.clock().steady(), routine })
    }

    pub fn end(self, app: &App, it: &Finished<'_>) {
        let took = app.authority.clock().steady().duration_since(self.began);
        // JSON's numbers have 64 bits: one of 128 is written as a string.
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let Finished { id, source, status, .. } = *it;
        let (method, status, route) = (self.method, status.as_u16(), it.route.template());
        // The unknown path helps the client's operator to find the mistake.
        let path = route.is_none().then(|| loggable(&self.path));
        let channel = it.channel.map(display);
        let trace_id = it.trace.id().map(display);
        let verified = it.verified.as_ref();
        let result = verified.map(|it| it.result);
        let claims = verified.and_then(|it| it.claims.as_ref());
        let token_id = claims.map(|it| display(it.id));
        let (kind, group) = (
            claims.map(|it| it.kind.name()),
            claims.and_then(|it| it.group.as_ref()).map(|it| it.as_str()),
        );
        let channel = channel.or_else(|| claims.map(|it| display(it.channel)));
        // Each verifier asks for changes all the time: thousands of lines a second would hide the
        // others. Only what is not answered with 200 is worth one.
        if self.routine || self.path == CHANGES && it.status == StatusCode::OK {
            tracing::debug!(method, route, path, channel, status, micros, %source,
                request_id = %id, trace_id, "request");
        } else {
            tracing::info!(method, route, path, channel, token_id, kind, group, result, status, micros, %source,
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
    pub verified: Option<VerifiedToken>,
    pub trace: &'a Trace,
    pub status: StatusCode,
}

/// The words of our paths. Those of the administrators' API come from its routes.
static WORDS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let others = [
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
        "faults",
        "admin",
        "v1",
    ];
    others.map(str::to_owned).into_iter().chain(admin::path_words()).collect()
});

/// An unknown path, as the log may contain it: our own words and ids stay, and everything
/// else, which may be a token put there by mistake, becomes a star.
fn loggable(path: &str) -> String {
    let known = |word: &str| {
        WORDS.contains(word) || (word.len() == 10 && word.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mut parts = path.split('/').map(|word| if known(word) { word } else { "*" });
    // No path of ours is longer; the rest becomes one star.
    let mut loggable: Vec<&str> = parts.by_ref().take(8).collect();
    if parts.next().is_some() {
        loggable.push("*");
    }
    loggable.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_every_route_are_logged_and_other_words_are_not() {
        let routers = [
            include_str!("../api/line/mod.rs"),
            include_str!("../api/gateway.rs"),
            include_str!("../api/well_known.rs"),
            include_str!("../api/operations.rs"),
            include_str!("../api/dev.rs"),
        ];
        let literals = |text: &'static str| text.split(".route(\"").skip(1);
        let paths = routers.into_iter().flat_map(literals).map(|it| it.split('"').next().unwrap());
        let paths: Vec<&str> = paths.collect();
        assert!(paths.len() > 12, "{paths:?}");
        let document: serde_json::Value = serde_json::from_str(admin::document()).unwrap();
        let of_admin = document["paths"].as_object().unwrap().keys();
        for path in paths.into_iter().chain(of_admin.map(String::as_str)) {
            let words = path.split('/').filter(|word| !word.starts_with('{'));
            words.for_each(|word| assert_eq!(loggable(word), word, "of {path}"));
        }
        assert_eq!(loggable("/admin/v1/warnings/hunter2"), "/admin/v1/warnings/*");
    }
}
