//! OAuth for clients that know nothing of LINE: metadata (RFC 8414), tokens (RFC 6749, section
//! 4.4, and RFC 7523), introspection (RFC 7662, signed: RFC 9701) and revocation (RFC 7009).

mod authenticate;
// Public for fuzzing only.
#[doc(hidden)]
pub mod client;
mod error;
mod introspect;
mod metadata;
mod revoke;
mod token;

use super::{
    app::App,
    call::Call,
    reply::{self, Reply},
};
use axum::{
    Router,
    extract::{Path, State},
    routing::{get, post},
};
pub use error::{OAuthError, failure};
use http::{HeaderValue, StatusCode, header};
use std::sync::Arc;
use tegata_policy::assertion::OAUTH_PATHS;

const TOKEN: &str = OAUTH_PATHS[0];
const INTROSPECT: &str = OAUTH_PATHS[1];
const REVOKE: &str = OAUTH_PATHS[2];

/// The four paths.
pub fn router() -> Router<Arc<App>> {
    let metadata = async |State(app): State<Arc<App>>| metadata::metadata(app.authority.issuer());
    let of_path = async |State(app): State<Arc<App>>, Path(path): Path<String>| {
        let issuer = app.authority.issuer();
        match metadata::is_path_of(issuer, &path) {
            true => metadata::metadata(issuer),
            false => reply::message(StatusCode::NOT_FOUND, "Not found"),
        }
    };
    let token = async |call: Call| uncached(token::issue(&call).await);
    let revoke = async |call: Call| uncached(revoke::revoke(&call).await);
    let introspect = async |call: Call| {
        let reply = uncached(introspect::introspect(&call).await);
        call.app.metrics.feed.count("introspect", reply.status().as_u16());
        reply
    };
    Router::new()
        .route(metadata::PATH, get(metadata))
        .route(&format!("{}/{{*path}}", metadata::PATH), get(of_path))
        .route(TOKEN, post(token))
        .route(INTROSPECT, post(introspect))
        .route(REVOKE, post(revoke))
}

/// Whether errors at this path have OAuth's form.
pub fn serves(path: &str) -> bool {
    OAUTH_PATHS.contains(&path)
}

/// The response with the headers that RFC 6749 (section 5.1) requires: its body holds a token,
/// or facts of one.
fn uncached(result: Result<Reply, OAuthError>) -> Reply {
    let mut reply = result.unwrap_or_else(Reply::from);
    let headers = reply.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    reply
}
