//! Groups: listed, given rules of their own, and deleted. They come into being
//! with their first token or key.

use crate::face::admin::{
    Administrator, channels,
    problem::Problem,
    read::{Body, FromMembers, Ids, Members, Query},
    show,
};
use axum::Json;
use http::StatusCode;
use serde_json::Value;
use tegata_store::{GroupPatch, GroupRow};
use tegata_token::id::{ChannelId, Group};

/// What a group's name must be.
pub const NAME: &str = "1 to 64 of a-z A-Z 0-9 . _ -";

pub async fn list(
    who: Administrator,
    Ids(channel): Ids<ChannelId>,
    Query(()): Query<()>,
) -> Result<Json<Value>, Problem> {
    who.channel(channel).await?;
    let groups = who.authority.store().groups(channel, who.authority.now()).await?;
    Ok(Json(show::list("groups", groups.iter().map(show::group).collect(), None)))
}

impl FromMembers for GroupPatch {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        Ok(Self {
            cap: members.or_null("cap", channels::cap)?,
            when_full: members.or_null("when_full", channels::when_full)?,
            contact: members.or_null("contact", |members, name| members.line(name, 200))?,
        })
    }
}

/// What is absent stays, what is null goes back to the channel's rule.
pub async fn change(
    who: Administrator,
    Ids((channel, group)): Ids<(ChannelId, Group)>,
    Body(patch): Body<GroupPatch>,
) -> Result<Json<Value>, Problem> {
    let store = who.authority.store();
    let settings = store.set_group(channel, group.clone(), patch, who.by(None)).await?;
    let groups = store.groups(channel, who.authority.now()).await?;
    let row = groups.into_iter().find(|it| it.group == group);
    // Without settings, tokens and keys there is no row.
    let row = row.unwrap_or(GroupRow { group, settings, live_tokens: 0, assertion_keys: 0 });
    Ok(Json(show::group(&row)))
}

pub async fn delete(
    who: Administrator,
    Ids((channel, group)): Ids<(ChannelId, Group)>,
    Query(()): Query<()>,
) -> Result<StatusCode, Problem> {
    who.authority.store().delete_group(channel, group, who.by(None)).await?;
    Ok(StatusCode::NO_CONTENT)
}
