//! What an act took away, or would take away: one form for every act that takes something
//! away.

use super::{Receipt, Token};
use crate::{
    api::admin::schema,
    authority::admin::{self, Outcome},
};
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Serialize;
use tegata_token::id::{ChannelId, Position};
use utoipa::ToSchema;

/// What an act took away, and which verifiers have applied it.
#[derive(Serialize, ToSchema)]
pub struct Taken {
    /// The number of active stored tokens that became invalid; 1 for a stateless token
    /// that was given by its text.
    revoked: usize,
    /// True if the scope includes stateless tokens, else absent. They have no rows, so
    /// they cannot be counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    stateless_too: Option<bool>,
    /// The position of the act in the change log.
    #[schema(value_type = schema::Position)]
    position: Position,
    receipt: Receipt,
}

impl From<admin::TakenAway> for Taken {
    fn from(it: admin::TakenAway) -> Self {
        Self {
            revoked: it.tokens,
            stateless_too: it.stateless_too.then_some(true),
            position: it.receipt.position,
            receipt: it.receipt.into(),
        }
    }
}

/// What an act would take away. Nothing was changed.
#[derive(Serialize, ToSchema)]
pub struct DryRun {
    /// True.
    dry_run: bool,
    /// The number of active stored tokens that would become invalid; 1 for a stateless
    /// token that was given by its text.
    revoked: usize,
    /// True if the scope includes stateless tokens, else absent. They have no rows, so
    /// they cannot be counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    stateless_too: Option<bool>,
    /// Those tokens, newest first, at most 100.
    tokens: Vec<TokenToGo>,
    /// How many there are beyond.
    more: usize,
}

/// A token that would become invalid.
#[derive(Serialize, ToSchema)]
pub struct TokenToGo {
    #[serde(flatten)]
    token: Token,
    /// Its channel, if the act spans channels, else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::ChannelId>)]
    channel_id: Option<ChannelId>,
}

impl From<admin::DryRun> for DryRun {
    fn from(it: admin::DryRun) -> Self {
        let more = it.tokens.saturating_sub(it.rows.len());
        let row = |(channel_id, row): (_, tegata_store::TokenRow)| TokenToGo {
            token: (&row).into(),
            channel_id,
        };
        Self {
            dry_run: true,
            revoked: it.tokens,
            stateless_too: it.stateless_too.then_some(true),
            tokens: it.rows.into_iter().map(row).collect(),
            more,
        }
    }
}

/// The result of a dry run of replacing or deleting a secret.
#[derive(Serialize, ToSchema)]
pub struct SecretDryRun {
    #[serde(flatten)]
    would: DryRun,
    /// Whether the previous secret is still accepted and was used within the last hour.
    previous_in_use: bool,
}

/// The result of a deletion, or of its dry run.
#[derive(Serialize, ToSchema)]
#[expect(dead_code, reason = "describes the two forms of one status")]
#[serde(untagged)]
pub enum Deleted {
    Done(Taken),
    Rehearsed(DryRun),
}

/// The result of deleting a secret, or of its dry run.
#[derive(Serialize, ToSchema)]
#[expect(dead_code, reason = "describes the two forms of one status")]
#[serde(untagged)]
pub enum DeletedSecret {
    Done(Taken),
    Rehearsed(SecretDryRun),
}

/// The response to an act: with `status` what `done` renders, or 200 with what it would
/// take away.
pub fn outcome<T, S: Serialize>(
    status: StatusCode,
    outcome: Outcome<T>,
    done: impl FnOnce(T, Taken) -> S,
) -> Response {
    match outcome {
        Outcome::Done(it, taken) => (status, Json(done(it, taken.into()))).into_response(),
        Outcome::DryRun(found) => match found.previous_in_use {
            Some(previous_in_use) => {
                Json(SecretDryRun { would: found.into(), previous_in_use }).into_response()
            }
            None => Json(DryRun::from(found)).into_response(),
        },
    }
}

/// The response to a deletion, or to its dry run.
pub fn deleted(it: Outcome<()>) -> Response {
    outcome(StatusCode::OK, it, |(), taken| taken)
}
