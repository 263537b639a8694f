//! Verifiers: the credentials of programs that verify tokens, and their instances.

use crate::api::admin::{
    administrator::Administrator,
    problem::{Problem, Problems},
    read::{Body, Ids, Line, Part, Query, Whole},
    schema, show,
    tags::Tagged,
};
use crate::authority::admin::{ListedVerifier, VerifierSettings};
use axum::Json;
use http::StatusCode;
use serde::Deserialize;
use tegata_policy::acts::DEFAULT_MAX_STALENESS;
use tegata_store::{SettingsTag, VerifierPatch};
use tegata_token::{
    feed::InstanceId,
    id::{ProviderId, VerifierId},
};
use utoipa::ToSchema;

/// A staleness in milliseconds.
type Staleness = Whole<500, 86_400_000>;

/// A verifier to create.
#[derive(Deserialize, ToSchema)]
#[schema(as = VerifierToMake)]
#[serde(deny_unknown_fields)]
pub struct New {
    #[schema(value_type = schema::Name)]
    name: Line<100>,
    /// The only provider whose tokens it may verify; absent: all.
    #[schema(value_type = Option<schema::ProviderId>)]
    provider_id: Option<ProviderId>,
    /// The longest staleness that its instances may use, in milliseconds.
    #[schema(value_type = Option<u32>, minimum = 500, maximum = 86_400_000, default = 60_000)]
    max_staleness: Option<Staleness>,
    /// Whether its instances may accept tokens by a stale view: then no receipt can say that
    /// one that is cut off accepts nothing.
    #[schema(default = false)]
    allow: Option<bool>,
}

/// Changes of a verifier; absent members stay as they are.
#[derive(Deserialize, ToSchema)]
#[schema(as = VerifierChanges)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    #[schema(value_type = Option<schema::Name>)]
    name: Option<Line<100>>,
    /// The longest staleness that its instances may use, in milliseconds.
    #[schema(value_type = Option<u32>, minimum = 500, maximum = 86_400_000)]
    max_staleness: Option<Staleness>,
    /// Whether its instances may accept tokens by a stale view.
    allow: Option<bool>,
}

fn milliseconds(staleness: Staleness) -> u32 {
    u32::try_from(staleness.get()).unwrap_or(u32::MAX)
}

/// Create a verifier.
///
/// Its token is shown once. Each running program that follows the feed with it is an
/// instance of its own.
#[utoipa::path(
    post, path = "/verifiers", operation_id = "createVerifier", tag = "verifiers",
    request_body = New,
    responses(
        (status = 201, description = "The verifier is created.", body = show::NewVerifier),
        Problems,
    )
)]
pub async fn create(
    who: Administrator,
    Body(new): Body<New>,
) -> Result<(StatusCode, Json<show::NewVerifier>), Problem> {
    let settings = VerifierSettings {
        name: new.name.0,
        provider: new.provider_id,
        max_staleness: new.max_staleness.map_or(DEFAULT_MAX_STALENESS, milliseconds),
        allow: new.allow.unwrap_or(false),
    };
    let (made, token) = who.admin.create_verifier(settings).await?;
    Ok((StatusCode::CREATED, Json(show::NewVerifier::new(made, token.reveal()))))
}

/// List verifiers with their instances, newest first.
#[utoipa::path(
    get, path = "/verifiers", operation_id = "listVerifiers", tag = "verifiers",
    params(Part),
    responses((status = 200, description = "A page of verifiers.", body = show::Verifiers), Problems)
)]
pub async fn list(
    who: Administrator,
    Query(part): Query<Part>,
) -> Result<Json<show::Verifiers>, Problem> {
    let all = who.admin.verifiers().await?;
    let (rows, next) = part.cut(all, |it| it.verifier.id.to_string())?;
    Ok(show::Verifiers::of(&rows, next))
}

/// Show a verifier with its instances.
#[utoipa::path(
    get, path = "/verifiers/{verifier}", operation_id = "showVerifier", tag = "verifiers",
    params(("verifier" = schema::VerifierId, Path, description = "The verifier.")),
    responses((status = 200, description = "The verifier.", body = show::Verifier), Problems)
)]
pub async fn show(
    who: Administrator,
    Ids(id): Ids<VerifierId>,
    Query(()): Query<()>,
) -> Result<Tagged<show::Verifier>, Problem> {
    Ok(tagged(&who.admin.verifier(id).await?))
}

fn tagged(it: &ListedVerifier) -> Tagged<show::Verifier> {
    Tagged(SettingsTag::of_verifier(&it.verifier), it.into())
}

/// Change a verifier's settings.
///
/// An instance that asks for more than the new settings allow gets no answers from then on.
#[utoipa::path(
    patch, path = "/verifiers/{verifier}", operation_id = "changeVerifier", tag = "verifiers",
    params(("verifier" = schema::VerifierId, Path, description = "The verifier.")),
    request_body = Changes,
    responses((status = 200, description = "The verifier.", body = show::Verifier), Problems)
)]
pub async fn change(
    who: Administrator,
    Ids(id): Ids<VerifierId>,
    Body(changes): Body<Changes>,
) -> Result<Tagged<show::Verifier>, Problem> {
    let patch = VerifierPatch {
        name: changes.name.map(|it| it.0),
        max_staleness: changes.max_staleness.map(milliseconds),
        allow: changes.allow,
    };
    Ok(tagged(&who.admin.change_verifier(id, patch).await?))
}

/// Delete a verifier.
///
/// Its token authenticates no request any more. Its instances stay in receipts until their
/// leases have run out.
#[utoipa::path(
    delete, path = "/verifiers/{verifier}", operation_id = "deleteVerifier", tag = "verifiers",
    params(("verifier" = schema::VerifierId, Path, description = "The verifier.")),
    responses((status = 204, description = "The verifier is deleted."), Problems)
)]
pub async fn delete(
    who: Administrator,
    Ids(id): Ids<VerifierId>,
    Query(()): Query<()>,
) -> Result<StatusCode, Problem> {
    who.admin.delete_verifier(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove all instances of a verifier, which may be deleted.
///
/// Only for instances that are known to be gone: no receipt waits for them any more.
#[utoipa::path(
    delete, path = "/verifiers/{verifier}/instances", operation_id = "removeInstances",
    tag = "verifiers",
    params(("verifier" = schema::VerifierId, Path, description = "The verifier.")),
    responses(
        (status = 200, description = "They are removed.", body = show::RemovedInstances),
        Problems,
    )
)]
pub async fn remove_all(
    who: Administrator,
    Ids(id): Ids<VerifierId>,
    Query(()): Query<()>,
) -> Result<Json<show::RemovedInstances>, Problem> {
    let removed = who.admin.remove_instances(id, None).await?;
    Ok(Json(show::RemovedInstances { removed }))
}

/// Remove an instance of a verifier, which may be deleted.
///
/// Only for one that is known to be gone: no receipt waits for it any more.
#[utoipa::path(
    delete, path = "/verifiers/{verifier}/instances/{instance}",
    operation_id = "removeInstance", tag = "verifiers",
    params(
        ("verifier" = schema::VerifierId, Path, description = "The verifier."),
        ("instance" = schema::InstanceId, Path, description = "The instance."),
    ),
    responses(
        (status = 200, description = "It is removed.", body = show::RemovedInstances),
        Problems,
    )
)]
pub async fn remove_one(
    who: Administrator,
    Ids((id, instance)): Ids<(VerifierId, InstanceId)>,
    Query(()): Query<()>,
) -> Result<Json<show::RemovedInstances>, Problem> {
    let removed = who.admin.remove_instances(id, Some(instance)).await?;
    Ok(Json(show::RemovedInstances { removed }))
}
