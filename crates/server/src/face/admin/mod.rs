//! The administrators' API, `/admin/v1`: JSON in, JSON out, and RFC 9457 for
//! what does not go.
//!
//! A handler reaches the authority only through [`Administrator`], which nobody
//! becomes without the token; so no route can forget to ask for it. What a caller
//! wrote is read in [`read`], to the letter; refusals get their status and code
//! in [`problem`], in one match; nothing here decides about a token. Each call is
//! described where it is handled, and can be reached only if it is: see [`openapi`].

mod assertion_keys;
mod audit;
mod channels;
mod enders;
#[doc(hidden)]
pub mod fuzzing;
mod groups;
mod openapi;
pub(super) mod problem;
mod providers;
mod read;
mod revocations;
mod schema;
pub(crate) mod show;
mod signing_keys;
mod tokens;
mod warnings;

use crate::{
    admin_token::TokenSource,
    authority::Authority,
    face::admin::problem::{Code, Problem},
    metrics::Metrics,
    source::Source,
    warnings::Policy,
};
use axum::{Router, extract::FromRequestParts};
use http::{header::AUTHORIZATION, request::Parts};
use std::sync::Arc;
use tegata_policy::{channel::Channel, secret::PlainSecret};
use tegata_store::{By, Holding};
use tegata_token::id::ChannelId;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use openapi::document;

/// The routes below `/admin/v1`.
pub fn router(
    authority: Arc<Authority>,
    metrics: Arc<Metrics>,
    admin_token: Arc<TokenSource>,
    warn: Arc<Policy>,
) -> Router {
    let gate = Arc::new(Gate { authority, metrics, admin_token, warn });
    let (routes, _) = routes().split_for_parts();
    routes
        .fallback(async |_: Administrator| Problem::not_found("such path"))
        .method_not_allowed_fallback(async |_: Administrator| {
            Problem::new(Code::MethodNotAllowed, "this path does not take this method")
        })
        .with_state(gate)
}

/// Every call, with its description. Those of one path stand together.
fn routes() -> OpenApiRouter<Arc<Gate>> {
    OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(openapi::show))
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

/// What stands between a request and the authority.
struct Gate {
    authority: Arc<Authority>,
    metrics: Arc<Metrics>,
    admin_token: Arc<TokenSource>,
    warn: Arc<Policy>,
}

/// Somebody who showed the administrator's token.
struct Administrator {
    authority: Arc<Authority>,
    metrics: Arc<Metrics>,
    warn: Arc<Policy>,
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

    /// The channel of that id, with what it holds.
    async fn holding(&self, id: ChannelId) -> Result<Holding, Problem> {
        let holding = self.authority.store().holding(id, self.authority.now()).await?;
        holding.ok_or_else(|| Problem::not_found("such channel"))
    }
}

impl FromRequestParts<Arc<Gate>> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gate: &Arc<Gate>) -> Result<Self, Problem> {
        let source = parts.extensions.get::<Source>().copied();
        let shown = bearer(parts).map(|token| PlainSecret::from_caller(token.to_owned()));
        let tries = shown.is_some();
        // Compared by its hash, in constant time.
        let is = shown.map_or(Ok(false), |token| gate.admin_token.is(&token));
        let is = is.map_err(|_| {
            let why = "the file of the administrator's token cannot be used; see the log";
            Problem::new(Code::Unavailable, why)
        })?;
        if !is {
            if let Some(source) = source.filter(|_| tries) {
                gate.authority.wrong_administrator(source);
            }
            let way = "send the administrator's token: Authorization: Bearer …";
            return Err(Problem::new(Code::Unauthorized, way));
        }
        let source = source.map(|it| it.to_string());
        Ok(Self {
            authority: gate.authority.clone(),
            metrics: gate.metrics.clone(),
            warn: gate.warn.clone(),
            source,
        })
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
