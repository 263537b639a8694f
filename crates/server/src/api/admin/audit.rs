//! The audit: its events, its verification and its export.

use crate::api::admin::{
    administrator::Administrator,
    problem::{Problem, Problems},
    read::{FromMembers, Members, Part, PartOf, Query},
    schema, show,
};
use axum::Json;

/// List audit events, newest first.
#[utoipa::path(
    get, path = "/audit", operation_id = "listAuditEvents", tag = "audit",
    params(
        ("channel" = Option<schema::ChannelId>, Query,
         description = "Only events of this channel."),
        Part,
    ),
    responses((status = 200, description = "A page of events.", body = show::Events), Problems)
)]
pub async fn list(
    who: Administrator,
    Query(PartOf { channel, part }): Query<PartOf>,
) -> Result<Json<show::Events>, Problem> {
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

pub struct Behind {
    checkpoint: Option<u64>,
    event: Option<i64>,
}

impl FromMembers for Behind {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        let checkpoint = members.take("checkpoint", "the number of a checkpoint")?;
        Ok(Self { checkpoint, event: members.take("event", "the id of an event")? })
    }
}

/// Export the next checkpoint and the events that it covers, oldest first and unaltered;
/// behind the last checkpoint, the events that wait for one.
#[utoipa::path(
    get, path = "/audit/checkpoints", operation_id = "exportAudit", tag = "audit",
    params(
        ("checkpoint" = Option<u64>, Query, description = "Export what follows this checkpoint."),
        ("event" = Option<i64>, Query, description = "Export what follows this event."),
    ),
    responses((status = 200, description = "A part of the audit.", body = show::CheckpointPart), Problems)
)]
pub async fn export(
    who: Administrator,
    Query(Behind { checkpoint, event }): Query<Behind>,
) -> Result<Json<show::CheckpointPart>, Problem> {
    let checkpoint = checkpoint.unwrap_or(0).min(i64::MAX.unsigned_abs());
    let behind = (checkpoint, event.unwrap_or(i64::MIN));
    let part = who.admin.audit_part(behind).await?;
    Ok(Json(show::CheckpointPart::of(part, who.admin.audit_key()?)))
}
