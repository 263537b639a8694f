//! People, their roles, sessions and personal tokens, as the API shows them.

use super::time::time;
use crate::{
    api::admin::schema,
    authority::admin::{self, Accepted, Invited, ListedPerson, NewSession, OpenedInvitation},
};
use serde::Serialize;
use std::sync::Arc;
use tegata_policy::{
    acts::{AdminTokenRow, PersonRow, PersonState},
    permission::{self, Rights},
    secret::PlainSecret,
};
use tegata_token::id::{AdminTokenId, ChannelId, PersonId, ProviderId};
use utoipa::ToSchema;

/// A person.
#[derive(Serialize, ToSchema)]
pub struct Person {
    #[schema(value_type = schema::PersonId)]
    person_id: PersonId,
    #[schema(value_type = schema::Login)]
    login: String,
    #[schema(value_type = schema::Name)]
    name: String,
    #[schema(value_type = schema::PersonState)]
    state: PersonState,
    #[schema(required, value_type = Option<schema::OperatorRole>)]
    operator: Option<permission::OperatorRole>,
    /// The roles in providers.
    providers: Vec<RoleInProvider>,
    /// The roles in channels.
    channels: Vec<RoleInChannel>,
    /// Until when an invitation can be accepted; null: there is none.
    #[schema(required, value_type = Option<schema::Time>)]
    invited_until: Option<String>,
    /// How many recovery codes are left; null without a password.
    #[schema(required)]
    recovery_codes_left: Option<usize>,
    /// The linked account at an identity provider; null: there is none.
    #[schema(required)]
    identity: Option<ShownIdentity>,
    #[schema(required, value_type = Option<schema::Time>)]
    created_at: Option<String>,
}

/// A person's account at an identity provider.
#[derive(Serialize, ToSchema)]
#[schema(as = Identity)]
pub struct ShownIdentity {
    /// The provider.
    #[schema(example = "https://id.example.com")]
    issuer: String,
    /// The account there.
    #[schema(example = "248289761001")]
    subject: String,
    /// When it was linked.
    #[schema(required, value_type = Option<schema::Time>)]
    linked_at: Option<String>,
}

/// A person's role in a provider.
#[derive(Serialize, ToSchema)]
pub struct RoleInProvider {
    #[schema(value_type = schema::ProviderId)]
    provider_id: ProviderId,
    #[schema(value_type = schema::ProviderRole)]
    role: permission::ProviderRole,
}

/// A person's role in a channel.
#[derive(Serialize, ToSchema)]
pub struct RoleInChannel {
    #[schema(value_type = schema::ChannelId)]
    channel_id: ChannelId,
    #[schema(value_type = schema::ChannelRole)]
    role: permission::ChannelRole,
}

page! {
    /// A page of people.
    People, people: Person
}

impl From<&PersonRow> for Person {
    fn from(it: &PersonRow) -> Self {
        let provider =
            |(&provider_id, &role): (&ProviderId, &_)| RoleInProvider { provider_id, role };
        let channel = |(&channel_id, &role): (&ChannelId, &_)| RoleInChannel { channel_id, role };
        Self {
            person_id: it.id,
            login: it.login.clone(),
            name: it.name.clone(),
            state: it.state(),
            operator: it.operator,
            providers: it.providers.iter().map(provider).collect(),
            channels: it.channels.iter().map(channel).collect(),
            invited_until: None,
            recovery_codes_left: None,
            identity: None,
            created_at: time(it.created_at),
        }
    }
}

impl From<&ListedPerson> for Person {
    fn from(it: &ListedPerson) -> Self {
        let invited_until = it.invited_until.and_then(time);
        let recovery_codes_left = it.recovery_codes_left;
        let identity = it.identity.as_ref().map(|it| ShownIdentity {
            issuer: it.identity.issuer.clone(),
            subject: it.identity.subject.clone(),
            linked_at: time(it.linked_at),
        });
        Self { invited_until, recovery_codes_left, identity, ..(&it.person).into() }
    }
}

/// A person with an invitation.
#[derive(Serialize, ToSchema)]
pub struct InvitedPerson {
    /// The invitation. This is the only time that it is shown; it is accepted once.
    #[schema(pattern = "^tgi_[0-9a-f]{64}$")]
    invitation: String,
    /// The link with which it is accepted in a browser; null if neither `public_url` nor
    /// `console_url` says where the console is.
    #[schema(required)]
    link: Option<String>,
    /// When it expires.
    #[schema(required, value_type = Option<schema::Time>)]
    expires_at: Option<String>,
    #[serde(flatten)]
    person: Person,
}

impl From<&Invited> for InvitedPerson {
    fn from(it: &Invited) -> Self {
        let expires_at = time(it.expires_at);
        let person = Person { invited_until: expires_at.clone(), ..(&it.person).into() };
        let link = it.link.as_ref().map(|it| it.reveal().to_owned());
        Self { invitation: it.invitation.reveal().to_owned(), link, expires_at, person }
    }
}

/// A person who has a role in a provider or a channel.
#[derive(Serialize, ToSchema)]
pub struct RoleHolder {
    #[schema(value_type = schema::PersonId)]
    person_id: PersonId,
    #[schema(value_type = schema::Login)]
    login: String,
    #[schema(value_type = schema::Name)]
    name: String,
    #[schema(value_type = schema::PersonState)]
    state: PersonState,
    /// The role: `admin`, `member` or, in a channel, `tester`; null: none.
    #[schema(required, example = "admin")]
    role: Option<String>,
}

page! {
    /// A page of people who have a role.
    RoleHolders, roles: RoleHolder
}

impl<R: Serialize> From<&(Arc<PersonRow>, R)> for RoleHolder {
    fn from((person, role): &(Arc<PersonRow>, R)) -> Self {
        Self::of(person, Some(role))
    }
}

impl RoleHolder {
    /// The person with this role.
    pub fn of(person: &PersonRow, role: Option<impl Serialize>) -> Self {
        let role = role.and_then(|it| serde_json::to_value(it).ok());
        Self {
            person_id: person.id,
            login: person.login.clone(),
            name: person.name.clone(),
            state: person.state(),
            role: role.and_then(|it| it.as_str().map(str::to_owned)),
        }
    }
}

/// An invitation that can be accepted.
#[derive(Serialize, ToSchema)]
pub struct Invitation {
    #[schema(value_type = schema::Login)]
    login: String,
    #[schema(value_type = schema::Name)]
    name: String,
    #[schema(required, value_type = Option<schema::Time>)]
    expires_at: Option<String>,
    /// A fresh secret for an authenticator, in base32. Send it back with the password.
    #[schema(pattern = "^[A-Z2-7]{52}$")]
    totp_secret: String,
    /// The same as an address that authenticators read, mostly as a QR code.
    totp_uri: String,
}

impl From<OpenedInvitation> for Invitation {
    fn from(it: OpenedInvitation) -> Self {
        let secret = it.totp_secret.reveal();
        let login = &it.person.login;
        Self {
            login: login.clone(),
            name: it.person.name,
            expires_at: time(it.expires_at),
            totp_secret: secret.to_owned(),
            totp_uri: format!("otpauth://totp/Tegata:{login}?secret={secret}&issuer=Tegata"),
        }
    }
}

/// An invitation that was accepted.
#[derive(Serialize, ToSchema)]
pub struct AcceptedInvitation {
    #[schema(value_type = schema::PersonId)]
    person_id: PersonId,
    #[schema(value_type = schema::Login)]
    login: String,
    /// Codes that sign in once each, without the authenticator. This is the only time that
    /// they are shown.
    recovery_codes: Vec<String>,
}

impl From<Accepted> for AcceptedInvitation {
    fn from(it: Accepted) -> Self {
        let codes = it.recovery_codes.iter().map(|it| it.reveal().to_owned());
        Self { person_id: it.person.id, login: it.person.login, recovery_codes: codes.collect() }
    }
}

/// A session.
#[derive(Serialize, ToSchema)]
pub struct Session {
    /// Its token, as bearer token of further requests. This is the only time that it is
    /// shown.
    #[schema(pattern = "^tgc_[0-9a-f]{64}$")]
    session_token: String,
    #[schema(value_type = schema::PersonId)]
    person_id: PersonId,
    #[schema(required, value_type = Option<schema::Time>)]
    expires_at: Option<String>,
}

impl From<NewSession> for Session {
    fn from(NewSession { token, session }: NewSession) -> Self {
        Self {
            session_token: token.reveal().to_owned(),
            person_id: session.person,
            expires_at: time(session.expires_at),
        }
    }
}

/// A personal administrator's token, without the token itself.
#[derive(Serialize, ToSchema)]
pub struct AdminToken {
    #[schema(value_type = schema::AdminTokenId)]
    admin_token_id: AdminTokenId,
    #[schema(value_type = schema::PersonId)]
    person_id: PersonId,
    #[schema(value_type = schema::Name)]
    name: String,
    #[schema(value_type = schema::Rights)]
    rights: Rights,
    #[schema(required, value_type = Option<schema::Time>)]
    created_at: Option<String>,
    /// After it the token authenticates no request; its row stays until it is deleted.
    #[schema(required, value_type = Option<schema::Time>)]
    expires_at: Option<String>,
}

page! {
    /// A page of personal administrator's tokens.
    AdminTokens, admin_tokens: AdminToken
}

impl From<&AdminTokenRow> for AdminToken {
    fn from(it: &AdminTokenRow) -> Self {
        Self {
            admin_token_id: it.id,
            person_id: it.person,
            name: it.name.clone(),
            rights: it.rights,
            created_at: time(it.created_at),
            expires_at: time(it.expires_at),
        }
    }
}

/// What the deletion of a person would end.
#[derive(Serialize, ToSchema)]
pub struct PersonToDelete {
    /// Always true.
    dry_run: bool,
    person: Person,
    /// The personal tokens, newest first.
    admin_tokens: Vec<AdminToken>,
    /// Number of sessions.
    sessions: usize,
}

impl PersonToDelete {
    /// The result of a dry run.
    pub fn of(it: &admin::PersonToDelete) -> Self {
        Self {
            dry_run: true,
            person: (&it.person).into(),
            admin_tokens: it.admin_tokens.iter().map(AdminToken::from).collect(),
            sessions: it.sessions,
        }
    }
}

/// A personal administrator's token that would be deleted.
#[derive(Serialize, ToSchema)]
pub struct TokenToDelete {
    /// Always true.
    dry_run: bool,
    #[serde(flatten)]
    token: AdminToken,
}

impl TokenToDelete {
    /// The result of a dry run.
    pub fn of(it: &AdminTokenRow) -> Self {
        Self { dry_run: true, token: it.into() }
    }
}

/// A new personal administrator's token.
#[derive(Serialize, ToSchema)]
pub struct NewAdminToken {
    /// The token. This is the only time that it is shown.
    #[schema(pattern = "^tgp_[0-9a-f]{64}$")]
    admin_token: String,
    #[serde(flatten)]
    row: AdminToken,
}

impl NewAdminToken {
    /// The row and the token.
    pub fn new(row: &AdminTokenRow, token: &PlainSecret) -> Self {
        Self { admin_token: token.reveal().to_owned(), row: row.into() }
    }
}
