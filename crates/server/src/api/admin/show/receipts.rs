//! Receipts, as the API shows them.

use super::time::time;
use crate::{
    api::admin::schema,
    authority::receipt::{self, InstanceState, ReceiptState},
};
use serde::Serialize;
use tegata_token::id::Position;
use utoipa::ToSchema;

/// Which instances of verifiers have applied an act that takes something away.
#[derive(Serialize, ToSchema)]
pub struct Receipt {
    #[schema(value_type = schema::ReceiptState)]
    state: ReceiptState,
    /// The position of the act's last change in the change log.
    #[schema(value_type = schema::Position)]
    position: Position,
    /// From then on nothing accepts what was taken away, if the receipt is complete.
    #[schema(required, value_type = Option<schema::Time>)]
    effective_at: Option<String>,
    /// The instances of verifiers that must apply it.
    verifiers: Vec<InstanceReceipt>,
}

/// One instance's part of a receipt.
#[derive(Serialize, ToSchema)]
pub struct InstanceReceipt {
    /// The name of its verifier.
    name: String,
    instance: String,
    #[schema(value_type = schema::InstanceState)]
    state: InstanceState,
    #[schema(required, value_type = Option<schema::Time>)]
    acknowledged_at: Option<String>,
    /// Why it cannot apply the position, or who removed it.
    #[schema(required)]
    detail: Option<String>,
}

impl From<receipt::Receipt> for Receipt {
    fn from(it: receipt::Receipt) -> Self {
        Self {
            state: it.state,
            position: it.position,
            effective_at: time(it.effective_at),
            verifiers: it.verifiers.into_iter().map(InstanceReceipt::from).collect(),
        }
    }
}

impl From<receipt::InstanceReceipt> for InstanceReceipt {
    fn from(it: receipt::InstanceReceipt) -> Self {
        Self {
            name: it.name,
            instance: it.instance,
            state: it.state,
            acknowledged_at: it.acknowledged_at.and_then(time),
            detail: it.detail,
        }
    }
}
