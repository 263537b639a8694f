//! `Idempotency-Key` on every call that creates something: a repeated request with the same
//! key gets the response of the first, whatever happened to the connection in between.
//!
//! It covers every call that is described to answer 201, apart from those that read the
//! header themselves and those of signing in, which need no authentication.

use crate::{
    api::{
        admin::{
            administrator::{Administrator, Gate},
            problem::{Code, Problem},
        },
        header,
    },
    authority::admin::{Admin, KeyUse, RequestName},
};
use axum::{
    body::{Body, to_bytes},
    extract::{FromRequestParts, MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Method, StatusCode, header::CONTENT_TYPE, request::Parts};
use std::{collections::BTreeSet, sync::Arc};

/// The calls that create something.
pub struct Once {
    pub gate: Arc<Gate>,
    /// Their paths, as they are described.
    pub paths: BTreeSet<String>,
}

/// Answers a request as it was answered before under the same key, or carries it out.
pub async fn once(State(it): State<Arc<Once>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(|it| it.as_str().to_owned());
    let path = path.map(|it| it.strip_prefix(crate::api::ADMIN).unwrap_or(&it).to_owned());
    let creates = path.is_some_and(|path| it.paths.contains(&path));
    if request.method() != Method::POST || !creates {
        return next.run(request).await;
    }
    match header::idempotency_key(request.headers()) {
        Ok(None) => next.run(request).await,
        Ok(Some(key)) => {
            let answer = with_key(&it.gate, key, request, next).await;
            answer.unwrap_or_else(IntoResponse::into_response)
        }
        Err(bad) => Problem::header("Idempotency-Key", bad.to_string()).into_response(),
    }
}

async fn with_key(
    gate: &Arc<Gate>,
    key: [u8; 32],
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let admin = Administrator::from_request_parts(&mut parts, gate).await?.admin;
    // The HTTP layer bounds its length.
    let body = to_bytes(body, usize::MAX).await;
    let body = body.map_err(|_| Problem::new(Code::MalformedBody, "the body cannot be read"))?;
    let name = name(&parts, key);
    match admin.begin_request(&name, &body).await? {
        KeyUse::New => {}
        KeyUse::Before(body) => return Ok(created(body)),
        KeyUse::RolesTaken => {
            let detail = "a role with which this request was made was taken away since, so its \
                          response is not shown again";
            return Err(Problem::new(Code::Forbidden, detail));
        }
        KeyUse::Unreadable => {
            let detail = "this request was carried out, but its response cannot be decrypted any \
                          more; look at the present state, and send a new request with another \
                          Idempotency-Key";
            return Err(Problem::new(Code::IdempotencyKeyInactive, detail));
        }
        KeyUse::Unfinished => {
            let detail = "a request with this Idempotency-Key is under way, or it is not known \
                          whether it was carried out; look at the present state, and send a new \
                          request with another key if it was not";
            return Err(Problem::new(Code::Conflict, detail));
        }
        KeyUse::OtherParameters => {
            let detail = "this Idempotency-Key was used with another body; use a new key for a new \
                          request";
            return Err(Problem::new(Code::IdempotencyKeyReused, detail));
        }
    }
    let request = Request::from_parts(parts, Body::from(body));
    // It is carried out to the end, also after the client has disconnected.
    let work = tokio::spawn(async move { finish(&admin, &name, next.run(request).await).await });
    let bug = |_| Problem::new(Code::InternalError, "this is a bug; the log has more");
    work.await.map_err(bug)
}

fn name(parts: &Parts, key: [u8; 32]) -> RequestName {
    RequestName { call: parts.uri.path().to_owned(), key }
}

/// Remembers the response, unless nothing was changed, or it is not known.
async fn finish(admin: &Admin, name: &RequestName, response: Response) -> Response {
    let (parts, body) = response.into_parts();
    if parts.status.is_server_error() {
        return Response::from_parts(parts, body);
    }
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let text = std::str::from_utf8(&body).unwrap_or_default();
    let remembered = (parts.status == StatusCode::CREATED).then_some(text);
    // The client needs the response whether it can be repeated or not.
    if let Err(error) = admin.finish_request(name, remembered).await {
        tracing::warn!(%error, "the response to a request with an Idempotency-Key is not remembered");
    }
    Response::from_parts(parts, Body::from(body))
}

/// The response that was remembered.
fn created(body: String) -> Response {
    let json = HeaderValue::from_static("application/json");
    (StatusCode::CREATED, [(CONTENT_TYPE, json)], body).into_response()
}
