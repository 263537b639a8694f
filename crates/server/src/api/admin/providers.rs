//! Providers: the organisations that own channels.

use crate::api::admin::{
    administrator::Administrator,
    problem::{Problem, Problems},
    read::{Body, Found, Line, Query},
    schema, show,
};
use axum::Json;
use http::StatusCode;
use serde::Deserialize;
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
