//! Who changed what.

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
         description = "Only what concerns this channel."),
        Part,
    ),
    responses((status = 200, description = "A page of them.", body = show::Events), Problems)
)]
pub async fn list(
    who: Administrator,
    Query(PartOf { channel, part }): Query<PartOf>,
) -> Result<Json<show::Events>, Problem> {
    let rows = who.admin.audit(channel, part.page()?).await?;
    let (rows, next) = part.split(rows.into_iter().map(|row| (row.id, row)).collect());
    Ok(show::Events::of(&rows, next))
}

/// Check that no sealed event was removed, altered, added or moved.
#[utoipa::path(
    get, path = "/audit/verify", operation_id = "verifyAudit", tag = "audit",
    responses((status = 200, description = "What was found.", body = show::AuditReport), Problems)
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

/// The next checkpoint and what it seals, oldest first, to the letter; behind the
/// last one, the events that wait for a seal.
#[utoipa::path(
    get, path = "/audit/checkpoints", operation_id = "exportAudit", tag = "audit",
    params(
        ("checkpoint" = Option<u64>, Query, description = "Behind this checkpoint."),
        ("event" = Option<i64>, Query, description = "Behind this event."),
    ),
    responses((status = 200, description = "A part of it.", body = show::CheckpointPart), Problems)
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
