//! The HTTP APIs. Each implements one protocol, and maps errors to its own form in one
//! match. What a request may do is decided by the authority.

pub mod admin;
pub mod app;
mod call;
pub mod console;
mod dev;
mod faults;
pub mod feed;
// Public for fuzzing only.
#[doc(hidden)]
pub mod form;
pub mod gateway;
mod header;
pub mod leaks;
pub mod line;
pub mod oauth;
mod operations;
pub mod reply;
mod source;
pub mod subject;
mod well_known;

use admin::problem::{Code, Problem};
use app::App;
use axum::{
    Router,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use http::{HeaderMap, Method, StatusCode, Uri, header::ACCEPT};
use oauth::OAuthError;
use reply::Reply;
use std::{borrow::Cow, sync::Arc};
use tegata_console::pages::Trouble;
use uuid::Uuid;

/// Which APIs a listener serves. Liveness and readiness are served on every listener.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shows {
    /// The operations of LINE, gateways and the well-known paths.
    pub public: bool,
    /// `/admin/v1` and `/console`.
    pub admin: bool,
    /// `/metrics`.
    pub metrics: bool,
    /// Envoy's ext_authz over gRPC.
    pub ext_authz: bool,
}

/// The router of a listener, and where the console keeps pages for it.
pub fn router(app: Arc<App>, shows: Shows, pages: &Arc<console::KeptPages>) -> Router {
    let mut router = Router::new().merge(operations::router());
    if shows.metrics {
        router = router.merge(operations::metrics_router());
    }
    if shows.public {
        router = router.merge(line::router()).merge(gateway::router()).merge(well_known::router());
        router = router.merge(feed::router()).merge(oauth::router()).merge(leaks::router());
        if app.dev {
            router = router.merge(dev::router());
        }
    }
    let admin = shows.admin.then(|| {
        let api = admin::router(app.authority.clone(), app.admin_token.clone());
        let console = console::router(&app, pages);
        // With a slash at its end, as people enter it.
        let slash = get(async || Redirect::to(console::CONSOLE));
        Router::new().nest(ADMIN, api).nest(console::CONSOLE, console).route("/console/", slash)
    });
    let mut router =
        router.method_not_allowed_fallback(async || method_not_allowed()).with_state(app);
    if let Some(admin) = admin {
        router = router.merge(admin);
    }
    router.fallback(async move |method: Method, uri: Uri, headers: HeaderMap| {
        if shows.admin && method == Method::GET && uri.path() == "/" && is_browser(&headers) {
            return Redirect::to(console::CONSOLE).into_response();
        }
        reply::message(StatusCode::NOT_FOUND, "Not found").into_response()
    })
}

/// Whether a client wants a page: a browser that was given the address of the server alone.
fn is_browser(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|it| it.to_str().ok());
    accepted.is_some_and(|it| it.contains("text/html"))
}

/// The path of the reports of verifiers' uses, whose bodies may be longer than others.
pub const USAGE: &str = "/feed/usage";

/// The prefix of the administrators' API.
pub(crate) const ADMIN: &str = "/admin/v1";

/// How errors look: as the administrators' API, the console, OAuth, or all others have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorForm {
    /// Problem details.
    Problem,
    /// A page.
    Page,
    /// OAuth's `{"error": …, "error_description": …}`.
    OAuth,
    /// LINE's `{"message": …}`.
    Message,
}

impl ErrorForm {
    /// The form of errors at this path.
    #[must_use]
    pub fn of(path: &str) -> Self {
        if is_admin(path) {
            Self::Problem
        } else if console::serves(path) {
            Self::Page
        } else if oauth::serves(path) {
            Self::OAuth
        } else {
            Self::Message
        }
    }
}

/// Whether this path belongs to the administrators' API, whose errors are problem
/// details.
pub fn is_admin(path: &str) -> bool {
    path.strip_prefix(ADMIN).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Why a request was not read.
#[derive(Debug, Clone, Copy)]
pub enum Unread {
    /// It exceeds this maximum length, in bytes.
    TooLong(usize),
    /// The bodies of other requests take all the memory that bodies may take.
    NoRoom,
    /// It did not arrive in time.
    TooSlow,
    /// The connection broke, or the body is malformed.
    BrokeOff,
    /// It does not have exactly one `Host`.
    Hosts,
    /// It has more than 100 header fields.
    Fields,
}

fn too_long_words(longest: usize) -> Cow<'static, str> {
    if longest == console::LONGEST_LEAK {
        return "the text is longer than 1 MiB: search it in parts, or on your own machine with \
                `tegata token inspect`"
            .into();
    }
    format!("the body is longer than {longest} bytes").into()
}

/// The error response to a request that was not read, in the form of its API.
#[must_use]
pub fn refuse(path: &str, unread: Unread) -> Response {
    let (status, code, words) = match unread {
        Unread::TooLong(longest) => {
            (StatusCode::PAYLOAD_TOO_LARGE, Code::BodyTooLong, too_long_words(longest))
        }
        Unread::NoRoom => {
            let words = "the server reads as many bodies as it may; try again";
            return match ErrorForm::of(path) {
                ErrorForm::Problem => Problem::new(Code::Unavailable, words).into_response(),
                other => unavailable(other),
            };
        }
        Unread::TooSlow => (
            StatusCode::REQUEST_TIMEOUT,
            Code::BodyTooSlow,
            "the request took longer than 10 seconds to come in".into(),
        ),
        Unread::BrokeOff => {
            (StatusCode::BAD_REQUEST, Code::MalformedBody, "the body broke off".into())
        }
        Unread::Hosts => {
            (StatusCode::BAD_REQUEST, Code::MalformedHead, "send exactly one Host header".into())
        }
        Unread::Fields => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Code::HeadTooLong,
            "send at most 100 header fields".into(),
        ),
    };
    match ErrorForm::of(path) {
        ErrorForm::Problem => Problem::new(code, words).into_response(),
        ErrorForm::Page => console::bare_error(status, Trouble::BadRequest(words.into_owned())),
        ErrorForm::OAuth => oauth::failure(status, "invalid_request", &words).into_response(),
        ErrorForm::Message => reply::message(status, &words).into_response(),
    }
}

/// 500, an internal error.
#[must_use]
pub fn internal_error(form: ErrorForm) -> Response {
    match form {
        ErrorForm::Problem => {
            Problem::new(Code::InternalError, "this is a bug; the log has more").into_response()
        }
        ErrorForm::Page => {
            console::bare_error(StatusCode::INTERNAL_SERVER_ERROR, Trouble::Internal)
        }
        ErrorForm::OAuth => {
            let words = "internal server error; the log has more";
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            oauth::failure(status, "server_error", words).into_response()
        }
        ErrorForm::Message => reply::internal_error().into_response(),
    }
}

/// Whether this path is for those who operate the server: what it answers is about the server
/// itself, and not from the memory of the authority.
pub(crate) fn is_of_operator(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz" | "/metrics") || path.starts_with("/dev/")
}

/// 503: the answer cannot be known now.
pub(crate) fn unavailable(form: ErrorForm) -> Response {
    match form {
        ErrorForm::Problem => {
            Problem::new(Code::Unavailable, "the lease of this server has run out").into_response()
        }
        ErrorForm::Page => {
            let page = console::bare_error(StatusCode::SERVICE_UNAVAILABLE, Trouble::Unavailable);
            ([(http::header::RETRY_AFTER, "1")], page).into_response()
        }
        ErrorForm::OAuth => Reply::from(OAuthError::unavailable()).into_response(),
        ErrorForm::Message => reply::unavailable().into_response(),
    }
}

/// Answers a request as a fault of a development server prescribes, in the form of its API.
pub(crate) async fn faulty(response: faults::FaultyAnswer, path: &str) -> Response {
    tokio::time::sleep(response.delay).await;
    let words = "a fault that was set at /dev/faults";
    let many = StatusCode::TOO_MANY_REQUESTS;
    match (response.status, ErrorForm::of(path)) {
        (429, ErrorForm::Problem) => Problem::new(Code::LimitExceeded, words).into_response(),
        (429, ErrorForm::OAuth) => Reply::from(OAuthError::too_many(1, words)).into_response(),
        (429, ErrorForm::Page | ErrorForm::Message) => {
            reply::retry_after(reply::message(many, words), 1).into_response()
        }
        (503, ErrorForm::Problem) => Problem::new(Code::Unavailable, words).into_response(),
        (503, ErrorForm::Page) => reply::unavailable().into_response(),
        (503, form) => unavailable(form),
        (_, form) => internal_error(form),
    }
}

/// Completes a router's response: a problem contains the id of its request, which only
/// the HTTP server knows.
#[must_use]
pub fn signed(response: Response, request: &Uuid) -> Response {
    admin::problem::signed(response, request)
}

fn method_not_allowed() -> Reply {
    reply::message(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
}
