//! What an act took away: one form for every act that takes something away.

use super::receipts::Receipt;
use crate::{api::admin::schema, authority::admin};
use serde::Serialize;
use tegata_token::id::Position;
use utoipa::ToSchema;

/// What an act took away, and which verifiers have applied it.
#[derive(Serialize, ToSchema)]
pub struct Taken {
    /// The number of active stored tokens that became invalid; 1 for a stateless token
    /// that was given by its text. `null`: all tokens of a signing key became invalid, and
    /// there are too many to be counted before the response; or all tokens of a provider did,
    /// and another server that shares the store took the last step.
    #[schema(required)]
    revoked: Option<usize>,
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
