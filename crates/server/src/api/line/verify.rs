//! The operations that read: two verifications, and the list of key ids.

use super::{
    dialect::{self, Presented, Wrong, ok},
    fields,
};
use crate::{
    api::{app::App, form::Form, reply::Reply},
    authority::{
        limits::{LimitExceeded, Operation},
        source::Source,
    },
};
use axum::extract::{RawQuery, State};
use http::HeaderMap;
use serde::Serialize;
use std::sync::Arc;
use tegata_token::kind;
use tegata_token::{
    id::{ChannelId, TokenId},
    verify::Active,
    wire::Malformed,
};

/// `GET /oauth2/v2.1/verify`: tokens in JWS form.
pub async fn verify_jws(app: &App, source: Source, query: Option<&str>) -> Reply {
    let form = match Form::parse(query.unwrap_or_default().as_bytes()) {
        Ok(form) => form,
        Err(bad) => return Wrong::Form(bad).into(),
    };
    let Some(token) = form.get("access_token") else { return Wrong::Missing.into() };
    let result = match fields::form_of(token) {
        kind::WireForm::Jws => {
            app.verify(&app.metrics.verifications_jws, token.as_bytes(), source).await
        }
        kind::WireForm::Opaque(_) => Ok(Err(Malformed::OtherShape.into())),
    };
    let result = match result {
        Ok(known) => known,
        Err(error) => return Wrong::Unavailable(error).into(),
    };
    app.metrics.verifications_jws.count(&result);
    match result {
        Ok(active) => verified(app, &active, Operation::VerifyJws),
        Err(invalid) => dialect::bad_jws(invalid),
    }
}

/// `POST /v2/oauth/verify`: opaque tokens.
pub async fn verify_opaque(app: &App, source: Source, headers: &HeaderMap, body: &[u8]) -> Reply {
    let form = match Form::of_body(headers, body) {
        Ok(form) => form,
        Err(bad) => return Wrong::Form(bad).into(),
    };
    let Some(token) = form.get("access_token") else { return Wrong::Missing.into() };
    let result = match fields::form_of(token) {
        kind::WireForm::Opaque(_) => {
            app.verify(&app.metrics.verifications_opaque, token.as_bytes(), source).await
        }
        kind::WireForm::Jws => Ok(Err(Malformed::OtherShape.into())),
    };
    let result = match result {
        Ok(known) => known,
        Err(error) => return Wrong::Unavailable(error).into(),
    };
    app.metrics.verifications_opaque.count(&result);
    match result {
        Ok(active) => verified(app, &active, Operation::VerifyOpaque),
        Err(invalid) => dialect::bad_opaque(invalid),
    }
}

fn verified(app: &App, active: &Active, operation: Operation) -> Reply {
    let taken = app.authority.take_verification(operation, active.claims.channel);
    if let Err(LimitExceeded(seconds)) = taken {
        return Wrong::LimitExceeded(seconds).into();
    }

    #[derive(Serialize)]
    struct Body<'a> {
        client_id: ChannelId,
        expires_in: i64,
        scope: &'a str,
    }
    ok(&Body {
        client_id: active.claims.channel,
        expires_in: active.until.since(app.authority.now()).max(0),
        scope: active.claims.kind.scope(),
    })
}

/// `GET /oauth2/v2.1/tokens/kid`
pub async fn key_ids(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
) -> Result<Reply, Wrong> {
    let query = query.unwrap_or_default();
    let form = Form::parse(query.as_bytes())?;
    let assertion = fields::assertion(&form)?;
    let kids = app.authority.live_v21(&assertion).await;
    #[derive(Serialize)]
    struct Body {
        kids: Vec<TokenId>,
    }
    Ok(ok(&Body { kids: kids.map_err(|error| Wrong::of(error, Presented::Assertion))? }))
}
