//! The faces: each speaks one protocol, and turns a refusal into its dialect in
//! one match. What they may do is the authority's to say.

pub mod admin;
pub mod dev;
pub mod gateway;
pub mod line;
pub mod operations;
pub mod well_known;

use crate::{
    admin_token::TokenSource,
    authority::Authority,
    door::Tls,
    health::Health,
    metrics::{Checks, Metrics},
    reply::{self, Reply},
    source::TrustedProxies,
    warnings::Warnings,
};
use admin::problem::{Code, Problem};
use axum::{
    Router,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use std::{
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};
use tegata_token::{
    decide::{Active, Refused},
    kind::{Form, Kind},
};
use uuid::Uuid;

/// What the faces share.
pub struct App {
    /// Whom they ask.
    pub authority: Arc<Authority>,
    /// Whether it is of use.
    pub health: Health,
    /// What they count.
    pub metrics: Arc<Metrics>,
    /// Whether the clock may be moved.
    pub dev: bool,
    /// The administrator's token.
    pub admin_token: Arc<TokenSource>,
    /// How long a new signing key is published before it signs.
    pub key_promotion_delay: Duration,
    /// For how many days the row of a token is kept after its end.
    pub keep_ended_days: u32,
    /// How far the sweep has come among the rows of tokens.
    pub swept_to: AtomicI64,
    /// What tells people before something ends.
    pub warnings: Warnings,
    /// The certificate in force, where TLS is spoken.
    pub tls: Option<Arc<Tls>>,
    /// Whose word the door takes for where a request comes from.
    pub trusted_proxies: TrustedProxies,
}

impl App {
    /// Checks a token; some of the checks are timed among `counts`.
    fn check(&self, counts: &Checks, token: &[u8]) -> Result<Active, Refused> {
        counts.timed(|| self.authority.clock().steady(), || self.authority.check(token))
    }
}

/// Which faces a listener shows. Whether the server is alive and of use can be
/// asked at each of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shows {
    /// The operations of LINE, gateways and the well-known paths.
    pub public: bool,
    /// `/admin/v1`.
    pub admin: bool,
    /// `/metrics`.
    pub metrics: bool,
}

/// The paths that a listener shows.
pub fn router(app: Arc<App>, shows: Shows) -> Router {
    let mut router = Router::new().merge(operations::router());
    if shows.metrics {
        router = router.merge(operations::metrics_router());
    }
    if shows.public {
        router = router.merge(line::router()).merge(gateway::router()).merge(well_known::router());
        if app.dev {
            router = router.merge(dev::router());
        }
    }
    let admin = shows.admin.then(|| {
        let (authority, metrics) = (app.authority.clone(), app.metrics.clone());
        admin::router(authority, metrics, app.admin_token.clone(), app.warnings.policy.clone())
    });
    let mut router =
        router.method_not_allowed_fallback(async || method_not_allowed()).with_state(app);
    if let Some(admin) = admin {
        router = router.nest(ADMIN, admin);
    }
    router.fallback(async || reply::message(StatusCode::NOT_FOUND, "Not found"))
}

/// Below this path everything is the administrators'.
const ADMIN: &str = "/admin/v1";

/// Whether what is answered on this path is an administrator's to read, and a
/// refusal a problem detail.
pub fn is_admin(path: &str) -> bool {
    path.strip_prefix(ADMIN).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy)]
pub enum Unread {
    /// It is longer than a body may be.
    TooLong,
    /// It was not in in time.
    TooSlow,
    /// Its sender went away, or sent what is no body.
    BrokeOff,
}

/// A request whose body was not read, refused in the dialect of its path.
#[must_use]
pub fn refuse(path: &str, unread: Unread) -> Response {
    let (status, code, words) = match unread {
        Unread::TooLong => (
            StatusCode::PAYLOAD_TOO_LARGE,
            Code::BodyTooLong,
            "the body is longer than 65536 bytes",
        ),
        Unread::TooSlow => (
            StatusCode::REQUEST_TIMEOUT,
            Code::BodyTooSlow,
            "the request took longer than 10 seconds to come in",
        ),
        Unread::BrokeOff => (StatusCode::BAD_REQUEST, Code::MalformedBody, "the body broke off"),
    };
    match is_admin(path) {
        true => Problem::new(code, words).into_response(),
        false => reply::message(status, words).into_response(),
    }
}

/// 500: a bug of ours, in the dialect of an administrator or of everybody else.
#[must_use]
pub fn bug(admin: bool) -> Response {
    match admin {
        true => Problem::new(Code::Bug, "this is a bug; the log has more").into_response(),
        false => reply::bug().into_response(),
    }
}

/// The answer of a router, complete: a problem names the request that it answers,
/// whose id only the door knows.
#[must_use]
pub fn signed(answer: Response, request: &Uuid) -> Response {
    admin::problem::signed(answer, request)
}

fn method_not_allowed() -> Reply {
    reply::message(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
}

/// In which form a string would be a token of ours, judged by its head alone.
fn form_of(token: &str) -> Form {
    let opaque = Kind::all().map(Kind::form).find(|form| match form {
        Form::Opaque(prefix) => token.starts_with(prefix),
        Form::Jws => false,
    });
    opaque.unwrap_or(Form::Jws)
}
