//! Channels: made, listed, changed, deleted, and given new secrets.

use crate::face::admin::{
    Administrator,
    problem::Problem,
    providers::{LONGEST_NAME, name},
    read::{Body, FromMembers, Ids, Members, Part, Query},
    show,
};
use axum::Json;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tegata_store::ChannelPatch;
use tegata_token::{
    id::{ChannelId, ProviderId},
    law::{ChannelType, Law, WhenFull},
    policy::ChannelState,
    time::DAY,
};

pub struct New {
    name: String,
    channel_type: ChannelType,
}

impl FromMembers for New {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        let types = "one of messaging-api, line-login, mini-app";
        Ok(Self { name: name(members)?, channel_type: members.need("type", types)? })
    }
}

pub async fn create(
    who: Administrator,
    Ids(provider): Ids<ProviderId>,
    Body(new): Body<New>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let New { name, channel_type } = new;
    let made = who.authority.create_channel(provider, &name, channel_type, who.by(None)).await;
    let (channel, secret) = made?;
    let mut shown = show::channel(&channel);
    shown["channel_secret"] = secret.reveal().into();
    Ok((StatusCode::CREATED, Json(shown)))
}

pub async fn list(
    who: Administrator,
    Ids(provider): Ids<ProviderId>,
    Query(part): Query<Part>,
) -> Result<Json<Value>, Problem> {
    let (rows, next) = part.split(who.authority.store().channels(provider, part.page()).await?);
    Ok(Json(show::list("channels", rows.iter().map(show::channel).collect(), next)))
}

pub async fn show(
    who: Administrator,
    Ids(id): Ids<ChannelId>,
    Query(()): Query<()>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(show::channel(&*who.channel(id).await?)))
}

/// What a channel can be set to; deletion has a method of its own.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Use {
    Active,
    Suspended,
}

impl FromMembers for ChannelPatch {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        let state = members.take("state", "active or suspended")?.map(|state| match state {
            Use::Active => ChannelState::Active,
            Use::Suspended => ChannelState::Suspended,
        });
        Ok(Self {
            name: members.line("name", LONGEST_NAME)?,
            law: members.take::<Law>("law", "current or legacy-2020")?,
            state,
            group_cap: cap(members, "group_cap")?,
            group_when_full: when_full(members, "group_when_full")?,
            own_audience_only: members.take("own_audience_only", "true or false")?,
            single_use_assertions: members.take("single_use_assertions", "true or false")?,
        })
    }
}

/// How many live tokens of a kind a group may have: no more than a channel may.
pub fn cap(members: &mut Members, name: &'static str) -> Result<Option<usize>, Problem> {
    Ok(members.whole(name, 1..=30)?.and_then(|cap| cap.try_into().ok()))
}

/// What the next token of a full group does.
pub fn when_full(members: &mut Members, name: &'static str) -> Result<Option<WhenFull>, Problem> {
    members.take(name, "end-oldest or refuse")
}

pub async fn change(
    who: Administrator,
    Ids(id): Ids<ChannelId>,
    Body(patch): Body<ChannelPatch>,
) -> Result<Json<Value>, Problem> {
    if patch == ChannelPatch::default() {
        // No act, so nothing for the audit.
        return Ok(Json(show::channel(&*who.channel(id).await?)));
    }
    let changed = who.authority.store().change_channel(id, patch, who.by(None)).await?;
    Ok(Json(show::channel(&changed)))
}

pub async fn delete(
    who: Administrator,
    Ids(id): Ids<ChannelId>,
    Query(()): Query<()>,
) -> Result<StatusCode, Problem> {
    let gone = ChannelPatch { state: Some(ChannelState::Deleted), ..ChannelPatch::default() };
    who.authority.store().change_channel(id, gone, who.by(None)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub struct Replacement {
    keep_previous: i64,
    revoke_tokens: bool,
}

impl FromMembers for Replacement {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        Ok(Self {
            keep_previous: members.whole("keep_previous_seconds", 0..=DAY)?.unwrap_or(0),
            revoke_tokens: members.flag("revoke_tokens")?,
        })
    }
}

pub async fn replace_secret(
    who: Administrator,
    Ids(id): Ids<ChannelId>,
    Body(how): Body<Replacement>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let Replacement { keep_previous, revoke_tokens } = how;
    let replaced =
        who.authority.replace_secret(id, keep_previous, revoke_tokens, who.by(None)).await;
    let (secret, until) = replaced?;
    let answer = json!({
        "channel_secret": secret.reveal(),
        "previous_valid_until": (keep_previous > 0).then(|| show::time(until)),
    });
    Ok((StatusCode::CREATED, Json(answer)))
}
