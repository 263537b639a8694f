//! Signing in: invitations, sessions, one's own account and personal tokens.

use crate::api::admin::{
    administrator::{Administrator, Anyone},
    people,
    problem::{Code, Problem, Problems},
    read::{Body, Forgetting, Ids, Line, Part, Query, moment},
    schema, show,
};
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Deserialize;
use tegata_policy::{permission::Rights, secret::PlainSecret};
use tegata_token::id::AdminTokenId;
use utoipa::ToSchema;

/// An invitation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitationToOpen {
    /// The invitation as it was handed over.
    invitation: String,
}

/// See what an invitation is for, and get a fresh secret for the second factor.
///
/// Changes nothing, and can be repeated until the invitation is accepted or expires.
#[utoipa::path(
    post, path = "/invitations/open", operation_id = "openInvitation", tag = "signing in",
    security(()),
    request_body = InvitationToOpen,
    responses((status = 200, description = "The invitation.", body = show::Invitation), Problems)
)]
pub async fn open_invitation(
    it: Anyone,
    Body(InvitationToOpen { invitation }): Body<InvitationToOpen>,
) -> Result<Json<show::Invitation>, Problem> {
    let invitation = PlainSecret::from_caller(invitation);
    let opened = it.authority.open_invitation(&invitation).await?;
    Ok(Json(opened.into()))
}

/// An invitation to accept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitationToAccept {
    /// The invitation as it was handed over.
    invitation: String,
    /// The new password, of 12 to 200 characters.
    password: String,
    /// The secret that opening the invitation returned.
    totp_secret: String,
    /// A present code of this secret: six digits.
    code: String,
}

/// Accept an invitation: set the password and the second factor.
///
/// An invitation is accepted once.
#[utoipa::path(
    post, path = "/invitations/accept", operation_id = "acceptInvitation", tag = "signing in",
    security(()),
    request_body = InvitationToAccept,
    responses((status = 201, description = "It is accepted.", body = show::AcceptedInvitation), Problems)
)]
pub async fn accept_invitation(
    it: Anyone,
    Body(how): Body<InvitationToAccept>,
) -> Result<(StatusCode, Json<show::AcceptedInvitation>), Problem> {
    let [invitation, password, secret, code] =
        [how.invitation, how.password, how.totp_secret, how.code].map(PlainSecret::from_caller);
    let second = (&secret, &code);
    let accepted = it.authority.accept_invitation(&invitation, password, second, None, it.source);
    Ok((StatusCode::CREATED, Json(accepted.await?.into())))
}

/// What a person signs in with.
#[derive(Deserialize, ToSchema)]
#[schema(as = SignIn)]
#[serde(deny_unknown_fields)]
pub struct SigningIn {
    #[schema(value_type = schema::Login)]
    login: Line<64>,
    password: String,
    /// Six digits of the authenticator, or a recovery code.
    code: String,
}

/// Sign in: begin a session.
///
/// Its token is the bearer token of further requests, for at most twelve hours. More than ten
/// attempts in a minute from one source are 429.
#[utoipa::path(
    post, path = "/sessions", operation_id = "signIn", tag = "signing in",
    security(()),
    request_body = SigningIn,
    responses((status = 201, description = "The session.", body = show::Session), Problems)
)]
pub async fn sign_in(
    it: Anyone,
    Body(how): Body<SigningIn>,
) -> Result<(StatusCode, Json<show::Session>), Problem> {
    let login = people::login(how.login)?;
    let [password, code] = [how.password, how.code].map(PlainSecret::from_caller);
    let session = it.authority.sign_in(login, password, &code, it.source).await?;
    Ok((StatusCode::CREATED, Json(session.into())))
}

/// Sign out: end the session that authenticates the request.
#[utoipa::path(
    delete, path = "/sessions/current", operation_id = "signOut", tag = "signing in",
    responses((status = 204, description = "The session is ended."), Problems)
)]
pub async fn sign_out(who: Administrator, Query(()): Query<()>) -> Result<StatusCode, Problem> {
    who.admin.sign_out().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Show your own account.
#[utoipa::path(
    get, path = "/account", operation_id = "showAccount", tag = "signing in",
    responses((status = 200, description = "The person.", body = show::Person), Problems)
)]
pub async fn show(who: Administrator, Query(()): Query<()>) -> Result<Json<show::Person>, Problem> {
    Ok(Json((&who.admin.account().await?).into()))
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The present password.
    old_password: String,
    /// The new password, of 12 to 200 characters.
    new_password: String,
}

/// Change your own password. All other sessions end.
#[utoipa::path(
    post, path = "/account/password", operation_id = "changePassword", tag = "signing in",
    request_body = PasswordChange,
    responses((status = 204, description = "The password is changed."), Problems)
)]
pub async fn change_password(
    who: Administrator,
    Body(change): Body<PasswordChange>,
) -> Result<StatusCode, Problem> {
    let [old, new] = [change.old_password, change.new_password].map(PlainSecret::from_caller);
    who.admin.change_password(old, new).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A personal administrator's token to create.
#[derive(Deserialize, ToSchema)]
#[schema(as = AdminTokenToMake)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    #[schema(value_type = schema::Name)]
    name: Line<100>,
    #[schema(value_type = schema::Rights)]
    rights: Rights,
    /// When it expires (RFC 3339), within 366 days.
    #[schema(example = "2026-12-26T09:00:00Z")]
    expires_at: String,
}

/// Create a personal administrator's token.
///
/// It has the roles of its person, narrowed by its rights, until it expires. Only a session
/// creates one.
#[utoipa::path(
    post, path = "/admin-tokens", operation_id = "createAdminToken", tag = "signing in",
    request_body = NewToken,
    responses((status = 201, description = "The token is created.", body = show::NewAdminToken), Problems)
)]
pub async fn create_token(
    who: Administrator,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Json<show::NewAdminToken>), Problem> {
    let at = moment("expires_at", Some(new.expires_at))?;
    let at = at.ok_or_else(|| {
        Problem::member("expires_at", Code::MissingMember, "`expires_at` is missing")
    })?;
    let (row, token) = who.admin.create_admin_token(new.name.0, new.rights, at).await?;
    Ok((StatusCode::CREATED, Json(show::NewAdminToken::new(&row, &token))))
}

/// List personal administrator's tokens, newest first: your own, or all for operators.
#[utoipa::path(
    get, path = "/admin-tokens", operation_id = "listAdminTokens", tag = "signing in",
    params(Part),
    responses((status = 200, description = "A page of tokens.", body = show::AdminTokens), Problems)
)]
pub async fn list_tokens(
    who: Administrator,
    Query(part): Query<Part>,
) -> Result<Json<show::AdminTokens>, Problem> {
    let (rows, next) = part.cut(who.admin.admin_tokens()?, |it| it.id.to_string())?;
    Ok(show::AdminTokens::of(&rows, next))
}

/// Delete a personal administrator's token: it authenticates no request any more.
#[utoipa::path(
    delete, path = "/admin-tokens/{admin_token}", operation_id = "deleteAdminToken",
    tag = "signing in",
    params(
        ("admin_token" = schema::AdminTokenId, Path, description = "The token's id."),
        Forgetting,
    ),
    responses(
        (status = 204, description = "The token is deleted."),
        (status = 200, description = "Of a dry run: the token.", body = show::TokenToDelete),
        Problems,
    )
)]
pub async fn delete_token(
    who: Administrator,
    Ids(id): Ids<AdminTokenId>,
    Query(how): Query<Forgetting>,
) -> Result<Response, Problem> {
    let (dry_run, admin) = how.split(who);
    if dry_run {
        let found = admin.would_delete_admin_token(id).await?;
        return Ok(Json(show::TokenToDelete::of(&found)).into_response());
    }
    admin.delete_admin_token(id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
