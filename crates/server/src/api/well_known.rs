//! What other programs discover by themselves: the public keys (RFC 7517), with which any
//! JWT library can check the signature of a token in JWS form.

use super::app::App;
use crate::{
    api::reply::{self, Reply},
    authority::signing_keys::JWKS_CACHE,
};
use axum::{Router, extract::State, routing::get};
use http::{HeaderValue, StatusCode, header};
use std::sync::Arc;
use tegata_token::{key::KeyState, kind::Kind, view::ViewKey};

/// `/.well-known/jwks.json`.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/.well-known/jwks.json", get(async |State(app): State<Arc<App>>| jwks(&app)))
}

/// A key that retired longer ago, in seconds, cannot have signed an active JWS token:
/// none has a longer lifetime than v2.1.
const LISTED: i64 = Kind::V21.life().longest();

fn jwks(app: &App) -> Reply {
    let view = app.authority.view();
    // A key limited to tokens issued before a time is left out: libraries that read this
    // list know no such limit.
    let listed = |state| {
        matches!(
            state,
            KeyState::Pending | KeyState::Active | KeyState::Retired { issued_before: None }
        )
    };
    let now = app.authority.now();
    let over = |id| app.authority.retired_at(id).is_some_and(|at| now.since(at) > LISTED);
    let listed = |it: &&ViewKey| listed(it.state) && !over(it.key.id());
    let keys = view.keys().iter().filter(listed).map(|it| it.key.to_jwk());
    let body = serde_json::json!({ "keys": keys.collect::<Vec<_>>() }).to_string();
    let mut reply = reply::typed(StatusCode::OK, "application/jwk-set+json", body);
    let cache = format!("public, max-age={}", JWKS_CACHE.as_secs());
    if let Ok(cache) = HeaderValue::from_str(&cache) {
        reply.headers_mut().insert(header::CACHE_CONTROL, cache);
    }
    reply
}
