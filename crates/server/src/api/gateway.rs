//! Forward authentication: a proxy asks whether the bearer token of a request is valid,
//! and passes the token's facts on to the API behind it.
//!
//! The query string is part of the proxy's configuration. An unknown name in it is an
//! error: a misspelt one that let every token through would be noticed only by an
//! intruder.

use super::app::App;
use crate::{
    api::{
        form,
        header::bearer,
        reply::{self, Reply},
    },
    authority::source::Source,
};
use axum::{
    Router,
    extract::{RawQuery, State},
    routing::any,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use std::sync::Arc;
use tegata_token::{
    claims::Claims,
    id::{ChannelId, Group},
    kind::Kind,
    wire::LONGEST,
};

/// `/gateway/verify`, for any method: some proxies use the method of the request that
/// they ask about.
pub fn router() -> Router<Arc<App>> {
    let verify =
        async |State(app): State<Arc<App>>, RawQuery(query), source: Source, headers: HeaderMap| {
            verify(&app, source, &headers, query.as_deref())
        };
    Router::new().route("/gateway/verify", any(verify))
}

/// Verifies the bearer token in `headers`, and applies the conditions of `query`.
pub fn verify(app: &App, source: Source, headers: &HeaderMap, query: Option<&str>) -> Reply {
    const HOW: &str = "Authorization header required. Must follow the scheme, 'Authorization: Bearer <ACCESS TOKEN>'";
    const BAD: &str = "Authentication failed. Confirm that the access token in the authorization header is valid.";
    let wanted = match Wanted::read(query) {
        Ok(wanted) => wanted,
        Err(words) => return refused(StatusCode::BAD_REQUEST, words),
    };
    let Some(token) = bearer(headers) else { return unauthorized(HOW) };
    if token.len() > LONGEST {
        let words = "The access token is longer than 8192 bytes";
        return refused(StatusCode::BAD_REQUEST, words);
    }
    let counts = &app.metrics.verifications_gateway;
    let verified = app.verify(counts, token, source);
    if let Ok(active) = &verified
        && !wanted.is_met_by(&active.claims)
    {
        counts.denied.inc();
        return refused(StatusCode::FORBIDDEN, "Access Denied");
    }
    counts.count(&verified);
    let Ok(active) = verified else { return unauthorized(BAD) };
    let expires_in = active.until.since(app.authority.now()).max(0);
    let mut reply = Reply::default();
    let mut add = |name, value: &str| {
        // Ids, kinds and groups are all visible ASCII.
        if let Ok(value) = HeaderValue::from_str(value) {
            reply.headers_mut().insert(HeaderName::from_static(name), value);
        }
    };
    add("x-tegata-channel", &active.claims.channel.to_string());
    add("x-tegata-kind", active.claims.kind.name());
    add("x-tegata-token-id", &active.claims.id.to_string());
    add("x-tegata-expires-in", &expires_in.to_string());
    // Empty without a group, so that a proxy that copies it overwrites the client's own
    // header.
    add("x-tegata-group", active.claims.group.as_ref().map_or("", |group| group.as_str()));
    reply
}

fn unauthorized(words: &'static str) -> Reply {
    let reply = refused(StatusCode::UNAUTHORIZED, words);
    reply::with(reply, header::WWW_AUTHENTICATE, r#"Bearer error="invalid_token""#)
}

/// A refusal with its message in a header as well: nginx drops the body of the response to
/// its subrequest. The message has no character that JSON escapes.
fn refused(status: StatusCode, words: &'static str) -> Reply {
    const MESSAGE: HeaderName = HeaderName::from_static("x-tegata-message");
    reply::with(reply::message(status, words), MESSAGE, words)
}

/// The conditions of the query; an empty list means no condition.
#[derive(Default)]
struct Wanted {
    kinds: Vec<Kind>,
    channels: Vec<ChannelId>,
    groups: Vec<Group>,
}

impl Wanted {
    fn read(query: Option<&str>) -> Result<Self, &'static str> {
        const WORDS: &str = "the query may narrow by kind, channel and group, each of which may be repeated; it was not understood";
        let mut wanted = Self::default();
        let Some(query) = query else { return Ok(wanted) };
        for (name, value) in form::pairs(query.as_bytes()).map_err(|_| WORDS)? {
            match &*name {
                "kind" => wanted.kinds.push(value.parse().map_err(|_| WORDS)?),
                "channel" => wanted.channels.push(value.parse().map_err(|_| WORDS)?),
                "group" => wanted.groups.push(value.parse().map_err(|_| WORDS)?),
                _ => return Err(WORDS),
            }
        }
        Ok(wanted)
    }

    fn is_met_by(&self, token: &Claims) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&token.kind))
            && (self.channels.is_empty() || self.channels.contains(&token.channel))
            && (self.groups.is_empty()
                || token.group.as_ref().is_some_and(|group| self.groups.contains(group)))
    }
}
