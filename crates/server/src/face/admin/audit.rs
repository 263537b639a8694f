//! Who changed what.

use crate::face::admin::{
    Administrator,
    problem::Problem,
    read::{FromMembers, Members, Part, Query},
    show,
};
use axum::Json;
use serde_json::Value;
use tegata_token::id::ChannelId;

pub struct Wanted {
    channel: Option<ChannelId>,
    part: Part,
}

impl FromMembers for Wanted {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        let channel = members.take("channel", "a channel id, exactly ten digits")?;
        Ok(Self { channel, part: Part::from_members(members)? })
    }
}

pub async fn list(
    who: Administrator,
    Query(Wanted { channel, part }): Query<Wanted>,
) -> Result<Json<Value>, Problem> {
    let rows = who.authority.store().audit(channel, part.page()).await?;
    let (rows, next) = part.split(rows.into_iter().map(|row| (row.id, row)).collect());
    Ok(Json(show::list("events", rows.iter().map(show::event).collect(), next)))
}
