//! What is about to end, lies unused, or is used though it was replaced.

use crate::{
    api::admin::{
        administrator::Administrator,
        problem::{Problem, Problems},
        read::{Part, PartOf, Query},
        schema, show,
    },
    authority::warnings::{Policy, find},
};
use axum::Json;
use tegata_store::Holding;
use tegata_token::time::UnixTime;

/// So many channels are looked through for one answer; where there are more, `next`
/// says where to go on, also behind an empty page.
const CHANNELS: usize = 2_000;

/// List warnings, in the order of the channels' ids: they have no age to be sorted by.
#[utoipa::path(
    get, path = "/warnings", operation_id = "listWarnings", tag = "warnings",
    params(
        ("channel" = Option<schema::ChannelId>, Query,
         description = "Only what concerns this channel."),
        Part,
    ),
    responses((status = 200, description = "A page of them.", body = show::Warnings), Problems)
)]
pub async fn list(
    who: Administrator,
    Query(PartOf { channel, part }): Query<PartOf>,
) -> Result<Json<show::Warnings>, Problem> {
    let now = who.authority.now();
    let store = who.authority.store();
    if let Some(id) = channel {
        let holding = who.holding(id).await?;
        let warnings = shown(&holding, &who.warn, now);
        return Ok(Json(show::Warnings { warnings, next: None }));
    }
    let most = part.limit();
    let (mut warnings, mut after, mut looked) = (Vec::new(), part.after()?, 0);
    let next = loop {
        let slice = store.holdings(after, most.min(200), now).await?;
        let Some(last) = slice.last() else { break None };
        (after, looked) = (Some(last.channel.id), looked + slice.len());
        warnings.extend(slice.iter().flat_map(|holding| shown(holding, &who.warn, now)));
        if warnings.len() >= most || looked >= CHANNELS {
            break after;
        }
    };
    Ok(Json(show::Warnings { warnings, next: next.map(|id| id.to_string()) }))
}

fn shown(holding: &Holding, policy: &Policy, now: UnixTime) -> Vec<show::Warning> {
    find(holding, policy, now).iter().map(|it| show::Warning::of(it, holding)).collect()
}
