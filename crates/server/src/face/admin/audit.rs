//! Who changed what.

use crate::face::admin::{
    Administrator,
    problem::{Problem, Problems},
    read::{FromMembers, Members, Part, Query},
    schema, show,
};
use axum::Json;
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

/// List audit events, newest first.
#[utoipa::path(
    get, path = "/audit", operation_id = "listAuditEvents", tag = "audit",
    params(
        ("channel" = Option<schema::ChannelId>, Query,
         description = "Only what concerns this channel."),
        Part,
    ),
    responses((status = 200, description = "A page of them.", body = show::Events), Problems)
)]
pub async fn list(
    who: Administrator,
    Query(Wanted { channel, part }): Query<Wanted>,
) -> Result<Json<show::Events>, Problem> {
    let rows = who.authority.store().audit(channel, part.page()?).await?;
    let (rows, next) = part.split(rows.into_iter().map(|row| (row.id, row)).collect());
    Ok(show::Events::of(&rows, next))
}
