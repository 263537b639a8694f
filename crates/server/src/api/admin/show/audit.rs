//! The audit.

use super::time::time;
use crate::api::admin::schema;
use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::Value;
use tegata_store::AuditRow;
use tegata_token::id::{ChannelId, Position, ProviderId};
use utoipa::ToSchema;

/// An audit event: who did what, when, from where.
#[derive(Serialize, ToSchema)]
pub struct Event {
    id: i64,
    #[schema(required, value_type = Option<schema::Time>)]
    at: Option<String>,
    #[schema(example = "administrator")]
    actor: String,
    /// The address that it came from, if from the network.
    #[schema(required)]
    source: Option<String>,
    /// A noun and a verb.
    #[schema(example = "channel.suspend")]
    act: String,
    #[schema(required, value_type = Option<schema::ProviderId>)]
    provider_id: Option<ProviderId>,
    #[schema(required, value_type = Option<schema::ChannelId>)]
    channel_id: Option<ChannelId>,
    /// Why, if they said.
    #[schema(required, value_type = Option<String>)]
    reason: Option<Value>,
    /// What else there is to say.
    #[schema(value_type = Object)]
    detail: Value,
    /// Its place in the change log, if it wrote to it.
    #[schema(required, value_type = Option<schema::Position>)]
    position: Option<Position>,
}

impl From<&AuditRow> for Event {
    fn from(it: &AuditRow) -> Self {
        // The reason that somebody gave stands beside what was done.
        let mut detail = it.detail.clone();
        let reason = detail.as_object_mut().and_then(|members| members.remove("reason"));
        Self {
            id: it.id,
            at: time(it.at),
            actor: it.actor.clone(),
            source: it.source.clone(),
            act: it.act.clone(),
            provider_id: it.provider,
            channel_id: it.channel,
            reason,
            detail,
            position: it.position,
        }
    }
}

page! { #[doc = "A page of audit events."] Events, events: Event }

/// What a check of the audit found.
#[derive(Serialize, ToSchema)]
pub struct AuditReport {
    /// Whether nothing was found wrong.
    ok: bool,
    /// Whether the newest checkpoint is known to be the newest there was: `confirmed` by
    /// the anchor outside of the database, or `unconfirmed`, and then `ok` is false.
    #[schema(value_type = String, example = "confirmed")]
    end: tegata_store::audit::AuditEnd,
    /// How many events there are.
    events: u64,
    /// How many checkpoints.
    checkpoints: u64,
    /// How many events wait for a seal; nothing vouches for them yet.
    pending: u64,
    /// Events of checkpoints before this one were, or may have been, deleted.
    kept_from: u64,
    /// What checkpoints are checked with: an Ed25519 key, in hex digits.
    public_key: String,
    /// What is wrong.
    problems: Vec<AuditProblem>,
    /// What is no proof of anything, and should be known.
    notices: Vec<String>,
}

/// Something that is not as it was sealed.
#[derive(Serialize, ToSchema)]
pub struct AuditProblem {
    /// What, in words.
    what: String,
    /// At which checkpoint.
    #[schema(required)]
    checkpoint: Option<u64>,
}

impl AuditReport {
    pub fn of(it: tegata_store::audit::AuditReport, key: &tegata_token::key::VerifyingKey) -> Self {
        let problem = |it: tegata_store::audit::Problem| AuditProblem {
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

/// A checkpoint, and the events that it seals.
#[derive(Serialize, ToSchema)]
pub struct CheckpointPart {
    /// The events, to the letter.
    #[schema(value_type = Vec<Object>)]
    rows: Vec<tegata_store::audit::RawAuditRow>,
    /// The checkpoint; null behind the last one.
    #[schema(required, value_type = Option<Object>)]
    checkpoint: Option<tegata_store::audit::Checkpoint>,
    /// What checkpoints are checked with: an Ed25519 key, in hex digits.
    public_key: String,
}

impl CheckpointPart {
    pub fn of(it: tegata_store::Batch, key: &tegata_token::key::VerifyingKey) -> Self {
        let public_key = HEXLOWER.encode(&key.to_bytes());
        Self { rows: it.rows, checkpoint: it.checkpoint, public_key }
    }
}
