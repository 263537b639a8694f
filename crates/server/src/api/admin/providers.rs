//! Providers: the organisations that own channels.

use crate::{
    api::admin::{
        administrator::Administrator,
        problem::{Problem, Problems},
        read::{Body, Deletion, Found, Ids, Line, Query},
        schema, show,
        tags::Tagged,
    },
    authority::admin::ListedProvider,
};
use axum::{Json, response::Response};
use http::StatusCode;
use serde::Deserialize;
use tegata_store::SettingsTag;
use tegata_token::id::ProviderId;
use utoipa::ToSchema;

/// A provider to create.
#[derive(Deserialize, ToSchema)]
#[schema(as = ProviderToMake)]
#[serde(deny_unknown_fields)]
pub struct New {
    #[schema(value_type = schema::Name)]
    name: Line<100>,
}

/// Create a provider.
#[utoipa::path(
    post, path = "/providers", operation_id = "createProvider", tag = "providers",
    request_body = New,
    responses((status = 201, description = "The provider is created.", body = show::Provider), Problems)
)]
pub async fn create(
    who: Administrator,
    Body(new): Body<New>,
) -> Result<(StatusCode, Json<show::Provider>), Problem> {
    let made = who.admin.create_provider(&new.name.0).await?;
    Ok((StatusCode::CREATED, Json((&made).into())))
}

/// List providers, newest first.
#[utoipa::path(
    get, path = "/providers", operation_id = "listProviders", tag = "providers",
    params(Found),
    responses((status = 200, description = "A page of providers.", body = show::Providers), Problems)
)]
pub async fn list(
    who: Administrator,
    Query(found): Query<Found>,
) -> Result<Json<show::Providers>, Problem> {
    let (search, part) = found.split();
    let (rows, next) = part.split(who.admin.providers(search, part.page()?).await?);
    Ok(show::Providers::of(&rows, next))
}

/// Show a provider.
#[utoipa::path(
    get, path = "/providers/{provider}", operation_id = "showProvider", tag = "providers",
    params(("provider" = schema::ProviderId, Path, description = "The provider.")),
    responses((status = 200, description = "The provider.", body = show::Provider), Problems)
)]
pub async fn show(
    who: Administrator,
    Ids(id): Ids<ProviderId>,
    Query(()): Query<()>,
) -> Result<Tagged<show::Provider>, Problem> {
    Ok(tagged(&who.admin.provider(id).await?))
}

fn tagged(it: &ListedProvider) -> Tagged<show::Provider> {
    Tagged(SettingsTag::of_provider(&it.provider.name), it.into())
}

/// Changes to a provider; absent members leave it unchanged.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderChange {
    #[schema(value_type = Option<schema::Name>, nullable = false)]
    name: Option<Line<100>>,
}

/// Rename a provider.
#[utoipa::path(
    patch, path = "/providers/{provider}", operation_id = "changeProvider", tag = "providers",
    params(("provider" = schema::ProviderId, Path, description = "The provider.")),
    request_body = ProviderChange,
    responses((status = 200, description = "The provider as it is now.", body = show::Provider),
              Problems)
)]
pub async fn change(
    who: Administrator,
    Ids(id): Ids<ProviderId>,
    Body(change): Body<ProviderChange>,
) -> Result<Tagged<show::Provider>, Problem> {
    let name = change.name.map(|it| it.0);
    Ok(tagged(&who.admin.change_provider(id, name).await?))
}

/// Delete a provider whose channels are all deleted.
///
/// A provider with channels is 409.
#[utoipa::path(
    delete, path = "/providers/{provider}", operation_id = "deleteProvider", tag = "providers",
    params(("provider" = schema::ProviderId, Path, description = "The provider."), Deletion),
    responses(
        (status = 200, description = "The provider is deleted, or the result of a dry run.",
         body = show::Deleted),
        Problems,
    )
)]
pub async fn delete(
    who: Administrator,
    Ids(id): Ids<ProviderId>,
    Query(mut how): Query<Deletion>,
) -> Result<Response, Problem> {
    Ok(show::deleted(who.admin.delete_provider(id, &how.options()).await?))
}
