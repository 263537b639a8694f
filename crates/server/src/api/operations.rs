//! Probes and metrics for operators.

use super::app::App;
use crate::{
    api::reply::{self, Reply},
    authority::health::HealthReport,
    metrics::{Process, Surroundings},
};
use axum::{
    Router,
    extract::{RawQuery, State},
    routing::get,
};
use http::{StatusCode, header};
use serde_json::json;
use std::sync::Arc;

/// `/livez` and `/readyz`.
pub fn router() -> Router<Arc<App>> {
    let alive = async || reply::json(StatusCode::OK, r#"{"status":"alive"}"#);
    let ready = async |State(app): State<Arc<App>>, RawQuery(query): RawQuery| {
        let report = app.health.report(&app.authority, app.authority.clock().steady()).await;
        let verbose = query.is_some_and(|query| query.split('&').any(|it| it == "verbose"));
        ready(&report, verbose)
    };
    Router::new().route("/livez", get(alive)).route("/readyz", get(ready))
}

/// `/metrics`.
pub fn metrics_router() -> Router<Arc<App>> {
    let metrics = async |State(app): State<Arc<App>>| metrics(&app).await;
    Router::new().route("/metrics", get(metrics))
}

/// 200 or 503; with `verbose` the result of each check, else the names of the failed
/// ones, of which some leave the server ready.
fn ready(report: &HealthReport, verbose: bool) -> Reply {
    let ready = report.is_ready();
    let mut body = json!({ "status": if ready { "ready" } else { "unready" } });
    if verbose {
        let checks = report.checks.iter();
        let shown = checks.map(|it| json!({ "check": it.name, "ok": it.holds, "found": it.found }));
        body["checks"] = shown.collect();
    } else if report.failing().next().is_some() {
        body["failing"] = report.failing().collect();
    }
    if ready {
        return reply::json(StatusCode::OK, body.to_string());
    }
    let reply = reply::json(StatusCode::SERVICE_UNAVAILABLE, body.to_string());
    reply::with(reply, header::RETRY_AFTER, "1")
}

async fn metrics(app: &App) -> Reply {
    let report = app.health.report(&app.authority, app.authority.clock().steady()).await;
    let around = Surroundings {
        authority: app.authority.state(),
        process: Process::read(),
        store: report.sizes,
        rotation_due: app.health.rotation_due(app.authority.now()),
        certificate_ends: app
            .authority
            .certificate_until()
            .map(|until| until.0 - app.authority.now().0),
        backup_age: app.authority.backup_age(),
        ready: report.checks.iter().map(|check| (check.name, check.holds)).collect(),
    };
    let text = app.metrics.text(&around);
    reply::typed(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", text)
}
