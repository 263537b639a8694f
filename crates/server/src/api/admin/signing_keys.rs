//! The authority's own keys: listed and rotated. Revoking one is a revocation.

use crate::api::admin::{
    administrator::Administrator,
    problem::{Problem, Problems},
    read::{Body, Part, Query},
    show,
};
use axum::Json;
use http::StatusCode;

/// List the signing keys, newest first, including revoked ones.
#[utoipa::path(
    get, path = "/signing-keys", operation_id = "listSigningKeys", tag = "signing keys",
    params(Part),
    responses((status = 200, description = "A page of signing keys.", body = show::SigningKeys), Problems)
)]
pub async fn list(
    who: Administrator,
    Query(part): Query<Part>,
) -> Result<Json<show::SigningKeys>, Problem> {
    let keys = who.admin.signing_keys().await?;
    let (keys, next) = part.cut(keys, |key| key.id.to_string())?;
    Ok(show::SigningKeys::of(&keys, next))
}

/// Begin a rotation: create a key, which signs once all verifiers have it.
///
/// To revoke the tokens that a key signed, see the revocations.
#[utoipa::path(
    post, path = "/signing-keys", operation_id = "rotateSigningKeys", tag = "signing keys",
    responses((status = 201, description = "The new key.", body = show::SigningKey), Problems)
)]
pub async fn rotate(
    who: Administrator,
    Body(()): Body<()>,
) -> Result<(StatusCode, Json<show::SigningKey>), Problem> {
    let key = who.admin.rotate_signing_keys().await?;
    Ok((StatusCode::CREATED, Json((&key).into())))
}

/// Replace the master key, which encrypts the signing keys.
///
/// The server keeps serving requests. Backups from before need the old master key.
#[utoipa::path(
    post, path = "/master-key", operation_id = "rotateMasterKey", tag = "signing keys",
    responses((status = 200, description = "The master key is replaced.", body = show::Rewrapped), Problems)
)]
pub async fn rotate_master_key(
    who: Administrator,
    Body(()): Body<()>,
) -> Result<Json<show::Rewrapped>, Problem> {
    let rewrapped = who.admin.rotate_master_key().await?;
    Ok(Json(show::Rewrapped { rewrapped }))
}
