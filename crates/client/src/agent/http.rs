//! The agent's HTTP server, on loopback or a Unix socket: health and metrics for every
//! client, tokens for callers that authenticate with their secret.

use super::{
    health::{AgentHealth, Colour},
    metrics,
    shared::Shared,
};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tegata_policy::secret::PlainSecret;

/// All routes.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/metrics", get(show_metrics))
        .route("/token/{name}", get(token))
        .route("/token/{name}/invalid", post(invalid))
        .fallback(|| async { wrong(StatusCode::NOT_FOUND, "there is nothing at this address") })
        .layer(DefaultBodyLimit::max(16 * 1024))
        .layer(middleware::from_fn(in_time))
        .with_state(shared)
}

/// The longest time for a request: a report waits for a token, and a body may come slowly.
pub const LONGEST_REQUEST: Duration = Duration::from_secs(15);

async fn in_time(request: Request, next: Next) -> Response {
    let response = tokio::time::timeout(LONGEST_REQUEST, next.run(request)).await;
    response.unwrap_or_else(|_| wrong(StatusCode::REQUEST_TIMEOUT, "the request came too slowly"))
}

/// 200 for green and yellow, 503 for red.
async fn health(State(shared): State<Arc<Shared>>) -> Response {
    let report = AgentHealth::of(&shared.core(), shared.now());
    let status = match report.status {
        Colour::Green | Colour::Yellow => StatusCode::OK,
        Colour::Red => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(report)).into_response()
}

async fn show_metrics(State(shared): State<Arc<Shared>>) -> Response {
    let text = metrics::text(&shared.core(), shared.now());
    let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, form)], text).into_response()
}

async fn token(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let denied = denied(&shared, &name, &headers);
    denied.unwrap_or_else(|| respond(&shared, &name, &headers))
}

#[derive(Deserialize)]
struct InvalidToken {
    access_token: String,
}

/// Maximum time to wait for another token after a caller's report.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// Handles a caller's report that an API answered 401 to a token. The agent verifies the
/// token and, if it is not active, requests a new one; the response is the active token.
async fn invalid(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Result<Json<InvalidToken>, axum::extract::rejection::JsonRejection>,
) -> Response {
    if let Some(denied) = denied(&shared, &name, &headers) {
        return denied;
    }
    let Ok(Json(body)) = body else {
        let advice = "send {\"access_token\": …} as application/json: the token that was refused";
        return wrong(StatusCode::BAD_REQUEST, advice);
    };
    let token = PlainSecret::from_caller(body.access_token);
    shared.core().reported(&name, shared.now(), &token);
    shared.wake();
    for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
        tokio::time::sleep(PAUSE).await;
        if !shared.core().is_working_on(&name, shared.now()) {
            break;
        }
    }
    respond(&shared, &name, &headers)
}

/// The response to a caller that may not have the token of this name.
fn denied(shared: &Shared, name: &str, headers: &HeaderMap) -> Option<Response> {
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    // Parsers differ in which of two headers they use.
    let shown = shown.next().filter(|_| shown.next().is_none()).and_then(|it| it.to_str().ok());
    let shown = shown.and_then(|it| it.split_once(' '));
    let shown = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let secret = shown.map(|(_, secret)| PlainSecret::from_caller(secret.trim().to_owned()));
    let callers = shared.callers();
    let caller = secret.and_then(|secret| callers.iter().find(|it| it.secret.is_of(&secret)));
    let Some(caller) = caller else {
        let mut denied = wrong(
            StatusCode::UNAUTHORIZED,
            "authenticate with your secret: Authorization: Bearer SECRET",
        );
        let challenge = HeaderValue::from_static("Bearer");
        denied.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        return Some(denied);
    };
    if caller.tokens.iter().any(|it| it.as_str() == name) {
        return None;
    }
    tracing::warn!(caller = %caller.name, "a caller requested a token that is not in its entry");
    // The same for an unknown name: callers must not learn which names exist.
    Some(wrong(
        StatusCode::FORBIDDEN,
        "this token is not in your [[caller]] entry; add it to its tokens",
    ))
}

/// The token as JSON, or as plain text for a client that accepts text/plain.
fn respond(shared: &Shared, name: &str, headers: &HeaderMap) -> Response {
    let now = shared.now();
    let core = shared.core();
    let mut response = match core.token(name, now) {
        None => {
            let mut response = wrong(
                StatusCode::SERVICE_UNAVAILABLE,
                "no active token; see /healthz for the reason",
            );
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
        Some(held) => {
            let accept = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
            if accept.is_some_and(|it| it.starts_with("text/plain")) {
                held.token.reveal().to_owned().into_response()
            } else {
                Json(json!({
                    "access_token": held.token.reveal(),
                    "token_type": "Bearer",
                    "expires_in": held.life.until.since(now),
                }))
                .into_response()
            }
        }
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn wrong(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}
