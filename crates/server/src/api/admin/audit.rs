//! The audit: its events, its verification and its export.

use crate::api::admin::{
    administrator::Administrator,
    problem::{Problem, Problems},
    read::{PartOf, Query, Whole},
    show,
};
use axum::Json;
use serde::Deserialize;
use utoipa::IntoParams;

/// List audit events, newest first.
#[utoipa::path(
    get, path = "/audit", operation_id = "listAuditEvents", tag = "audit",
    params(PartOf),
    responses((status = 200, description = "A page of events.", body = show::Events), Problems)
)]
pub async fn list(
    who: Administrator,
    Query(part): Query<PartOf>,
) -> Result<Json<show::Events>, Problem> {
    let (channel, part) = part.split();
    let rows = who.admin.audit(channel, part.page()?).await?;
    let (rows, next) = part.split(rows.into_iter().map(|row| (row.id, row)).collect());
    Ok(show::Events::of(&rows, next))
}

/// Verify that no event under a checkpoint was removed, altered, added or moved.
#[utoipa::path(
    get, path = "/audit/verify", operation_id = "verifyAudit", tag = "audit",
    responses((status = 200, description = "The result of the verification.", body = show::AuditReport), Problems)
)]
pub async fn verify(
    who: Administrator,
    Query(()): Query<()>,
) -> Result<Json<show::AuditReport>, Problem> {
    let report = who.admin.verify_audit().await?;
    Ok(Json(show::AuditReport::of(report, who.admin.audit_key()?)))
}

/// Where the previous part of an export ended.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Behind {
    /// Export what follows this checkpoint.
    #[param(value_type = Option<u64>)]
    checkpoint: Option<Whole<0, { i64::MAX }>>,
    /// Export what follows this event.
    #[param(value_type = Option<i64>)]
    event: Option<Whole<{ i64::MIN }, { i64::MAX }>>,
}

/// Export the next checkpoint and the events that it covers, oldest first and unaltered;
/// behind the last checkpoint, the events that wait for one.
#[utoipa::path(
    get, path = "/audit/checkpoints", operation_id = "exportAudit", tag = "audit",
    params(Behind),
    responses((status = 200, description = "A part of the audit.", body = show::CheckpointPart), Problems)
)]
pub async fn export(
    who: Administrator,
    Query(Behind { checkpoint, event }): Query<Behind>,
) -> Result<Json<show::CheckpointPart>, Problem> {
    let checkpoint = checkpoint.map_or(0, |it| it.get().unsigned_abs());
    let behind = (checkpoint, event.map_or(i64::MIN, Whole::get));
    let part = who.admin.audit_part(behind).await?;
    Ok(Json(show::CheckpointPart::of(part, who.admin.audit_key()?)))
}
