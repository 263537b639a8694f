//! The audit: its events, its verification and its export.

use crate::api::admin::{
    administrator::Administrator,
    problem::{Problem, Problems},
    read::{Limit, Line, Part, Query, Whole, invalid, moment, parsed},
    schema, show,
};
use axum::Json;
use serde::Deserialize;
use std::net::IpAddr;
use tegata_store::{AuditFilter, audit_event::AuditAct};
use tegata_token::id::{ChannelId, Group, ProviderId, TokenId};
use utoipa::IntoParams;

/// Which audit events to list, and the page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Only events of this channel.
    #[param(value_type = Option<schema::ChannelId>)]
    channel: Option<ChannelId>,
    /// Only events of this provider and its channels.
    #[param(value_type = Option<schema::ProviderId>)]
    provider: Option<ProviderId>,
    /// Only acts on a group of this name.
    #[param(value_type = Option<schema::Group>)]
    group: Option<Group>,
    /// Only acts on this token alone.
    #[param(value_type = Option<schema::TokenId>)]
    token: Option<TokenId>,
    /// Only acts of this actor.
    #[param(value_type = Option<String>, min_length = 1, max_length = 100, example = "administrator")]
    actor: Option<Line<100>>,
    /// Only this act.
    #[param(example = "channel.suspend")]
    act: Option<String>,
    /// Only acts that were requested from this IP address.
    source: Option<String>,
    /// Only events from this time on (RFC 3339).
    #[param(example = "2026-11-26T09:00:00Z")]
    since: Option<String>,
    /// Only events before this time (RFC 3339).
    #[param(example = "2026-11-27T09:00:00Z")]
    until: Option<String>,
    /// Continue behind this cursor, which the previous page returned as `next`.
    #[param(value_type = Option<schema::Cursor>)]
    after: Option<String>,
    /// Maximum number of rows.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<Limit>,
}

impl Wanted {
    /// The filter, and the page.
    fn split(self) -> Result<(AuditFilter, Part), Problem> {
        let source: Option<IpAddr> = parsed("source", self.source, "an IP address")?;
        let filter = AuditFilter {
            channel: self.channel,
            provider: self.provider,
            group: self.group,
            token: self.token,
            actor: self.actor.map(|it| it.0),
            act: self.act.map(act).transpose()?,
            source: source.map(|it| it.to_canonical()),
            since: moment("since", self.since)?,
            until: moment("until", self.until)?,
            seen: None,
        };
        Ok((filter, Part::new(self.after, self.limit)))
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

/// List audit events, newest first.
///
/// Every filter that is given must fit. An id that nothing has finds nothing.
#[utoipa::path(
    get, path = "/audit", operation_id = "listAuditEvents", tag = "audit",
    params(Wanted),
    responses((status = 200, description = "A page of events.", body = show::Events), Problems)
)]
pub async fn list(
    who: Administrator,
    Query(wanted): Query<Wanted>,
) -> Result<Json<show::Events>, Problem> {
    let (filter, part) = wanted.split().map_err(Problem::in_query)?;
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

/// Show when the whole audit was last verified, by a call or by the daily job.
#[utoipa::path(
    get, path = "/audit/last-verification", operation_id = "lastAuditVerification", tag = "audit",
    responses((status = 200, description = "The last verification.", body = show::AuditVerification),
              Problems)
)]
pub async fn last_verification(
    who: Administrator,
    Query(()): Query<()>,
) -> Result<Json<show::AuditVerification>, Problem> {
    Ok(Json(who.admin.last_audit_verification()?.into()))
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
