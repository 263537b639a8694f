//! For those who run the server: is it alive, is it of use, how does it do.

use super::App;
use crate::reply::{self, Reply};
use axum::{Router, extract::State, routing::get};
use http::StatusCode;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// A store that does not answer within this is not ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// `/livez` and `/readyz`.
pub fn router() -> Router<Arc<App>> {
    let alive = async || reply::json(StatusCode::OK, r#"{"status":"alive"}"#);
    Router::new()
        .route("/livez", get(alive))
        .route("/readyz", get(async |State(app): State<Arc<App>>| ready(&app).await))
}

/// `/metrics`.
pub fn metrics_router() -> Router<Arc<App>> {
    Router::new().route("/metrics", get(async |State(app): State<Arc<App>>| metrics(&app)))
}

async fn ready(app: &App) -> Reply {
    match timeout(PATIENCE, app.authority.store().is_writable()).await {
        Ok(Ok(())) => reply::json(StatusCode::OK, r#"{"status":"ready"}"#),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            reply::unavailable()
        }
        Err(_) => {
            tracing::warn!("not ready: the store does not answer");
            reply::unavailable()
        }
    }
}

fn metrics(app: &App) -> Reply {
    let text = app.metrics.text(&app.authority);
    reply::typed(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", text)
}
