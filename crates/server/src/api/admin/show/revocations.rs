//! The response to an act that takes something away, or to its dry run: one form for every
//! such act.

use super::{taken::Taken, time, tokens::Token};
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
use tegata_token::id::{AssertionKeyId, ChannelId, Group};
use utoipa::ToSchema;

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

/// An assertion key that an actor registered.
#[derive(Serialize, ToSchema)]
pub struct CreatedKey {
    #[schema(value_type = schema::ChannelId)]
    channel_id: ChannelId,
    #[schema(value_type = schema::AssertionKeyId)]
    kid: AssertionKeyId,
    /// The group that it is bound to.
    #[schema(required, value_type = Option<schema::Group>)]
    group: Option<Group>,
    /// Null if it was deleted before.
    #[schema(required, value_type = Option<schema::Time>)]
    created_at: Option<String>,
    #[schema(required, value_type = Option<schema::Time>)]
    last_used_at: Option<String>,
}

impl From<admin::CreatedKey> for CreatedKey {
    fn from(it: admin::CreatedKey) -> Self {
        let row = it.row.as_ref();
        Self {
            channel_id: it.channel,
            kid: it.id,
            group: row.and_then(|row| row.group.clone()),
            created_at: row.and_then(|row| time(row.created_at)),
            last_used_at: row.and_then(|row| row.last_used_at).and_then(time),
        }
    }
}

/// What a revocation over channels took away.
#[derive(Serialize, ToSchema)]
pub struct RevokedAnywhere {
    #[serde(flatten)]
    taken: Taken,
    /// The assertion keys that were deleted; with `created_by` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<CreatedKey>>,
}

/// What a revocation over channels would take away. Nothing was changed.
#[derive(Serialize, ToSchema)]
pub struct DryRunAnywhere {
    #[serde(flatten)]
    would: DryRun,
    /// The assertion keys that would be deleted; with `created_by` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<CreatedKey>>,
}

/// The response to revoking what an actor created.
pub fn created_by(it: Outcome<Vec<admin::CreatedKey>>) -> Response {
    let keys = |keys: Vec<admin::CreatedKey>| Some(keys.into_iter().map(Into::into).collect());
    match it {
        Outcome::Done(found, taken) => {
            let body = RevokedAnywhere { taken: taken.into(), keys: keys(found) };
            (StatusCode::CREATED, Json(body)).into_response()
        }
        Outcome::DryRun(mut found) => {
            let keys = keys(found.created_keys.take().unwrap_or_default());
            Json(DryRunAnywhere { would: found.into(), keys }).into_response()
        }
    }
}

/// The result of a deletion, or of its dry run.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Deleted {
    Done(Taken),
    Rehearsed(DryRun),
}

/// The result of deleting a secret, or of its dry run.
#[derive(Serialize, ToSchema)]
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
    Json(match it {
        Outcome::Done((), taken) => Deleted::Done(taken.into()),
        Outcome::DryRun(found) => Deleted::Rehearsed(found.into()),
    })
    .into_response()
}

/// The response to the deletion of a secret, or to its dry run.
pub fn deleted_secret(it: Outcome<()>) -> Response {
    Json(match it {
        Outcome::Done((), taken) => DeletedSecret::Done(taken.into()),
        Outcome::DryRun(found) => {
            let previous_in_use = found.previous_in_use.unwrap_or_default();
            DeletedSecret::Rehearsed(SecretDryRun { would: found.into(), previous_in_use })
        }
    })
    .into_response()
}
