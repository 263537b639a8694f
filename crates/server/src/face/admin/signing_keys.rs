//! The authority's own keys: listed and rotated. Removing one is a revocation.

use crate::face::admin::{
    Administrator,
    problem::Problem,
    read::{Body, Query},
    show,
};
use axum::Json;
use http::StatusCode;
use serde_json::Value;

pub async fn list(who: Administrator, Query(()): Query<()>) -> Result<Json<Value>, Problem> {
    let mut keys = who.authority.signing_keys().await?;
    keys.sort_by_key(|key| std::cmp::Reverse((key.created_at, key.id)));
    Ok(Json(show::list("signing_keys", keys.iter().map(show::signing_key).collect(), None)))
}

pub async fn rotate(
    who: Administrator,
    Body(()): Body<()>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let kid = who.authority.add_signing_key(who.by(None)).await?;
    let keys = who.authority.signing_keys().await?;
    let key = keys.iter().find(|key| key.id == kid);
    let key = key.ok_or_else(|| Problem::not_found("such key any more: it was just removed"))?;
    Ok((StatusCode::CREATED, Json(show::signing_key(key))))
}
