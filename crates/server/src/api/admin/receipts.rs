//! Receipts of acts that took something away.

use crate::api::{
    admin::{
        administrator::Administrator,
        problem::{Problem, Problems},
        read::{Ids, Query, Wait},
        schema, show,
    },
    header::accepts,
};
use crate::authority::{Authority, receipt::Receipt};
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header};
use serde::Deserialize;
use std::time::Duration;
use tegata_token::id::Position;
use utoipa::IntoParams;

/// How to wait for a receipt.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Waiting {
    /// Maximum time to wait until the receipt is complete.
    #[serde(default)]
    #[param(value_type = u8, required = false, minimum = 0, maximum = 60, default = 0)]
    wait_seconds: Wait,
}

/// The media type of a signed receipt, and its `typ`.
pub const SIGNED: (&str, &str) = ("application/jwt", "receipt+jwt");

/// Show the receipt of the act at a position: which instances of verifiers have applied it.
///
/// With `Accept: application/jwt` it is signed with the active signing key, as a JWT with
/// `typ` `receipt+jwt` and the same members as claims. Evictions have no receipt.
#[utoipa::path(
    get, path = "/receipts/{position}", operation_id = "showReceipt", tag = "verifiers",
    params(
        ("position" = schema::Position, Path, description = "The position of the act."),
        Waiting,
    ),
    responses(
        (status = 200, description = "The receipt.", content(
            (show::Receipt = "application/json"),
            (String = "application/jwt"),
        )),
        Problems,
    )
)]
pub async fn show(
    who: Administrator,
    Ids(position): Ids<Position>,
    Query(waiting): Query<Waiting>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wait = Duration::from_secs(waiting.wait_seconds.get().unsigned_abs());
    let receipt = who.admin.receipt(position, wait).await?;
    if !accepts(&headers, SIGNED.0) {
        return Ok(Json(show::Receipt::from(receipt)).into_response());
    }
    let signed = signed(who.admin.authority(), receipt)?;
    Ok(([(header::CONTENT_TYPE, SIGNED.0)], signed).into_response())
}

/// A receipt as a JWT, signed with the active signing key.
///
/// # Errors
/// [`Unavailable`](tegata_store::Error::Unavailable).
pub fn signed(authority: &Authority, receipt: Receipt) -> Result<String, tegata_store::Error> {
    // Strings, numbers and lists can always be written.
    let claims = serde_json::to_value(show::Receipt::from(receipt)).unwrap_or_default();
    authority.statement(SIGNED.1, claims)
}
