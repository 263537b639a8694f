//! Acts on people.

use crate::{By, Result};
use async_trait::async_trait;
use tegata_policy::{
    acts::{
        AcceptInvitation, AdminTokenRow, ChangePassword, ChangePerson, CreateChannel, InvitePerson,
        LinkIdentity, PersonRow, ResetPerson, SessionRow, SetRole, SignIn, TokenHash,
        UnlinkIdentity, UseCode,
    },
    channel::Channel,
};
use tegata_token::id::{AdminTokenId, PersonId};

/// The part of a [`Store`](crate::Store) that acts on people. Every engine has all of it.
#[async_trait]
pub trait PeopleStore: Send + Sync {
    // ---- Acts. Each is one transaction; its result is sent after the commit.

    /// Invites a person. [`Taken`](crate::Error::Taken) if there is one of this id.
    async fn invite_person(&self, act: InvitePerson) -> Result<PersonRow>;
    /// Accepts an invitation at this time.
    async fn accept_invitation(&self, act: AcceptInvitation) -> Result<PersonRow>;
    /// Renames, disables or enables a person.
    async fn change_person(&self, act: ChangePerson) -> Result<PersonRow>;
    /// Gives or takes a role.
    async fn set_role(&self, act: SetRole) -> Result<PersonRow>;
    /// Lets a person begin anew with an invitation.
    async fn reset_person(&self, act: ResetPerson) -> Result<PersonRow>;
    /// Deletes a person.
    async fn delete_person(&self, id: PersonId, by: By) -> Result<()>;
    /// Decides the same without doing it.
    async fn would_delete_person(&self, id: PersonId, by: By) -> Result<()>;

    /// Creates a channel, whose Admin the person becomes who creates it.
    async fn create_channel_as(&self, act: CreateChannel) -> Result<Channel>;

    /// Begins a session.
    async fn sign_in(&self, act: SignIn) -> Result<SessionRow>;
    /// Uses a code of a person who is signed in.
    async fn use_code(&self, act: UseCode) -> Result<()>;
    /// Ends a session.
    async fn end_session(&self, person: PersonId, token: TokenHash, by: By) -> Result<()>;
    /// Changes a password.
    async fn change_password(&self, act: ChangePassword) -> Result<()>;
    /// Links an account at an identity provider.
    async fn link_identity(&self, act: LinkIdentity) -> Result<()>;
    /// Unlinks it.
    async fn unlink_identity(&self, act: UnlinkIdentity) -> Result<()>;
    /// Creates a personal token. [`Taken`](crate::Error::Taken) if there is one of this id.
    async fn create_admin_token(&self, new: AdminTokenRow, by: By) -> Result<AdminTokenRow>;
    /// Deletes a personal token.
    async fn delete_admin_token(&self, id: AdminTokenId, by: By) -> Result<()>;
    /// Decides the same without doing it.
    async fn would_delete_admin_token(&self, id: AdminTokenId, by: By) -> Result<()>;
}

/// People, sessions and personal tokens as a server holds them in memory.
#[derive(Debug, Clone, Default)]
pub struct PeopleState {
    /// The people who are not deleted.
    pub people: Vec<PersonRow>,
    /// Their sessions.
    pub sessions: Vec<SessionRow>,
    /// Their personal tokens.
    pub admin_tokens: Vec<AdminTokenRow>,
}
