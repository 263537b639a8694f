//! The audit, as the API shows it.

use super::time::time;
use crate::api::admin::schema;
use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::Value;
use tegata_store::AuditRow;
use tegata_token::{
    id::{ChannelId, Position, ProviderId},
    time::UnixTime,
};
use utoipa::ToSchema;

/// An audit event: the actor, the act, the time and the source.
#[derive(Serialize, ToSchema)]
pub struct Event {
    id: i64,
    #[schema(required, value_type = Option<schema::Time>)]
    at: Option<String>,
    #[schema(example = "administrator")]
    actor: String,
    /// The address that the request came from, if it came over the network.
    #[schema(required)]
    source: Option<String>,
    /// The name of the act: a noun and a verb.
    #[schema(example = "channel.suspend")]
    act: String,
    #[schema(required, value_type = Option<schema::ProviderId>)]
    provider_id: Option<ProviderId>,
    #[schema(required, value_type = Option<schema::ChannelId>)]
    channel_id: Option<ChannelId>,
    /// The reason that the actor gave, if any.
    #[schema(required, value_type = Option<String>)]
    reason: Option<Value>,
    /// The id of the request, as in its response's `x-line-request-id` and in the log.
    #[schema(required, value_type = Option<String>)]
    request_id: Option<Value>,
    /// Further details of the act.
    #[schema(value_type = Object)]
    detail: Value,
    /// The position of its change in the change log, if it made one.
    #[schema(required, value_type = Option<schema::Position>)]
    position: Option<Position>,
}

impl From<&AuditRow> for Event {
    fn from(it: &AuditRow) -> Self {
        // They have members of their own, so they are removed from the details.
        let mut detail = it.detail.clone();
        let mut taken = |name| detail.as_object_mut().and_then(|members| members.remove(name));
        let (reason, request_id) = (taken("reason"), taken("request_id"));
        Self {
            id: it.id,
            at: time(it.at),
            actor: it.actor.clone(),
            source: it.source.clone(),
            act: it.act.clone(),
            provider_id: it.provider,
            channel_id: it.channel,
            reason,
            request_id,
            detail,
            position: it.position,
        }
    }
}

page! { #[doc = "A page of audit events."] Events, events: Event }

/// The result of verifying the audit.
#[derive(Serialize, ToSchema)]
pub struct AuditReport {
    /// Whether no problem was found.
    ok: bool,
    /// Whether the newest checkpoint is known to be the newest one ever made: `confirmed`
    /// by the anchor outside of the database, or `unconfirmed`; `ok` is false then.
    #[schema(value_type = String, example = "confirmed")]
    end: tegata_store::audit::AuditEnd,
    /// The number of events.
    events: u64,
    /// The number of checkpoints.
    checkpoints: u64,
    /// The number of events that wait for a checkpoint; they are not protected yet.
    pending: u64,
    /// Events before this checkpoint's were, or may have been, deleted.
    kept_from: u64,
    /// The public key that checkpoints are verified with: Ed25519, in hex digits.
    public_key: String,
    /// What is wrong.
    problems: Vec<AuditProblem>,
    /// Notes that prove nothing, but that the operator should read.
    notices: Vec<String>,
}

/// A mismatch between the audit and its checkpoints.
#[derive(Serialize, ToSchema)]
pub struct AuditProblem {
    /// A description of the problem.
    what: String,
    /// The checkpoint at which it was found.
    #[schema(required)]
    checkpoint: Option<u64>,
}

impl AuditReport {
    pub fn of(it: tegata_store::audit::AuditReport, key: &tegata_token::key::VerifyingKey) -> Self {
        let problem = |it: tegata_store::audit::AuditProblem| AuditProblem {
            what: it.what,
            checkpoint: it.checkpoint,
        };
        Self {
            ok: it.ok,
            end: it.end,
            events: it.events,
            checkpoints: it.checkpoints,
            pending: it.pending,
            kept_from: it.kept_from,
            public_key: HEXLOWER.encode(&key.to_bytes()),
            problems: it.problems.into_iter().map(problem).collect(),
            notices: it.notices,
        }
    }
}

/// A checkpoint, and the events that it covers.
#[derive(Serialize, ToSchema)]
pub struct CheckpointPart {
    /// The events, unaltered.
    #[schema(value_type = Vec<Object>)]
    rows: Vec<tegata_store::audit::RawAuditRow>,
    /// The checkpoint; null behind the last one.
    #[schema(required, value_type = Option<Object>)]
    checkpoint: Option<tegata_store::audit::Checkpoint>,
    /// The public key that checkpoints are verified with: Ed25519, in hex digits.
    public_key: String,
}

impl CheckpointPart {
    pub fn of(it: tegata_store::Batch, key: &tegata_token::key::VerifyingKey) -> Self {
        let public_key = HEXLOWER.encode(&key.to_bytes());
        Self { rows: it.rows, checkpoint: it.checkpoint, public_key }
    }
}

/// When the whole audit was last verified since the server's start.
#[derive(Serialize, ToSchema)]
pub struct AuditVerification {
    /// Null: not yet.
    #[schema(required, value_type = Option<schema::Time>)]
    verified_at: Option<String>,
    /// Whether it was as its checkpoints say.
    #[schema(required)]
    ok: Option<bool>,
}

impl From<Option<(UnixTime, bool)>> for AuditVerification {
    fn from(last: Option<(UnixTime, bool)>) -> Self {
        let (at, ok) = last.unzip();
        Self { verified_at: at.and_then(time), ok }
    }
}
