//! People and their roles.

use crate::api::admin::{
    administrator::Administrator,
    problem::{Code, Problem, Problems},
    read::{Body, Forgetting, Found, Ids, Line, Part, Query, Reason, Reasoned, invalid},
    schema, show,
    tags::Tagged,
};
use crate::authority::admin::{ListedPerson, NewPerson};
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Deserialize;
use tegata_policy::{
    acts::PersonRow,
    permission::{ChannelRole, OperatorRole, ProviderRole, RoleChange},
    text::{LOGIN_RULE, is_login},
};
use tegata_store::SettingsTag;
use tegata_token::id::{ChannelId, PersonId, ProviderId};
use utoipa::ToSchema;

/// A person to invite, with at most one first role.
#[derive(Deserialize, ToSchema)]
#[schema(as = PersonToInvite)]
#[serde(deny_unknown_fields)]
pub struct New {
    #[schema(value_type = schema::Login)]
    login: Line<64>,
    /// The display name; absent: the sign-in name.
    #[schema(value_type = Option<schema::Name>, nullable = false)]
    name: Option<Line<100>>,
    /// The role in the whole authority.
    #[schema(value_type = Option<schema::OperatorRole>, nullable = false)]
    operator: Option<OperatorRole>,
    /// The provider of `provider_role`.
    #[schema(value_type = Option<schema::ProviderId>, nullable = false)]
    provider_id: Option<ProviderId>,
    #[schema(value_type = Option<schema::ProviderRole>, nullable = false)]
    provider_role: Option<ProviderRole>,
    /// The channel of `channel_role`.
    #[schema(value_type = Option<schema::ChannelId>, nullable = false)]
    channel_id: Option<ChannelId>,
    #[schema(value_type = Option<schema::ChannelRole>, nullable = false)]
    channel_role: Option<ChannelRole>,
    /// The reason, for the audit.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500, nullable = false)]
    reason: Option<Reason>,
}

impl New {
    fn role(&self) -> Result<Option<RoleChange>, Problem> {
        let New { operator, provider_id, provider_role, channel_id, channel_role, .. } = self;
        Ok(match (operator, provider_id, provider_role, channel_id, channel_role) {
            (None, None, None, None, None) => None,
            (role @ Some(_), None, None, None, None) => Some(RoleChange::Operator { role: *role }),
            (None, Some(provider), role @ Some(_), None, None) => {
                Some(RoleChange::Provider { provider: *provider, role: *role })
            }
            (None, None, None, Some(channel), role @ Some(_)) => {
                Some(RoleChange::Channel { channel: *channel, role: *role })
            }
            _ => {
                let what = "give `operator`, or `provider_id` with `provider_role`, or \
                            `channel_id` with `channel_role`; further roles are given afterwards";
                return Err(Problem::body(Code::InvalidMember, what));
            }
        })
    }
}

/// The name to sign in with.
pub fn login(text: Line<64>) -> Result<String, Problem> {
    match is_login(&text.0) {
        true => Ok(text.0),
        false => Err(invalid("login", LOGIN_RULE)),
    }
}

/// Invite a person.
///
/// The invitation is shown once. Its holder sets the password and the second factor, so
/// hand it over in confidence. An administrator invites operators and people without a role;
/// the Admin of a provider or a channel invites people with a role in it.
#[utoipa::path(
    post, path = "/people/invitations", operation_id = "invitePerson", tag = "people",
    request_body = New,
    responses((status = 201, description = "The person is invited.", body = show::InvitedPerson), Problems)
)]
pub async fn invite(
    who: Administrator,
    Body(new): Body<New>,
) -> Result<(StatusCode, Json<show::InvitedPerson>), Problem> {
    let role = new.role()?;
    let login = login(new.login)?;
    let name = new.name.map_or_else(|| login.clone(), |it| it.0);
    let admin = who.admin.because(new.reason.map(|it| it.0));
    let invited = admin.invite(NewPerson { login, name, role }).await?;
    Ok((StatusCode::CREATED, Json((&invited).into())))
}

/// List people, newest first.
#[utoipa::path(
    get, path = "/people", operation_id = "listPeople", tag = "people",
    params(Found),
    responses((status = 200, description = "A page of people.", body = show::People), Problems)
)]
pub async fn list(
    who: Administrator,
    Query(found): Query<Found>,
) -> Result<Json<show::People>, Problem> {
    let (search, part) = found.split();
    let all = who.admin.people(search.as_deref()).await?;
    let (rows, next) = part.cut(all, |it| it.person.id.to_string())?;
    Ok(show::People::of(&rows, next))
}

/// Show a person.
#[utoipa::path(
    get, path = "/people/{person}", operation_id = "showPerson", tag = "people",
    params(("person" = schema::PersonId, Path, description = "The person.")),
    responses((status = 200, description = "The person.", body = show::Person), Problems)
)]
pub async fn show(
    who: Administrator,
    Ids(id): Ids<PersonId>,
    Query(()): Query<()>,
) -> Result<Tagged<show::Person>, Problem> {
    Ok(tagged(&who.admin.person(id).await?))
}

fn tagged(it: &ListedPerson) -> Tagged<show::Person> {
    Tagged(SettingsTag::of_person(&it.person), it.into())
}

/// The states that a person can be set to.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Access {
    Active,
    Disabled,
}

/// Changes of a person; absent members stay as they are.
#[derive(Deserialize, ToSchema)]
#[schema(as = PersonChanges)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    #[schema(value_type = Option<schema::Name>, nullable = false)]
    name: Option<Line<100>>,
    /// `disabled` ends all sessions, and personal tokens are rejected until it is `active`
    /// again.
    #[schema(value_type = Option<schema::Access>, nullable = false)]
    state: Option<Access>,
    /// The role in the whole authority; null takes it away.
    #[schema(value_type = Option<schema::OperatorRole>)]
    operator: Option<Option<OperatorRole>>,
    /// The reason, for the audit.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500, nullable = false)]
    reason: Option<Reason>,
}

/// Rename, disable or enable a person, or change the role in the whole authority.
#[utoipa::path(
    patch, path = "/people/{person}", operation_id = "changePerson", tag = "people",
    params(("person" = schema::PersonId, Path, description = "The person.")),
    request_body = Changes,
    responses((status = 200, description = "The person as it is now.", body = show::Person), Problems)
)]
pub async fn change(
    who: Administrator,
    Ids(id): Ids<PersonId>,
    Body(it): Body<Changes>,
) -> Result<Tagged<show::Person>, Problem> {
    let disabled = it.state.map(|it| matches!(it, Access::Disabled));
    let name = it.name.map(|it| it.0);
    let admin = who.admin.because(it.reason.map(|it| it.0));
    Ok(tagged(&admin.change_person(id, name, disabled, it.operator).await?))
}

/// Delete a person, with sessions and personal tokens. This cannot be undone.
#[utoipa::path(
    delete, path = "/people/{person}", operation_id = "deletePerson", tag = "people",
    params(("person" = schema::PersonId, Path, description = "The person."), Forgetting),
    responses(
        (status = 204, description = "The person is deleted."),
        (status = 200, description = "Of a dry run: the person, personal tokens and sessions that would be deleted.", body = show::PersonToDelete),
        Problems,
    )
)]
pub async fn delete(
    who: Administrator,
    Ids(id): Ids<PersonId>,
    Query(how): Query<Forgetting>,
) -> Result<Response, Problem> {
    let (dry_run, admin) = how.split(who);
    if dry_run {
        let found = admin.would_delete_person(id).await?;
        return Ok(Json(show::PersonToDelete::of(&found)).into_response());
    }
    admin.delete_person(id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Let a person set a new password and second factor.
///
/// The old ones and all sessions end at once. Roles and personal tokens stay.
#[utoipa::path(
    post, path = "/people/{person}/reset", operation_id = "resetPerson", tag = "people",
    params(("person" = schema::PersonId, Path, description = "The person.")),
    request_body = Option<Reasoned>,
    responses((status = 201, description = "The invitation.", body = show::InvitedPerson), Problems)
)]
pub async fn reset(
    who: Administrator,
    Ids(id): Ids<PersonId>,
    Body(why): Body<Reasoned>,
) -> Result<(StatusCode, Json<show::InvitedPerson>), Problem> {
    let invited = who.admin.because(why.reason()).reset_person(id).await?;
    Ok((StatusCode::CREATED, Json((&invited).into())))
}

/// Unlink a person's account at the identity provider: it signs in no more.
///
/// All sessions of the person end, since they may have begun with it.
#[utoipa::path(
    post, path = "/people/{person}/unlink", operation_id = "unlinkPerson", tag = "people",
    params(("person" = schema::PersonId, Path, description = "The person.")),
    request_body = Option<Reasoned>,
    responses((status = 204, description = "No account is linked any more."), Problems)
)]
pub async fn unlink(
    who: Administrator,
    Ids(id): Ids<PersonId>,
    Body(why): Body<Reasoned>,
) -> Result<StatusCode, Problem> {
    who.admin.because(why.reason()).unlink_identity(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the people who have a role in a provider.
#[utoipa::path(
    get, path = "/providers/{provider}/roles", operation_id = "listProviderRoles", tag = "people",
    params(("provider" = schema::ProviderId, Path, description = "The provider."), Part),
    responses((status = 200, description = "A page of people.", body = show::RoleHolders), Problems)
)]
pub async fn provider_roles(
    who: Administrator,
    Ids(provider): Ids<ProviderId>,
    Query(part): Query<Part>,
) -> Result<Json<show::RoleHolders>, Problem> {
    let all = who.admin.provider_roles(provider).await?;
    let (rows, next) = part.cut(all, |(person, _)| person.id.to_string())?;
    Ok(show::RoleHolders::of(&rows, next))
}

/// Show a person's role in a provider.
#[utoipa::path(
    get, path = "/providers/{provider}/roles/{person}", operation_id = "showProviderRole",
    tag = "people",
    params(
        ("provider" = schema::ProviderId, Path, description = "The provider."),
        ("person" = schema::PersonId, Path, description = "The person."),
    ),
    responses((status = 200, description = "The person's role.", body = show::RoleHolder), Problems)
)]
pub async fn provider_role(
    who: Administrator,
    Ids((provider, person)): Ids<(ProviderId, PersonId)>,
    Query(()): Query<()>,
) -> Result<Tagged<show::RoleHolder>, Problem> {
    let all = who.admin.provider_roles(provider).await?;
    let found = all.iter().find(|(it, _)| it.id == person);
    let (found, _) = found.ok_or_else(|| Problem::not_found("role of this person"))?;
    Ok(tagged_role(found, RoleChange::Provider { provider, role: None }))
}

/// A person's new role in a provider.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderRoleChange {
    /// The role; null takes it away.
    #[schema(value_type = Option<schema::ProviderRole>, required)]
    role: Option<Option<ProviderRole>>,
    /// The reason, for the audit.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500, nullable = false)]
    reason: Option<Reason>,
}

/// A person's new role in a channel.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelRoleChange {
    /// The role; null takes it away.
    #[schema(value_type = Option<schema::ChannelRole>, required)]
    role: Option<Option<ChannelRole>>,
    /// The reason, for the audit.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500, nullable = false)]
    reason: Option<Reason>,
}

fn given<T>(role: Option<T>) -> Result<T, Problem> {
    role.ok_or_else(|| Problem::member("role", Code::MissingMember, "`role` is missing"))
}

/// Give a person a role in a provider, or take it away.
#[utoipa::path(
    patch, path = "/providers/{provider}/roles/{person}", operation_id = "setProviderRole",
    tag = "people",
    params(
        ("provider" = schema::ProviderId, Path, description = "The provider."),
        ("person" = schema::PersonId, Path, description = "The person."),
    ),
    request_body = ProviderRoleChange,
    responses((status = 200, description = "The person's role now.", body = show::RoleHolder), Problems)
)]
pub async fn set_provider_role(
    who: Administrator,
    Ids((provider, person)): Ids<(ProviderId, PersonId)>,
    Body(change): Body<ProviderRoleChange>,
) -> Result<Tagged<show::RoleHolder>, Problem> {
    let role = RoleChange::Provider { provider, role: given(change.role)? };
    let admin = who.admin.because(change.reason.map(|it| it.0));
    Ok(tagged_role(&admin.set_role(person, role).await?, role))
}

/// The person with the role at a place, and the role's tag.
fn tagged_role(person: &PersonRow, at: RoleChange) -> Tagged<show::RoleHolder> {
    let holder = match at {
        RoleChange::Provider { provider, .. } => {
            show::RoleHolder::of(person, person.providers.get(&provider))
        }
        RoleChange::Channel { channel, .. } => {
            show::RoleHolder::of(person, person.channels.get(&channel))
        }
        RoleChange::Operator { .. } => show::RoleHolder::of(person, person.operator),
    };
    Tagged(SettingsTag::of_role(person, at), holder)
}

/// List the people who have a role in a channel.
#[utoipa::path(
    get, path = "/channels/{channel}/roles", operation_id = "listChannelRoles", tag = "people",
    params(("channel" = schema::ChannelId, Path, description = "The channel."), Part),
    responses((status = 200, description = "A page of people.", body = show::RoleHolders), Problems)
)]
pub async fn channel_roles(
    who: Administrator,
    Ids(channel): Ids<ChannelId>,
    Query(part): Query<Part>,
) -> Result<Json<show::RoleHolders>, Problem> {
    let all = who.admin.channel_roles(channel).await?;
    let (rows, next) = part.cut(all, |(person, _)| person.id.to_string())?;
    Ok(show::RoleHolders::of(&rows, next))
}

/// Show a person's role in a channel.
#[utoipa::path(
    get, path = "/channels/{channel}/roles/{person}", operation_id = "showChannelRole",
    tag = "people",
    params(
        ("channel" = schema::ChannelId, Path, description = "The channel."),
        ("person" = schema::PersonId, Path, description = "The person."),
    ),
    responses((status = 200, description = "The person's role.", body = show::RoleHolder), Problems)
)]
pub async fn channel_role(
    who: Administrator,
    Ids((channel, person)): Ids<(ChannelId, PersonId)>,
    Query(()): Query<()>,
) -> Result<Tagged<show::RoleHolder>, Problem> {
    let all = who.admin.channel_roles(channel).await?;
    let found = all.iter().find(|(it, _)| it.id == person);
    let (found, _) = found.ok_or_else(|| Problem::not_found("role of this person"))?;
    Ok(tagged_role(found, RoleChange::Channel { channel, role: None }))
}

/// Give a person a role in a channel, or take it away.
///
/// A person who is not an Admin of the channel may take away their own role.
#[utoipa::path(
    patch, path = "/channels/{channel}/roles/{person}", operation_id = "setChannelRole",
    tag = "people",
    params(
        ("channel" = schema::ChannelId, Path, description = "The channel."),
        ("person" = schema::PersonId, Path, description = "The person."),
    ),
    request_body = ChannelRoleChange,
    responses((status = 200, description = "The person's role now.", body = show::RoleHolder), Problems)
)]
pub async fn set_channel_role(
    who: Administrator,
    Ids((channel, person)): Ids<(ChannelId, PersonId)>,
    Body(change): Body<ChannelRoleChange>,
) -> Result<Tagged<show::RoleHolder>, Problem> {
    let role = RoleChange::Channel { channel, role: given(change.role)? };
    let admin = who.admin.because(change.reason.map(|it| it.0));
    Ok(tagged_role(&admin.set_role(person, role).await?, role))
}
