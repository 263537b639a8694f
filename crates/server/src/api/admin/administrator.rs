//! Authentication for the administrators' API: the root administrator's token, or a
//! person's session or personal token.

use crate::{
    api::{
        admin::{
            problem::{Code, Problem},
            tags,
        },
        header::bearer,
        subject::RequestId,
    },
    authority::{
        Authority, actor::Actor, admin::Admin, admin_token::TokenSource, jobs::record_reset,
        source::Source,
    },
};
use axum::extract::FromRequestParts;
use http::{Method, request::Parts};
use std::sync::Arc;
use tegata_policy::secret::PlainSecret;
use tegata_store::ExpectedSettings;

/// What a request of an administrator is authenticated with.
pub struct Gate {
    pub authority: Arc<Authority>,
    pub admin_token: Arc<TokenSource>,
}

/// A request that was authenticated.
pub struct Administrator {
    /// Administration on its behalf.
    pub admin: Admin,
}

/// A request that needs no authentication.
pub struct Anyone {
    /// The authority.
    pub authority: Arc<Authority>,
    /// From where it comes.
    pub source: Option<Source>,
}

impl FromRequestParts<Arc<Gate>> for Anyone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gate: &Arc<Gate>) -> Result<Self, Problem> {
        let source = parts.extensions.get::<Source>().copied();
        gate.authority.catch_up().await?;
        Ok(Self { authority: gate.authority.clone(), source })
    }
}

impl FromRequestParts<Arc<Gate>> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gate: &Arc<Gate>) -> Result<Self, Problem> {
        let expected = match parts.method {
            Method::PATCH | Method::DELETE => tags::expected(&parts.headers)?,
            _ => ExpectedSettings::Unstated,
        };
        // What the request before has done may be known to another server only.
        gate.authority.catch_up().await?;
        let source = parts.extensions.get::<Source>().copied();
        let request_id = parts.extensions.get::<RequestId>().map(|it| it.0.to_string());
        let shown = bearer(&parts.headers).and_then(|token| std::str::from_utf8(token).ok());
        let shown = shown.map(|token| PlainSecret::from_caller(token.to_owned()));
        let tries = shown.is_some();
        let person = shown.as_ref().and_then(|it| gate.authority.admin_by(it, source));
        if let Some(admin) = person {
            return Ok(Self { admin: admin.expecting(expected).for_request(request_id) });
        }
        // First, so that the audit has a replaced token before the acts with the new one.
        record_reset(&gate.authority, &gate.admin_token).await;
        // Compared by its hash, in constant time.
        let is = shown
            .map_or(Ok(false), |token| gate.admin_token.is(&token, gate.authority.root_token()));
        let is = is.map_err(|_| {
            let why = "the file of the administrator's token cannot be used; see the server's log";
            Problem::new(Code::Unavailable, why)
        })?;
        if !is {
            if let Some(source) = source.filter(|_| tries) {
                gate.authority.wrong_administrator(source);
            }
            let way = "send an administrator's token: Authorization: Bearer …";
            return Err(Problem::new(Code::Unauthorized, way));
        }
        let admin = gate.authority.admin(Actor::Root, source);
        Ok(Self { admin: admin.expecting(expected).for_request(request_id) })
    }
}
