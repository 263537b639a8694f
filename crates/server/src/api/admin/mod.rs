//! The administrators' API, `/admin/v1`: JSON requests and responses, and RFC 9457
//! problem details for errors.
//!
//! A handler parses its request, calls one method of
//! [`Admin`](crate::authority::admin::Admin) and renders the result. It obtains `Admin`
//! only through [`administrator::Administrator`], which authenticates the request, so no
//! route can omit authentication. [`read`] reads requests strictly; [`problem`] maps
//! errors to statuses and codes in one match. Each call is described where it is handled,
//! and is routed only if it is described: see [`openapi`].

#[macro_use]
mod read;
pub(super) mod receipts;

mod account;
mod administrator;
mod assertion_keys;
mod audit;
mod channels;
mod code;
mod fault;
#[doc(hidden)]
pub mod fuzzing;
mod groups;
mod limits;
mod once;
mod openapi;
mod people;
pub(super) mod problem;
mod providers;
mod revocations;
mod schema;
mod settings;
mod show;
mod signing_keys;
mod tags;
mod tokens;
mod verifiers;
mod warnings;

use crate::authority::{
    Authority,
    admin_token::TokenSource,
    warnings::{Warning, leak::LeakWarning},
};
use administrator::{Administrator, Gate};
use axum::{
    Router, middleware,
    response::{IntoResponse, Response},
};
use http::header::CONTENT_TYPE;
use problem::{Code, Problem};
use std::sync::{Arc, LazyLock};
use tegata_policy::channel::Channel;
use tegata_store::Holding;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes below `/admin/v1`.
pub fn router(authority: Arc<Authority>, admin_token: Arc<TokenSource>) -> Router {
    let gate = Arc::new(Gate { authority, admin_token });
    let (routes, described) = routes().split_for_parts();
    let paths = openapi::creating(&described).map(str::to_owned).collect();
    let once = Arc::new(once::Once { gate: gate.clone(), paths });
    routes
        .route_layer(middleware::from_fn_with_state(once, once::once))
        .fallback(async |_: Administrator| Problem::not_found("path"))
        .method_not_allowed_fallback(async |_: Administrator| {
            Problem::new(Code::MethodNotAllowed, "this path does not take this method")
        })
        .with_state(gate)
}

/// Every call, with its description. The calls of one path are registered together.
fn routes() -> OpenApiRouter<Arc<Gate>> {
    OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(describe))
        .routes(routes!(providers::list, providers::create))
        .routes(routes!(providers::show, providers::change, providers::delete))
        .routes(routes!(channels::list, channels::create))
        .routes(routes!(channels::list_all))
        .routes(routes!(channels::show, channels::change, channels::delete))
        .routes(routes!(channels::replace_secret))
        .routes(routes!(channels::delete_previous_secret))
        .routes(routes!(assertion_keys::list, assertion_keys::register))
        .routes(routes!(assertion_keys::delete))
        .routes(routes!(assertion_keys::list_all))
        .routes(routes!(groups::list))
        .routes(routes!(groups::show, groups::change, groups::delete))
        .routes(routes!(tokens::reissue))
        .routes(routes!(tokens::list))
        .routes(routes!(tokens::list_expiring))
        .routes(routes!(tokens::show))
        .routes(routes!(tokens::explain))
        .routes(routes!(revocations::of_channel))
        .routes(routes!(revocations::of_all))
        .routes(routes!(signing_keys::list, signing_keys::rotate))
        .routes(routes!(signing_keys::rotate_master_key))
        .routes(routes!(verifiers::list, verifiers::create))
        .routes(routes!(verifiers::show, verifiers::change, verifiers::delete))
        .routes(routes!(verifiers::remove_all))
        .routes(routes!(verifiers::remove_one))
        .routes(routes!(people::invite))
        .routes(routes!(people::list))
        .routes(routes!(people::show, people::change, people::delete))
        .routes(routes!(people::reset))
        .routes(routes!(people::unlink))
        .routes(routes!(people::provider_roles))
        .routes(routes!(people::provider_role, people::set_provider_role))
        .routes(routes!(people::channel_roles))
        .routes(routes!(people::channel_role, people::set_channel_role))
        .routes(routes!(account::open_invitation))
        .routes(routes!(account::accept_invitation))
        .routes(routes!(account::sign_in))
        .routes(routes!(account::sign_out))
        .routes(routes!(account::show))
        .routes(routes!(account::change_password))
        .routes(routes!(account::list_tokens, account::create_token))
        .routes(routes!(account::delete_token))
        .routes(routes!(receipts::show))
        .routes(routes!(audit::list))
        .routes(routes!(warnings::list))
        .routes(routes!(warnings::test))
        .routes(routes!(audit::verify))
        .routes(routes!(audit::export))
        .routes(routes!(audit::last_verification))
        .routes(routes!(settings::token_rules))
        .routes(routes!(settings::settings))
        .routes(routes!(settings::activity))
}

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let mut document = routes().into_openapi();
    openapi::add_headers(&mut document);
    // The document consists of strings and numbers only, so serialization cannot fail.
    document.to_pretty_json().unwrap_or_default() + "\n"
});

/// The OpenAPI document that `/admin/v1/openapi.json` serves.
#[must_use]
pub fn document() -> &'static str {
    &DOCUMENT
}

/// The words of this API's paths, without the names of ids.
pub fn path_words() -> impl Iterator<Item = String> {
    let paths = routes().into_openapi().paths.paths.into_keys();
    let words = |path: String| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    paths.flat_map(words).filter(|word| !word.starts_with('{'))
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

/// Renders a warning about a leaked token as the JSON that webhooks send.
#[must_use]
pub fn render_leak(warning: &LeakWarning, channel: &Channel) -> String {
    serde_json::to_string(&show::Warning::of_leak(warning, channel)).unwrap_or_default()
}

/// Renders a warning as the JSON that lists show and webhooks send.
#[must_use]
pub fn render_warning(warning: &Warning, holding: &Holding) -> String {
    serde_json::to_string(&show::Warning::of(warning, holding)).unwrap_or_default()
}
