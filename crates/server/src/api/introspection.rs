//! Token introspection (RFC 7662) for verifiers whose view is too old, on request as a signed
//! JWT (RFC 9701).

use super::{
    app::App,
    form::Form,
    header::{accepts, bearer},
    reply::{self, Reply},
};
use axum::{Router, extract::State, routing::post};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use tegata_token::{
    id::{ChannelId, Group, Position, TokenId},
    kind::Kind,
    time::UnixTime,
};

/// `/oauth2/introspect`.
pub fn router() -> Router<Arc<App>> {
    let introspect = async |State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes| {
        let mut reply = introspect(&app, &headers, &body);
        app.metrics.feed.count("introspect", reply.status().as_u16());
        let no_store = HeaderValue::from_static("no-store");
        reply.headers_mut().insert(header::CACHE_CONTROL, no_store);
        reply
    };
    Router::new().route("/oauth2/introspect", post(introspect))
}

/// The media type of a signed answer, and its `typ` (RFC 9701, section 5).
const SIGNED: (&str, &str) = ("application/token-introspection+jwt", "token-introspection+jwt");

/// The answer about a token.
#[derive(Serialize)]
struct Introspection {
    active: bool,
    /// The position of the view that the answer was made from: a verifier whose view is
    /// behind it is stale.
    position: Position,
    #[serde(flatten)]
    token: Option<ActiveToken>,
}

/// The facts of an active token.
#[derive(Serialize)]
struct ActiveToken {
    client_id: ChannelId,
    sub: ChannelId,
    token_type: &'static str,
    iss: String,
    jti: TokenId,
    iat: UnixTime,
    exp: UnixTime,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Group>,
}

fn introspect(app: &App, headers: &HeaderMap, body: &[u8]) -> Reply {
    let Ok(verifier) = app.authority.verifier_of(bearer(headers)) else {
        let words = "introspection needs the token of a verifier: Authorization: Bearer …";
        let reply = oauth_error(StatusCode::UNAUTHORIZED, "invalid_client", words);
        return reply::with(reply, header::WWW_AUTHENTICATE, "Bearer");
    };
    let form = match Form::of_body(headers, body) {
        Ok(form) => form,
        Err(bad) => {
            return oauth_error(StatusCode::BAD_REQUEST, "invalid_request", &bad.to_string());
        }
    };
    let Some(token) = form.get("token") else {
        return oauth_error(StatusCode::BAD_REQUEST, "invalid_request", "token is missing");
    };
    let (found, position) = app.authority.introspect(&verifier, token.as_bytes());
    let token = found.map(|active| {
        let claims = &active.claims;
        super::subject::set(claims.channel);
        ActiveToken {
            client_id: claims.channel,
            sub: claims.channel,
            token_type: "Bearer",
            iss: app.authority.issuer().to_owned(),
            jti: claims.id,
            iat: claims.issued_at,
            exp: active.until,
            kind: claims.kind,
            group: claims.group.clone(),
        }
    });
    let answer = Introspection { active: token.is_some(), position, token };
    if !accepts(headers, SIGNED.0) {
        // Strings, numbers and booleans can always be written.
        return reply::json(StatusCode::OK, serde_json::to_string(&answer).unwrap_or_default());
    }
    let claims = json!({ "aud": verifier.id, "token_introspection": answer });
    match app.authority.statement(SIGNED.1, claims) {
        Ok(signed) => reply::typed(StatusCode::OK, SIGNED.0, signed),
        Err(_) => reply::unavailable(),
    }
}

fn oauth_error(status: StatusCode, error: &str, words: &str) -> Reply {
    let body = json!({ "error": error, "error_description": words });
    reply::json(status, body.to_string())
}
