//! Groups: listed, changed, and deleted. A group is created by its first token or key.

use crate::api::admin::{
    administrator::Administrator,
    problem::{Problem, Problems},
    read::{Body, Deletion, GroupCap, Ids, Line, Part, Query, Whole},
    schema, show,
    tags::Tagged,
};
use axum::{Json, response::Response};
use serde::Deserialize;
use tegata_policy::rules::WhenFull;
use tegata_store::{GroupPatch, GroupRow, SettingsTag};
use tegata_token::id::{ChannelId, Group};
use utoipa::ToSchema;

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

/// Show a group.
///
/// A group without settings, keys and tokens is 404.
#[utoipa::path(
    get, path = "/channels/{channel}/groups/{group}", operation_id = "showGroup", tag = "groups",
    params(
        ("channel" = schema::ChannelId, Path, description = "The channel."),
        ("group" = schema::Group, Path, description = "The group."),
    ),
    responses((status = 200, description = "The group.", body = show::TokenGroup), Problems)
)]
pub async fn show(
    who: Administrator,
    Ids((channel, group)): Ids<(ChannelId, Group)>,
    Query(()): Query<()>,
) -> Result<Tagged<show::TokenGroup>, Problem> {
    Ok(tagged(&who.admin.group(channel, &group).await?))
}

fn tagged(row: &GroupRow) -> Tagged<show::TokenGroup> {
    Tagged(SettingsTag::of_group(&row.settings), row.into())
}

/// Changes to a group's settings; absent members leave them unchanged, null sets the
/// channel's setting.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupChange {
    /// The maximum number of active tokens of a kind in the group.
    #[schema(value_type = Option<u8>, minimum = 1, maximum = 30)]
    cap: Option<Option<GroupCap>>,
    #[schema(value_type = Option<schema::WhenFull>)]
    when_full: Option<Option<WhenFull>>,
    /// Whom to contact about the group.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    contact: Option<Option<Line<200>>>,
}

impl From<GroupChange> for GroupPatch {
    fn from(it: GroupChange) -> Self {
        Self {
            cap: it.cap.map(|cap| cap.map(Whole::count)),
            when_full: it.when_full,
            contact: it.contact.map(|contact| contact.map(|line| line.0)),
        }
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
    request_body = GroupChange,
    responses((status = 200, description = "The group as it is now.", body = show::TokenGroup),
              Problems)
)]
pub async fn change(
    who: Administrator,
    Ids((channel, group)): Ids<(ChannelId, Group)>,
    Body(change): Body<GroupChange>,
) -> Result<Tagged<show::TokenGroup>, Problem> {
    Ok(tagged(&who.admin.change_group(channel, group, change.into()).await?))
}

/// Delete a group: its settings and its keys are deleted, its tokens revoked.
#[utoipa::path(
    delete, path = "/channels/{channel}/groups/{group}", operation_id = "deleteGroup",
    tag = "groups",
    params(
        ("channel" = schema::ChannelId, Path, description = "The channel."),
        ("group" = schema::Group, Path, description = "The group."),
        Deletion,
    ),
    responses(
        (status = 200, description = "The group is deleted, or the result of a dry run.",
         body = show::Deleted),
        Problems,
    )
)]
pub async fn delete(
    who: Administrator,
    Ids((channel, group)): Ids<(ChannelId, Group)>,
    Query(mut how): Query<Deletion>,
) -> Result<Response, Problem> {
    Ok(show::deleted(who.admin.delete_group(channel, group, &how.options()).await?))
}
