//! LINE's eight operations, exactly as LINE documents them; what it leaves open, and what
//! was chosen here, is in `docs/line-compatibility.md`.

mod dialect;
mod fields;
mod issue;
mod revoke;
mod verify;

pub use issue::{ask_for_v21, v21};
pub use verify::{verify_jws, verify_opaque};

use super::app::App;
use crate::authority::source::Source;
use axum::{
    Router,
    extract::{RawQuery, State},
    routing::{get, post},
};
use bytes::Bytes;
use http::HeaderMap;
use std::sync::Arc;

/// The eight paths.
pub fn router() -> Router<Arc<App>> {
    let verify_jws = async |State(app): State<Arc<App>>, source: Source, RawQuery(query)| {
        verify_jws(&app, source, query.as_deref()).await
    };
    let verify_opaque =
        async |State(app): State<Arc<App>>, source: Source, headers: HeaderMap, body: Bytes| {
            verify_opaque(&app, source, &headers, &body).await
        };
    let issue_v21 =
        async |State(app): State<Arc<App>>, source: Source, headers: HeaderMap, body: Bytes| {
            v21(&app, source, ask_for_v21(&headers, &body)).await
        };
    Router::new()
        .route("/oauth2/v2.1/token", post(issue_v21))
        .route("/oauth2/v2.1/verify", get(verify_jws))
        .route("/oauth2/v2.1/tokens/kid", get(verify::key_ids))
        .route("/oauth2/v2.1/revoke", post(revoke::jws))
        .route("/oauth2/v3/token", post(issue::stateless))
        .route("/v2/oauth/accessToken", post(issue::short_lived))
        .route("/v2/oauth/verify", post(verify_opaque))
        .route("/v2/oauth/revoke", post(revoke::opaque))
}
