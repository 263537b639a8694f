//! The administrators' API, `/admin/v1`: JSON in, JSON out, and RFC 9457 for
//! what does not go.
//!
//! A handler reaches the authority only through [`Administrator`], which nobody
//! becomes without the token; so no route can forget to ask for it. What a caller
//! wrote is read in [`read`], to the letter; refusals get their status and code
//! in [`problem`], in one match; nothing here decides about a token.

mod assertion_keys;
mod audit;
mod channels;
#[doc(hidden)]
pub mod fuzzing;
mod groups;
mod problem;
mod providers;
mod read;
mod revocations;
pub(crate) mod show;
mod signing_keys;
mod tokens;

use crate::{
    authority::Authority,
    config::AdminToken,
    face::admin::problem::{Code, Problem},
    metrics::Metrics,
    source::Source,
};
use axum::{
    Router,
    extract::FromRequestParts,
    routing::{delete, get, patch, post},
};
use http::{header::AUTHORIZATION, request::Parts};
use std::sync::Arc;
use tegata_store::By;
use tegata_token::{id::ChannelId, policy::Channel, secret::PlainSecret};

/// The routes below `/admin/v1`.
pub fn router(authority: Arc<Authority>, metrics: Arc<Metrics>, admin_token: AdminToken) -> Router {
    let gate = Arc::new(Gate { authority, metrics, admin_token });
    Router::new()
        .route("/providers", get(providers::list).post(providers::create))
        .route("/providers/{provider}/channels", get(channels::list).post(channels::create))
        .route(
            "/channels/{channel}",
            get(channels::show).patch(channels::change).delete(channels::delete),
        )
        .route("/channels/{channel}/secret", post(channels::replace_secret))
        .route(
            "/channels/{channel}/assertion-keys",
            get(assertion_keys::list).post(assertion_keys::register),
        )
        .route("/channels/{channel}/assertion-keys/{kid}", delete(assertion_keys::delete))
        .route("/channels/{channel}/groups", get(groups::list))
        .route("/channels/{channel}/groups/{group}", patch(groups::change).delete(groups::delete))
        .route("/channels/{channel}/long-lived-token", post(tokens::reissue))
        .route("/channels/{channel}/tokens", get(tokens::list))
        .route("/channels/{channel}/tokens/{token}", get(tokens::show))
        .route("/channels/{channel}/revocations", post(revocations::of_channel))
        .route("/explain", post(tokens::explain))
        .route("/revocations", post(revocations::of_all))
        .route("/signing-keys", get(signing_keys::list).post(signing_keys::rotate))
        .route("/audit", get(audit::list))
        .fallback(async |_: Administrator| Problem::not_found("such path"))
        .method_not_allowed_fallback(async |_: Administrator| {
            Problem::new(Code::MethodNotAllowed, "this path does not take this method")
        })
        .with_state(gate)
}

/// What stands between a request and the authority.
struct Gate {
    authority: Arc<Authority>,
    metrics: Arc<Metrics>,
    admin_token: AdminToken,
}

/// Somebody who showed the administrator's token.
struct Administrator {
    authority: Arc<Authority>,
    metrics: Arc<Metrics>,
    source: Option<String>,
}

impl Administrator {
    /// The one who acts, for the audit.
    fn by(&self, reason: Option<String>) -> By {
        self.authority.by("administrator", self.source.clone(), reason)
    }

    /// The channel of that id.
    async fn channel(&self, id: ChannelId) -> Result<Arc<Channel>, Problem> {
        self.authority.channel(id).await?.ok_or_else(|| Problem::not_found("such channel"))
    }
}

impl FromRequestParts<Arc<Gate>> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gate: &Arc<Gate>) -> Result<Self, Problem> {
        let shown = bearer(parts).map(|token| PlainSecret::from_caller(token.to_owned()));
        // Compared by its hash, in constant time.
        if !shown.is_some_and(|token| gate.admin_token.is(&token)) {
            let way = "send the administrator's token: Authorization: Bearer …";
            return Err(Problem::new(Code::Unauthorized, way));
        }
        let source = parts.extensions.get::<Source>().map(Source::to_string);
        Ok(Self { authority: gate.authority.clone(), metrics: gate.metrics.clone(), source })
    }
}

/// The credentials of the only `Authorization` header, if they are a bearer's
/// (RFC 6750, section 2.1; the scheme's case does not matter, RFC 9110, 11.1).
fn bearer(parts: &Parts) -> Option<&str> {
    let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
    let (header, None) = (headers.next()?.to_str().ok()?, headers.next()) else { return None };
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim_start_matches(' '))
}
