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
        if parts.extensions.get().is_some_and(Problem::changed_nothing) {
            admin.forget_request(name).await;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{Authority, Memory, admin_token::AdminToken};
    use axum::{Router, middleware::from_fn_with_state, routing::post};
    use std::sync::Mutex;
    use tegata_policy::secret::PlainSecret;
    use tegata_store::{
        Error,
        sqlite::{Options, SqliteStore},
    };
    use tower::ServiceExt as _;

    const TOKEN: &str = "an administrator's token, for tests";

    async fn gate(folder: &std::path::Path) -> Arc<Gate> {
        let (memory, issuer) = (Memory::new(), "http://tegata.test");
        let options = Options { issuer: issuer.to_owned(), dev: true, ..Options::default() };
        let store = SqliteStore::open(&folder.join("tegata.db"), options, memory.on_commit());
        let store = Arc::new(store.unwrap());
        let authority = Authority::start(store, memory, &folder.join("master.key"), issuer).await;
        let token = AdminToken::new(&PlainSecret::from_caller(TOKEN.to_owned())).unwrap();
        let admin_token = Arc::new(token.into());
        Arc::new(Gate { authority: Arc::new(authority.unwrap()), admin_token })
    }

    #[tokio::test]
    async fn a_request_that_the_store_did_not_take_leaves_its_key_free() {
        let folder = tempfile::tempdir().unwrap();
        let gate = gate(folder.path()).await;
        let fails = Arc::new(Mutex::new(None));
        let failing = fails.clone();
        let act = async move || match failing.lock().unwrap().take() {
            Some(error) => Err(Problem::from(error)),
            None => Ok(StatusCode::CREATED),
        };
        let once_state = Arc::new(Once { gate, paths: BTreeSet::from(["/things".to_owned()]) });
        let router = Router::new()
            .route("/things", post(act))
            .route_layer(from_fn_with_state(once_state, once));
        let send = async |key: usize| {
            let request = Request::post("/things")
                .header("authorization", format!("Bearer {TOKEN}"))
                .header("idempotency-key", key.to_string())
                .body(Body::empty());
            router.clone().oneshot(request.unwrap()).await.unwrap().status()
        };
        let cases = [
            (Error::NotNow("Nothing was changed".into()), StatusCode::CREATED),
            (Error::Taken, StatusCode::CREATED),
            (Error::Unavailable("it may be done".into()), StatusCode::CONFLICT),
        ];
        for (key, (error, repeated)) in cases.into_iter().enumerate() {
            *fails.lock().unwrap() = Some(error);
            assert_eq!(send(key).await, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(send(key).await, repeated);
        }
    }
}
