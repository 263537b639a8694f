//! Groups: listed, given rules of their own, and deleted. They come into being
//! with their first token or key.

use crate::face::admin::{
    Administrator, channels,
    problem::{Code, Problem, Problems},
    read::{Body, DryRun, FromMembers, Ids, Members, Part, Query},
    schema, show,
};
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use std::sync::Arc;
use tegata_policy::channel::{Channel, RegisteredKey};
use tegata_store::{Ending, Error, GroupPatch, GroupRow};
use tegata_token::id::{ChannelId, Group};

/// The problem of an act on a channel's group or key; where there is none of that name,
/// with the names that there are.
pub async fn naming(who: &Administrator, channel: ChannelId, error: Error) -> Problem {
    let named = match error {
        Error::NotFound("group") => {
            let groups = who.authority.store().groups(channel, who.authority.now()).await;
            groups.map(|all| all.iter().map(|row| row.group.to_string()).collect())
        }
        Error::NotFound("assertion key") => {
            let channel = who.authority.channel(channel).await;
            let ids = |key: &RegisteredKey| key.id.to_string();
            let keys = |it: Arc<Channel>| it.assertion_keys.iter().map(ids).collect();
            channel.map(|it| it.map(keys).unwrap_or_default())
        }
        _ => return error.into(),
    };
    let names: Vec<String> = named.unwrap_or_default();
    let there = match names.as_slice() {
        [] => "the channel has none".to_owned(),
        [only] => format!("there is {only}"),
        all if all.len() > SHOWN => {
            format!("there are {} and {} more", all[..SHOWN].join(", "), all.len() - SHOWN)
        }
        all => format!("there are {}", all.join(", ")),
    };
    let what = if matches!(error, Error::NotFound("group")) { "group" } else { "assertion key" };
    Problem::new(Code::NotFound, format!("no such {what}; {there}"))
}

/// So many names stand in an error.
const SHOWN: usize = 20;

/// What a group's name must be.
pub const NAME: &str = "1 to 64 of a-z A-Z 0-9 . _ -, and not . or ..";

/// List a channel's groups.
#[utoipa::path(
    get, path = "/channels/{channel}/groups", operation_id = "listGroups", tag = "groups",
    params(("channel" = schema::ChannelId, Path, description = "Whose groups."), Part),
    responses((status = 200, description = "A page of them.", body = show::Groups), Problems)
)]
pub async fn list(
    who: Administrator,
    Ids(channel): Ids<ChannelId>,
    Query(part): Query<Part>,
) -> Result<Json<show::Groups>, Problem> {
    who.channel(channel).await?;
    let groups = who.authority.store().groups(channel, who.authority.now()).await?;
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

/// Give a group rules of its own.
///
/// What is absent stays, what is null goes back to the channel's rule.
#[utoipa::path(
    patch, path = "/channels/{channel}/groups/{group}", operation_id = "changeGroup",
    tag = "groups",
    params(
        ("channel" = schema::ChannelId, Path, description = "Whose group."),
        ("group" = schema::Group, Path, description = "Which."),
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
    let store = who.authority.store();
    let settings = store.set_group(channel, group.clone(), patch, who.by(None)).await?;
    let groups = store.groups(channel, who.authority.now()).await?;
    let row = groups.into_iter().find(|it| it.group == group);
    // Without settings, tokens and keys there is no row.
    let row = row.unwrap_or(GroupRow { group, settings, live_tokens: 0, assertion_keys: 0 });
    Ok(Json((&row).into()))
}

/// Delete a group: its rules, its keys, and its tokens.
#[utoipa::path(
    delete, path = "/channels/{channel}/groups/{group}", operation_id = "deleteGroup",
    tag = "groups",
    params(
        ("channel" = schema::ChannelId, Path, description = "Whose group."),
        ("group" = schema::Group, Path, description = "Which."),
        DryRun,
    ),
    responses(
        (status = 204, description = "It is deleted."),
        (status = 200, description = "What a dry run found.", body = show::Rehearsal),
        Problems,
    )
)]
pub async fn delete(
    who: Administrator,
    Ids((channel, group)): Ids<(ChannelId, Group)>,
    Query(DryRun { dry_run }): Query<DryRun>,
) -> Result<Response, Problem> {
    let by = who.by(None);
    if dry_run {
        who.channel(channel).await?;
        let groups = who.authority.store().groups(channel, who.authority.now()).await?;
        if !groups.iter().any(|row| row.group == group) {
            return Err(naming(&who, channel, Error::NotFound("group")).await);
        }
        let ended = who.authority.end(channel, Ending::Group(group), true, by).await?;
        return Ok(Json(show::Rehearsal::of(ended.tokens)).into_response());
    }
    match who.authority.store().delete_group(channel, group, by).await {
        Ok(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(error) => Err(naming(&who, channel, error).await),
    }
}
