//! What applies to every channel: token rules, limits and times; and what happened lately.

use crate::api::admin::{
    administrator::Administrator,
    problem::{Problem, Problems},
    read::Query,
    show,
};
use axum::Json;

/// Show the token rules: what each kind may do, and how many of it a channel may have.
#[utoipa::path(
    get, path = "/token-rules", operation_id = "showTokenRules", tag = "settings",
    responses((status = 200, description = "The rules.", body = show::AllTokenRules), Problems)
)]
pub async fn token_rules(_: Administrator, Query(()): Query<()>) -> Json<show::AllTokenRules> {
    Json(show::AllTokenRules::current())
}

/// Show the limits and times that apply to every channel without settings of its own.
#[utoipa::path(
    get, path = "/settings", operation_id = "showSettings", tag = "settings",
    responses((status = 200, description = "The settings.", body = show::Settings), Problems)
)]
pub async fn settings(who: Administrator, Query(()): Query<()>) -> Json<show::Settings> {
    Json((&who.admin.settings()).into())
}

/// Show how many tokens were verified and issued in each minute of the last day.
///
/// Counted since the server's start; verifications by verifiers elsewhere are not included.
#[utoipa::path(
    get, path = "/activity", operation_id = "showActivity", tag = "settings",
    responses((status = 200, description = "The minutes, oldest first.", body = show::Activity), Problems)
)]
pub async fn activity(
    who: Administrator,
    Query(()): Query<()>,
) -> Result<Json<show::Activity>, Problem> {
    Ok(Json((&who.admin.activity()?[..]).into()))
}
