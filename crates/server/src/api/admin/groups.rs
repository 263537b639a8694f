//! Groups: listed, changed, and deleted. A group is created by its first token or key.

use crate::api::admin::{
    administrator::Administrator,
    channels,
    problem::{Problem, Problems},
    read::{Body, DryRun, FromMembers, Ids, Members, Part, Query},
    schema, show,
};
use axum::{Json, response::Response};
use tegata_store::GroupPatch;
use tegata_token::id::{ChannelId, Group};

/// The syntax of a group's name.
pub const NAME: &str = "1 to 64 of a-z A-Z 0-9 . _ -, and not . or ..";

/// List a channel's groups.
#[utoipa::path(
    get, path = "/channels/{channel}/groups", operation_id = "listGroups", tag = "groups",
    params(("channel" = schema::ChannelId, Path, description = "The channel."), Part),
    responses((status = 200, description = "A page of groups.", body = show::Groups), Problems)
)]
pub async fn list(
    who: Administrator,
    Ids(channel): Ids<ChannelId>,
    Query(part): Query<Part>,
) -> Result<Json<show::Groups>, Problem> {
    let groups = who.admin.groups(channel).await?;
    let (groups, next) = part.cut(groups, |row| row.group.to_string())?;
    Ok(show::Groups::of(&groups, next))
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

/// Change a group's settings.
///
/// Absent members leave their settings unchanged; null sets the channel's setting.
#[utoipa::path(
    patch, path = "/channels/{channel}/groups/{group}", operation_id = "changeGroup",
    tag = "groups",
    params(
        ("channel" = schema::ChannelId, Path, description = "The channel."),
        ("group" = schema::Group, Path, description = "The group."),
    ),
    request_body = schema::GroupChange,
    responses((status = 200, description = "The group as it is now.", body = show::TokenGroup),
              Problems)
)]
pub async fn change(
    who: Administrator,
    Ids((channel, group)): Ids<(ChannelId, Group)>,
    Body(patch): Body<GroupPatch>,
) -> Result<Json<show::TokenGroup>, Problem> {
    Ok(Json((&who.admin.change_group(channel, group, patch).await?).into()))
}

/// Delete a group: its settings and its keys are deleted, its tokens revoked.
#[utoipa::path(
    delete, path = "/channels/{channel}/groups/{group}", operation_id = "deleteGroup",
    tag = "groups",
    params(
        ("channel" = schema::ChannelId, Path, description = "The channel."),
        ("group" = schema::Group, Path, description = "The group."),
        DryRun,
    ),
    responses(
        (status = 204, description = "The group is deleted."),
        (status = 200, description = "The result of a dry run.", body = show::Revocation),
        Problems,
    )
)]
pub async fn delete(
    who: Administrator,
    Ids((channel, group)): Ids<(ChannelId, Group)>,
    Query(DryRun { dry_run }): Query<DryRun>,
) -> Result<Response, Problem> {
    Ok(show::deleted(who.admin.delete_group(channel, group, dry_run).await?))
}
