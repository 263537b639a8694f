//! Channels: created, listed, changed, deleted, and given new secrets.

use crate::api::admin::{
    administrator::Administrator,
    problem::{Problem, Problems},
    providers::{LONGEST_NAME, name},
    read::{Body, DryRun, FromMembers, Ids, Members, Part, Query, invalid, object},
    schema, show,
};
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::num::NonZeroU32;
use tegata_policy::{
    channel::RevokeTokens,
    rules::{ChannelType, TokenRules, WhenFull},
};
use tegata_store::{ChannelPatch, LimitsPatch};
use tegata_token::{
    id::{ChannelId, ProviderId},
    time::DAY,
    view::ChannelState,
};
use utoipa::ToSchema;

/// A channel to create.
#[derive(ToSchema)]
#[schema(as = ChannelToMake)]
#[serde(deny_unknown_fields)]
pub struct New {
    #[schema(value_type = schema::Name)]
    name: String,
    #[schema(value_type = schema::ChannelType, rename = "type")]
    channel_type: ChannelType,
}

impl FromMembers for New {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        let types = "one of messaging-api, line-login, mini-app";
        // Both are taken before either is reported missing, so that an unknown member is
        // reported with both names.
        let channel_type = members.take("type", types)?;
        let name = name(members)?;
        let channel_type = channel_type.map_or_else(|| members.need("type", types), Ok)?;
        Ok(Self { name, channel_type })
    }
}

/// Create a channel.
#[utoipa::path(
    post, path = "/providers/{provider}/channels", operation_id = "createChannel",
    tag = "channels",
    params(("provider" = schema::ProviderId, Path, description = "The provider that will own the channel.")),
    request_body = New,
    responses((status = 201, description = "The channel is created.", body = show::NewChannel), Problems)
)]
pub async fn create(
    who: Administrator,
    Ids(provider): Ids<ProviderId>,
    Body(new): Body<New>,
) -> Result<(StatusCode, Json<show::NewChannel>), Problem> {
    let New { name, channel_type } = new;
    let (channel, secret) = who.admin.create_channel(provider, &name, channel_type).await?;
    let channel_secret = secret.reveal().to_owned();
    let shown = show::NewChannel { channel: (&channel).into(), channel_secret };
    Ok((StatusCode::CREATED, Json(shown)))
}

/// List a provider's channels, newest first.
#[utoipa::path(
    get, path = "/providers/{provider}/channels", operation_id = "listChannels",
    tag = "channels",
    params(("provider" = schema::ProviderId, Path, description = "The provider."), Part),
    responses((status = 200, description = "A page of channels.", body = show::Channels), Problems)
)]
pub async fn list(
    who: Administrator,
    Ids(provider): Ids<ProviderId>,
    Query(part): Query<Part>,
) -> Result<Json<show::Channels>, Problem> {
    let (rows, next) = part.split(who.admin.channels(provider, part.page()?).await?);
    Ok(show::Channels::of(&rows, next))
}

/// Show a channel, its secrets without their values, and its issuance cooldowns.
#[utoipa::path(
    get, path = "/channels/{channel}", operation_id = "showChannel", tag = "channels",
    params(("channel" = schema::ChannelId, Path, description = "The channel.")),
    responses((status = 200, description = "The channel.", body = show::WholeChannel), Problems)
)]
pub async fn show(
    who: Administrator,
    Ids(id): Ids<ChannelId>,
    Query(()): Query<()>,
) -> Result<Json<show::WholeChannel>, Problem> {
    Ok(Json((&who.admin.channel(id).await?).into()))
}

/// The states that a channel can be set to; deletion has a method of its own.
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
            rules: members.take::<TokenRules>("rules", "current or legacy-2020")?,
            state,
            group_cap: cap(members, "group_cap")?,
            group_when_full: when_full(members, "group_when_full")?,
            own_audience_only: members.take("own_audience_only", "true or false")?,
            single_use_assertions: members.take("single_use_assertions", "true or false")?,
            limits: match members.take::<Box<RawValue>>("limits", "an object")? {
                Some(limits) if limits.get().starts_with('{') => object(limits.get().as_bytes())?,
                Some(_) => return Err(invalid("limits", "an object")),
                None => LimitsPatch::default(),
            },
        })
    }
}

/// The maximum of a rate; a higher limit would not limit anything.
const FASTEST: i64 = 1_000_000;

impl FromMembers for LimitsPatch {
    /// An absent member leaves the limit as it is; null sets the server's limit.
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        let rate = |members: &mut Members, name| limit(members, name, FASTEST);
        let seconds = |members: &mut Members, name| limit(members, name, DAY);
        Ok(Self {
            issue_rate_short_lived: members.or_null("issue_rate_short_lived", rate)?,
            issue_rate: members.or_null("issue_rate", rate)?,
            verify_rate: members.or_null("verify_rate", rate)?,
            surge_limit: members.or_null("surge_limit", |members, name| {
                let issues = members.whole(name, 0..=u32::MAX.into())?;
                Ok(issues.and_then(|issues| issues.try_into().ok()))
            })?,
            surge_window_seconds: members.or_null("surge_window_seconds", seconds)?,
            surge_cooldown_seconds: members.or_null("surge_cooldown_seconds", seconds)?,
        })
    }
}

fn limit(
    members: &mut Members,
    name: &'static str,
    most: i64,
) -> Result<Option<NonZeroU32>, Problem> {
    let figure = members.whole(name, 1..=most)?;
    Ok(figure.and_then(|figure| u32::try_from(figure).ok()).and_then(NonZeroU32::new))
}

/// The maximum number of active tokens of a kind in a group, at most the channel's cap.
pub fn cap(members: &mut Members, name: &'static str) -> Result<Option<usize>, Problem> {
    Ok(members.whole(name, 1..=30)?.and_then(|cap| cap.try_into().ok()))
}

/// What happens when a token is issued in a full group.
pub fn when_full(members: &mut Members, name: &'static str) -> Result<Option<WhenFull>, Problem> {
    members.take(name, "evict-oldest or deny")
}

/// Change a channel's name or rules, suspend it, or resume it.
///
/// Absent members leave their settings unchanged.
#[utoipa::path(
    patch, path = "/channels/{channel}", operation_id = "changeChannel", tag = "channels",
    params(("channel" = schema::ChannelId, Path, description = "The channel.")),
    request_body = schema::ChannelChange,
    responses((status = 200, description = "The channel as it is now.", body = show::WholeChannel),
              Problems)
)]
pub async fn change(
    who: Administrator,
    Ids(id): Ids<ChannelId>,
    Body(patch): Body<ChannelPatch>,
) -> Result<Json<show::WholeChannel>, Problem> {
    Ok(Json((&who.admin.change_channel(id, patch).await?).into()))
}

/// Delete a channel and revoke all its tokens. This cannot be undone.
#[utoipa::path(
    delete, path = "/channels/{channel}", operation_id = "deleteChannel", tag = "channels",
    params(("channel" = schema::ChannelId, Path, description = "The channel."), DryRun),
    responses(
        (status = 204, description = "The channel is deleted."),
        (status = 200, description = "The result of a dry run.", body = show::Revocation),
        Problems,
    )
)]
pub async fn delete(
    who: Administrator,
    Ids(id): Ids<ChannelId>,
    Query(DryRun { dry_run }): Query<DryRun>,
) -> Result<Response, Problem> {
    Ok(show::deleted(who.admin.delete_channel(id, dry_run).await?))
}

/// The parameters of replacing a channel's secret.
#[derive(ToSchema)]
#[schema(as = SecretReplacement)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// For how many seconds the previous secret is still accepted.
    #[schema(
        rename = "keep_previous_seconds",
        required = false,
        default = 0,
        minimum = 0,
        maximum = 86_400
    )]
    keep_previous: i64,
    #[schema(required = false, default = "none", value_type = schema::RevokeTokens)]
    revoke_tokens: RevokeTokens,
    /// Replace nothing; report how many tokens would be revoked.
    #[schema(required = false, default = false)]
    dry_run: bool,
}

impl FromMembers for Replacement {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        Ok(Self {
            keep_previous: members.whole("keep_previous_seconds", 0..=DAY)?.unwrap_or(0),
            revoke_tokens: members
                .take("revoke_tokens", "one of none, by-secret, all")?
                .unwrap_or_default(),
            dry_run: members.flag("dry_run")?,
        })
    }
}

/// Give a channel a new secret.
#[utoipa::path(
    post, path = "/channels/{channel}/secret", operation_id = "replaceSecret", tag = "channels",
    params(("channel" = schema::ChannelId, Path, description = "The channel.")),
    request_body = Option<Replacement>,
    responses(
        (status = 201, description = "The new secret.", body = show::NewSecret),
        (status = 200, description = "The result of a dry run.", body = show::SecretDryRun),
        Problems,
    )
)]
pub async fn replace_secret(
    who: Administrator,
    Ids(id): Ids<ChannelId>,
    Body(how): Body<Replacement>,
) -> Result<Response, Problem> {
    let Replacement { keep_previous, revoke_tokens, dry_run } = how;
    if dry_run {
        let found = who.admin.would_replace_secret(id, revoke_tokens).await?;
        return Ok(Json(show::SecretDryRun::from(found)).into_response());
    }
    let new = who.admin.replace_secret(id, keep_previous, revoke_tokens).await?;
    let body = show::NewSecret {
        channel_secret: new.secret.reveal().to_owned(),
        previous_valid_until: new.previous_until.and_then(show::time),
    };
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// Delete a channel's previous secret, which is still accepted, alone.
#[utoipa::path(
    delete, path = "/channels/{channel}/secret/previous", operation_id = "deletePreviousSecret",
    tag = "channels",
    params(("channel" = schema::ChannelId, Path, description = "The channel."), DryRun),
    responses(
        (status = 204, description = "The previous secret is deleted."),
        (status = 200, description = "The result of a dry run.", body = show::SecretDryRun),
        Problems,
    )
)]
pub async fn delete_previous_secret(
    who: Administrator,
    Ids(id): Ids<ChannelId>,
    Query(DryRun { dry_run }): Query<DryRun>,
) -> Result<Response, Problem> {
    if dry_run {
        let found = who.admin.would_delete_previous_secret(id).await?;
        return Ok(Json(show::SecretDryRun::from(found)).into_response());
    }
    who.admin.delete_previous_secret(id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
