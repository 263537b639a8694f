//! Channels: created, listed, changed, deleted, and given new secrets.

use crate::{
    api::admin::{
        administrator::Administrator,
        limits::Limits,
        problem::{Problem, Problems},
        read::{Body, Deletion, Found, GroupCap, Ids, Line, Query, Whole},
        schema, show,
        tags::{Tagged, with_tag},
    },
    authority::admin::Outcome,
};
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Deserialize;
use tegata_policy::{
    channel::{OnLeak, RevokeTokens},
    rules::{ChannelType, TokenRules, WhenFull},
};
use tegata_store::{ChannelFilter, ChannelPatch, SettingsTag};
use tegata_token::{
    id::{ChannelId, ProviderId},
    time::DAY,
    view::ChannelState,
};
use utoipa::ToSchema;

/// A channel to create.
#[derive(Deserialize, ToSchema)]
#[schema(as = ChannelToMake)]
#[serde(deny_unknown_fields)]
pub struct New {
    #[schema(value_type = schema::Name)]
    name: Line<100>,
    #[schema(value_type = schema::ChannelType)]
    r#type: ChannelType,
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
    let (channel, secret) = who.admin.create_channel(provider, &new.name.0, new.r#type).await?;
    let channel_secret = secret.reveal().to_owned();
    let shown = show::NewChannel { channel: (&channel).into(), channel_secret };
    Ok((StatusCode::CREATED, Json(shown)))
}

/// List a provider's channels, newest first.
#[utoipa::path(
    get, path = "/providers/{provider}/channels", operation_id = "listChannels",
    tag = "channels",
    params(
        ("provider" = schema::ProviderId, Path, description = "The provider."),
        Found,
    ),
    responses((status = 200, description = "A page of channels.", body = show::Channels), Problems)
)]
pub async fn list(
    who: Administrator,
    Ids(provider): Ids<ProviderId>,
    Query(found): Query<Found>,
) -> Result<Json<show::Channels>, Problem> {
    found.list(who, Some(provider)).await
}

/// List the channels of all providers, newest first.
#[utoipa::path(
    get, path = "/channels", operation_id = "listAllChannels", tag = "channels",
    params(
        Found,
    ),
    responses((status = 200, description = "A page of channels.", body = show::Channels), Problems)
)]
pub async fn list_all(
    who: Administrator,
    Query(found): Query<Found>,
) -> Result<Json<show::Channels>, Problem> {
    found.list(who, None).await
}

impl Found {
    async fn list(
        self,
        who: Administrator,
        provider: Option<ProviderId>,
    ) -> Result<Json<show::Channels>, Problem> {
        let (search, part) = self.split();
        let filter = ChannelFilter { provider, search, seen: None };
        let (rows, next) = part.split(who.admin.channels(filter, part.page()?).await?);
        Ok(show::Channels::of(&rows, next))
    }
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
) -> Result<Tagged<show::WholeChannel>, Problem> {
    let found = who.admin.channel(id).await?;
    Ok(Tagged(SettingsTag::of_channel(&found.holding.channel), (&found).into()))
}

/// The states that a channel can be set to; deletion has a method of its own.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Use {
    Active,
    Suspended,
}

taking_body! {
/// Changes to a channel; absent members leave their settings unchanged.
pub struct ChannelChange {
    #[schema(value_type = Option<schema::Name>, nullable = false)]
    name: Option<Line<100>>,
    #[schema(value_type = Option<schema::TokenRules>, nullable = false)]
    rules: Option<TokenRules>,
    #[schema(value_type = Option<schema::ChannelState>, nullable = false)]
    state: Option<Use>,
    /// The maximum number of active tokens of a kind in a group.
    #[schema(value_type = Option<u8>, minimum = 1, maximum = 30, nullable = false)]
    group_cap: Option<GroupCap>,
    #[schema(value_type = Option<schema::WhenFull>, nullable = false)]
    group_when_full: Option<WhenFull>,
    /// Whether an assertion's audience must be this server, not LINE.
    #[schema(nullable = false)]
    own_audience_only: Option<bool>,
    /// Whether each assertion is accepted only once.
    #[schema(nullable = false)]
    single_use_assertions: Option<bool>,
    /// What a report of a leaked token does: revoke it, or only flag it in a warning and the
    /// audit.
    #[schema(value_type = Option<schema::OnLeak>, nullable = false)]
    on_leak: Option<OnLeak>,
    /// Absent limits stay unchanged; null sets the server's limit.
    #[schema(nullable = false)]
    limits: Option<Limits>,
}
}

impl From<ChannelChange> for ChannelPatch {
    fn from(it: ChannelChange) -> Self {
        Self {
            name: it.name.map(|name| name.0),
            rules: it.rules,
            state: it.state.map(|state| match state {
                Use::Active => ChannelState::Active,
                Use::Suspended => ChannelState::Suspended,
            }),
            group_cap: it.group_cap.map(Whole::count),
            group_when_full: it.group_when_full,
            own_audience_only: it.own_audience_only,
            single_use_assertions: it.single_use_assertions,
            on_leak: it.on_leak,
            limits: it.limits.unwrap_or_default().into(),
        }
    }
}

/// Change a channel's name or rules, suspend it, or resume it.
///
/// Absent members leave their settings unchanged.
#[utoipa::path(
    patch, path = "/channels/{channel}", operation_id = "changeChannel", tag = "channels",
    params(("channel" = schema::ChannelId, Path, description = "The channel.")),
    request_body = ChannelChange,
    responses(
        (status = 200, description = "The channel as it is now; of a dry run, what would become invalid.",
         body = show::ChannelChanged),
        Problems,
    )
)]
pub async fn change(
    who: Administrator,
    Ids(id): Ids<ChannelId>,
    Body(mut change): Body<ChannelChange>,
) -> Result<Response, Problem> {
    let options = change.options();
    Ok(match who.admin.change_channel(id, change.into(), &options).await? {
        Outcome::Done(it, taken) => {
            let tag = SettingsTag::of_channel(&it.holding.channel);
            let changed = show::ChangedChannel { channel: (&it).into(), taken: taken.into() };
            let response = Json(show::ChannelChanged::Done(Box::new(changed))).into_response();
            with_tag(response, tag)
        }
        Outcome::DryRun(found) => {
            Json(show::ChannelChanged::Rehearsed(found.into())).into_response()
        }
    })
}

/// Delete a channel and revoke all its tokens. This cannot be undone.
#[utoipa::path(
    delete, path = "/channels/{channel}", operation_id = "deleteChannel", tag = "channels",
    params(("channel" = schema::ChannelId, Path, description = "The channel."), Deletion),
    responses(
        (status = 200, description = "The channel is deleted, or the result of a dry run.",
         body = show::Deleted),
        Problems,
    )
)]
pub async fn delete(
    who: Administrator,
    Ids(id): Ids<ChannelId>,
    Query(mut how): Query<Deletion>,
) -> Result<Response, Problem> {
    Ok(show::deleted(who.admin.delete_channel(id, &how.options()).await?))
}

taking_body! {
/// The parameters of replacing a channel's secret.
#[schema(as = SecretReplacement)]
pub struct Replacement {
    /// For how many seconds the previous secret is still accepted.
    #[serde(default)]
    #[schema(value_type = i64, required = false, default = 0, minimum = 0, maximum = 86_400)]
    keep_previous_seconds: Whole<0, DAY>,
    #[serde(default)]
    #[schema(required = false, default = "none", value_type = schema::RevokeTokens)]
    revoke_tokens: RevokeTokens,
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
    Body(mut how): Body<Replacement>,
) -> Result<Response, Problem> {
    let (keep, options) = (how.keep_previous_seconds.get(), how.options());
    let outcome = who.admin.replace_secret(id, keep, how.revoke_tokens, &options).await?;
    Ok(show::outcome(StatusCode::CREATED, outcome, |new, taken| show::NewSecret {
        channel_secret: new.secret.reveal().to_owned(),
        previous_valid_until: new.previous_until.and_then(show::time),
        taken,
    }))
}

/// Delete a channel's previous secret, which is still accepted, alone.
#[utoipa::path(
    delete, path = "/channels/{channel}/secret/previous", operation_id = "deletePreviousSecret",
    tag = "channels",
    params(("channel" = schema::ChannelId, Path, description = "The channel."), Deletion),
    responses(
        (status = 200, description = "The previous secret is deleted, or the result of a dry run.",
         body = show::DeletedSecret),
        Problems,
    )
)]
pub async fn delete_previous_secret(
    who: Administrator,
    Ids(id): Ids<ChannelId>,
    Query(mut how): Query<Deletion>,
) -> Result<Response, Problem> {
    Ok(show::deleted_secret(who.admin.delete_previous_secret(id, &how.options()).await?))
}
