//! The audit: its events, its verification and its export.

use crate::api::admin::{
    administrator::Administrator,
    problem::{Problem, Problems},
    read::{FromMembers, Members, Part, Query, invalid},
    schema, show,
};
use axum::Json;
use jiff::Timestamp;
use std::net::IpAddr;
use tegata_store::{AuditFilter, audit_event::AuditAct};
use tegata_token::time::UnixTime;

/// Which audit events to list, and the page.
pub struct Wanted {
    filter: AuditFilter,
    part: Part,
}

impl FromMembers for Wanted {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        let filter = AuditFilter {
            channel: members.take("channel", "a channel id, exactly ten digits")?,
            provider: members.take("provider", "a provider id, exactly ten digits")?,
            group: members.take("group", super::groups::NAME)?,
            token: members.take("token", "the id of a token")?,
            actor: members.line("actor", 100)?,
            act: members.take::<String>("act", "the name of an act")?.map(act).transpose()?,
            source: members.take("source", "an IP address")?.map(|it: IpAddr| it.to_canonical()),
            since: moment(members, "since")?,
            until: moment(members, "until")?,
        };
        Ok(Self { filter, part: Part::from_members(members)? })
    }
}

/// The act of this name; otherwise the error lists those that share its noun or its verb.
fn act(name: String) -> Result<AuditAct, Problem> {
    let words = |name: &'_ str| {
        let (noun, verb) = name.split_once('.').unwrap_or((name, ""));
        (noun.to_owned(), verb.to_owned())
    };
    let (noun, verb) = words(&name);
    let near = |act: &&AuditAct| words(act.name()).0 == noun || words(act.name()).1 == verb;
    AuditAct::of(&name).ok_or_else(|| {
        let mut like: Vec<_> = AuditAct::ALL.iter().filter(near).collect();
        if like.is_empty() {
            like.extend(AuditAct::ALL);
        }
        let like: Vec<_> = like.iter().map(|act| act.name()).collect();
        invalid("act", &format!("the name of an act; acts like it: {}", like.join(", ")))
    })
}

/// A time; events have whole seconds, so a fraction counts as the next second.
fn moment(members: &mut Members, name: &'static str) -> Result<Option<UnixTime>, Problem> {
    let what = "a time as RFC 3339 has it, such as 2026-11-26T09:00:00Z";
    let at: Option<Timestamp> = members.take(name, what)?;
    let up = |at: Timestamp| UnixTime(at.as_second() + i64::from(at.subsec_nanosecond() > 0));
    Ok(at.map(up))
}

/// List audit events, newest first.
///
/// Every filter that is given must fit. An id that nothing has finds nothing.
#[utoipa::path(
    get, path = "/audit", operation_id = "listAuditEvents", tag = "audit",
    params(
        ("channel" = Option<schema::ChannelId>, Query,
         description = "Only events of this channel."),
        ("provider" = Option<schema::ProviderId>, Query,
         description = "Only events of this provider and its channels."),
        ("group" = Option<schema::Group>, Query,
         description = "Only acts on a group of this name."),
        ("token" = Option<schema::TokenId>, Query, description = "Only acts on this token alone."),
        ("actor" = Option<String>, Query, description = "Only acts of this actor.",
         example = "administrator"),
        ("act" = Option<String>, Query, description = "Only this act.",
         example = "channel.suspend"),
        ("source" = Option<String>, Query,
         description = "Only acts that were requested from this IP address."),
        ("since" = Option<String>, Query,
         description = "Only events from this time on (RFC 3339).",
         example = "2026-11-26T09:00:00Z"),
        ("until" = Option<String>, Query, description = "Only events before this time (RFC 3339).",
         example = "2026-11-27T09:00:00Z"),
        Part,
    ),
    responses((status = 200, description = "A page of events.", body = show::Events), Problems)
)]
pub async fn list(
    who: Administrator,
    Query(Wanted { filter, part }): Query<Wanted>,
) -> Result<Json<show::Events>, Problem> {
    let rows = who.admin.audit(filter, part.page()?).await?;
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
