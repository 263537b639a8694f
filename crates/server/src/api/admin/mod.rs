//! The administrators' API, `/admin/v1`: JSON in, JSON out, and RFC 9457 for
//! what does not go.
//!
//! A handler parses its request, calls one method of
//! [`Admin`](crate::authority::admin::Admin) and renders what that gives. It gets there
//! only through [`administrator::Administrator`], which takes the token; so no route can
//! forget to ask for it. What a caller wrote is read in [`read`], to the letter; refusals
//! get their status and code in [`problem`], in one match. Each call is described where it
//! is handled, and can be reached only if it is: see [`openapi`].

mod administrator;
mod assertion_keys;
mod audit;
mod channels;
#[doc(hidden)]
pub mod fuzzing;
mod groups;
mod openapi;
pub(super) mod problem;
mod providers;
mod read;
mod revocations;
mod schema;
mod show;
mod signing_keys;
mod tokens;
mod warnings;

use crate::authority::{Authority, admin_token::TokenSource, warnings::Warning};
use administrator::{Administrator, Gate};
use axum::{
    Router,
    response::{IntoResponse, Response},
};
use http::header::CONTENT_TYPE;
use problem::{Code, Problem};
use std::sync::{Arc, LazyLock};
use tegata_store::Holding;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes below `/admin/v1`.
pub fn router(authority: Arc<Authority>, admin_token: Arc<TokenSource>) -> Router {
    let gate = Arc::new(Gate { authority, admin_token });
    let (routes, _) = routes().split_for_parts();
    routes
        .fallback(async |_: Administrator| Problem::not_found("path"))
        .method_not_allowed_fallback(async |_: Administrator| {
            Problem::new(Code::MethodNotAllowed, "this path does not take this method")
        })
        .with_state(gate)
}

/// Every call, with its description. Those of one path stand together.
fn routes() -> OpenApiRouter<Arc<Gate>> {
    OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(describe))
        .routes(routes!(providers::list, providers::create))
        .routes(routes!(channels::list, channels::create))
        .routes(routes!(channels::show, channels::change, channels::delete))
        .routes(routes!(channels::replace_secret))
        .routes(routes!(assertion_keys::list, assertion_keys::register))
        .routes(routes!(assertion_keys::delete))
        .routes(routes!(groups::list))
        .routes(routes!(groups::change, groups::delete))
        .routes(routes!(tokens::reissue))
        .routes(routes!(tokens::list))
        .routes(routes!(tokens::show))
        .routes(routes!(tokens::explain))
        .routes(routes!(revocations::of_channel))
        .routes(routes!(revocations::of_all))
        .routes(routes!(signing_keys::list, signing_keys::rotate))
        .routes(routes!(signing_keys::rotate_master_key))
        .routes(routes!(audit::list))
        .routes(routes!(warnings::list))
        .routes(routes!(audit::verify))
        .routes(routes!(audit::export))
}

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let document = routes().into_openapi();
    // It is made of texts and numbers alone, so this cannot fail.
    document.to_pretty_json().unwrap_or_default() + "\n"
});

/// The document, as `/admin/v1/openapi.json` gives it.
#[must_use]
pub fn document() -> &'static str {
    &DOCUMENT
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "describe", tag = "this document",
    security(()),
    responses((status = 200, description = "OpenAPI 3.1.", body = Object))
)]
async fn describe() -> Response {
    ([(CONTENT_TYPE, "application/json")], document()).into_response()
}

/// A warning as the JSON that the list of warnings shows, and a webhook is sent.
pub fn render_warning(warning: &Warning, holding: &Holding) -> String {
    serde_json::to_string(&show::Warning::of(warning, holding)).unwrap_or_default()
}
