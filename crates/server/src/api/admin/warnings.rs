//! What is about to expire, is unused, or is used though it was replaced.

use crate::api::admin::{
    administrator::Administrator,
    problem::{Problem, Problems},
    read::{Body, PartOf, Query},
    show,
};
use axum::Json;

/// List warnings, in the order of the channels' ids, since warnings have no age to sort
/// by.
#[utoipa::path(
    get, path = "/warnings", operation_id = "listWarnings", tag = "warnings",
    params(PartOf),
    responses((status = 200, description = "A page of warnings.", body = show::Warnings), Problems)
)]
pub async fn list(
    who: Administrator,
    Query(part): Query<PartOf>,
) -> Result<Json<show::Warnings>, Problem> {
    let (channel, part) = part.split();
    let is_first = channel.is_none() && part.after::<String>()?.is_none();
    let found = match channel {
        Some(channel) => who.admin.warnings_of(channel).await?,
        None => who.admin.warnings(part.after()?, part.limit()).await?,
    };
    let shown = found.of_channels.iter().flat_map(|(holding, warnings)| {
        warnings.iter().map(|warning| show::Warning::of(warning, holding))
    });
    let next = found.next.map(|id| id.to_string());
    let silent = if is_first { who.admin.silent_instances()? } else { Vec::new() };
    let verifiers = silent.iter().map(show::VerifierWarning::from).collect();
    Ok(Json(show::Warnings { warnings: shown.collect(), verifiers, next }))
}

/// Send a test warning to the webhook now, once.
///
/// The response tells whether the receiver accepted it. 409 if there is no webhook.
#[utoipa::path(
    post, path = "/warnings/test", operation_id = "testWebhook", tag = "warnings",
    responses((status = 200, description = "The result of the delivery.", body = show::TestDelivery),
              Problems)
)]
pub async fn test(
    who: Administrator,
    Body(()): Body<()>,
) -> Result<Json<show::TestDelivery>, Problem> {
    Ok(Json(who.admin.test_webhook().await?.into()))
}
