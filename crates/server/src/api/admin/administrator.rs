//! Who may call the administrators' API: the holder of the root administrator's token.

use crate::{
    api::admin::problem::{Code, Problem},
    authority::{Authority, admin_token::TokenSource, source::Source, warnings::Policy},
    metrics::Metrics,
};
use axum::extract::FromRequestParts;
use http::{header::AUTHORIZATION, request::Parts};
use std::sync::Arc;
use tegata_store::{By, Holding};
use tegata_token::{id::ChannelId, policy::Channel, secret::PlainSecret};

/// What stands between a request and the authority.
pub struct Gate {
    pub authority: Arc<Authority>,
    pub metrics: Arc<Metrics>,
    pub admin_token: Arc<TokenSource>,
    pub warn: Arc<Policy>,
}

/// Somebody who showed the administrator's token.
pub struct Administrator {
    pub authority: Arc<Authority>,
    pub metrics: Arc<Metrics>,
    pub warn: Arc<Policy>,
    source: Option<String>,
}

impl Administrator {
    /// The one who acts, for the audit.
    pub fn by(&self, reason: Option<String>) -> By {
        self.authority.by("administrator", self.source.clone(), reason)
    }

    /// The channel of that id.
    pub async fn channel(&self, id: ChannelId) -> Result<Arc<Channel>, Problem> {
        self.authority.channel(id).await?.ok_or_else(|| Problem::not_found("such channel"))
    }

    /// The channel of that id, with what it holds.
    pub async fn holding(&self, id: ChannelId) -> Result<Holding, Problem> {
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
