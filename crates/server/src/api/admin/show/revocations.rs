//! The result of a revocation or of its dry run: one form for every act that takes
//! something away.

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
use tegata_token::id::Position;
use utoipa::ToSchema;

/// The result of a revocation, or of a dry run.
#[derive(Serialize, ToSchema)]
pub struct Revocation {
    /// The number of active stored tokens that were revoked; 1 for a stateless token that
    /// was given by its text.
    revoked: usize,
    /// True if the scope includes stateless tokens, else absent. They have no rows, so
    /// they cannot be counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    stateless_too: Option<bool>,
    #[schema(value_type = schema::Position)]
    position: Position,
    receipt: Receipt,
    /// True if nothing was changed, else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<bool>,
}

/// The result of a dry run of replacing or deleting a secret.
#[derive(Serialize, ToSchema)]
pub struct SecretDryRun {
    #[serde(flatten)]
    revocation: Revocation,
    /// Whether the previous secret is still accepted and was used within the last hour.
    previous_in_use: bool,
}

impl From<admin::SecretDryRun> for SecretDryRun {
    fn from(it: admin::SecretDryRun) -> Self {
        Self { revocation: it.revocation.into(), previous_in_use: it.previous_in_use }
    }
}

/// Which verifiers have acknowledged a revocation.
#[derive(Serialize, ToSchema)]
pub struct Receipt {
    /// Whether every verifier has, so that none accepts the tokens any more.
    complete: bool,
    verifiers: Vec<Verifier>,
}

/// The acknowledgement of one verifier.
#[derive(Serialize, ToSchema)]
pub struct Verifier {
    name: String,
    instance: String,
    state: String,
    #[schema(required, value_type = Option<schema::Time>)]
    acknowledged_at: Option<String>,
}

impl From<admin::Revocation> for Revocation {
    fn from(it: admin::Revocation) -> Self {
        Self {
            revoked: it.tokens,
            stateless_too: it.stateless_too.then_some(true),
            position: it.position,
            receipt: Receipt { complete: it.receipt.complete, verifiers: Vec::new() },
            dry_run: it.dry_run.then_some(true),
        }
    }
}

/// The response to a dry run.
pub fn dry_run(found: admin::Revocation) -> Response {
    Json(Revocation::from(found)).into_response()
}

/// The response to a deletion, or to its dry run.
pub fn deleted(outcome: Outcome<()>) -> Response {
    match outcome {
        Outcome::Done(()) => StatusCode::NO_CONTENT.into_response(),
        Outcome::DryRun(found) => dry_run(found),
    }
}
