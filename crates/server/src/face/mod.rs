//! The faces: each speaks one protocol, and turns a refusal into its dialect in
//! one match. What they may do is the authority's to say.

pub mod admin;
pub mod dev;
pub mod gateway;
pub mod line;
pub mod operations;
pub mod well_known;

use crate::{
    authority::Authority,
    config::AdminToken,
    metrics::Metrics,
    reply::{self, Reply},
    source::TrustedProxies,
    warnings::Warnings,
};
use axum::Router;
use http::StatusCode;
use std::{sync::Arc, time::Duration};
use tegata_token::law::{Form, LAW};

/// What the faces share.
pub struct App {
    /// Whom they ask.
    pub authority: Arc<Authority>,
    /// What they count.
    pub metrics: Arc<Metrics>,
    /// Whether the clock may be moved.
    pub dev: bool,
    /// The administrator's token.
    pub admin_token: AdminToken,
    /// How long a new signing key is published before it signs.
    pub key_promotion_delay: Duration,
    /// What tells people before something ends.
    pub warnings: Warnings,
    /// Whose word the door takes for where a request comes from.
    pub trusted_proxies: TrustedProxies,
}

/// All paths.
pub fn router(app: Arc<App>) -> Router {
    let admin = admin::router(app.authority.clone(), app.metrics.clone(), app.admin_token);
    let mut router = Router::new()
        .merge(line::router())
        .merge(gateway::router())
        .merge(well_known::router())
        .merge(operations::router());
    if app.dev {
        router = router.merge(dev::router());
    }
    router
        .method_not_allowed_fallback(async || method_not_allowed())
        .with_state(app)
        .nest("/admin/v1", admin)
        .fallback(async || reply::message(StatusCode::NOT_FOUND, "Not found"))
}

fn method_not_allowed() -> Reply {
    reply::message(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
}

/// In which form a string would be a token of ours, judged by its head alone.
fn form_of(token: &str) -> Form {
    let opaque = LAW.iter().map(|rule| rule.form).find(|form| match form {
        Form::Opaque(prefix) => token.starts_with(prefix),
        Form::Jws => false,
    });
    opaque.unwrap_or(Form::Jws)
}
