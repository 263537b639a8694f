//! Every method of [`PeopleStore`].

use super::{SqliteStore, people, people::read};
use crate::{By, PeopleStore, Result};
use async_trait::async_trait;
use tegata_policy::{
    acts::{
        AcceptInvitation, AdminTokenRow, ChangePassword, ChangePerson, CreateAdminToken,
        CreateChannel, DeleteAdminToken, DeletePerson, EndSession, InvitePerson, LinkIdentity,
        PersonRow, ResetPerson, SessionRow, SetRole, SignIn, StoredPerson, TokenHash,
        UnlinkIdentity, WhichPerson,
    },
    channel::Channel,
};
use tegata_token::id::{AdminTokenId, PersonId};

#[async_trait]
impl PeopleStore for SqliteStore {
    async fn person(&self, which: WhichPerson) -> Result<Option<StoredPerson>> {
        self.read(move |conn| read(people::one(conn, &which))).await
    }

    async fn people(&self) -> Result<Vec<StoredPerson>> {
        self.list(|conn| read(people::all(conn))).await
    }

    async fn invite_person(&self, act: InvitePerson) -> Result<PersonRow> {
        self.run(act.by.at, act).await.map(|(person, _)| person)
    }

    async fn accept_invitation(&self, act: AcceptInvitation) -> Result<PersonRow> {
        self.run(act.by.at, act).await.map(|(person, _)| person)
    }

    async fn change_person(&self, act: ChangePerson) -> Result<PersonRow> {
        self.run(act.by.at, act).await.map(|(person, _)| person)
    }

    async fn set_role(&self, act: SetRole) -> Result<PersonRow> {
        self.run(act.by.at, act).await.map(|(person, _)| person)
    }

    async fn reset_person(&self, act: ResetPerson) -> Result<PersonRow> {
        self.run(act.by.at, act).await.map(|(person, _)| person)
    }

    async fn delete_person(&self, id: PersonId, by: By) -> Result<()> {
        self.run(by.at, DeletePerson { id, by }).await.map(drop)
    }

    async fn would_delete_person(&self, id: PersonId, by: By) -> Result<()> {
        self.decide(by.at, DeletePerson { id, by }, 0).await.map(drop)
    }

    async fn create_channel_as(&self, act: CreateChannel) -> Result<Channel> {
        self.run(act.by.at, act).await.map(|(channel, _)| channel)
    }

    async fn sign_in(&self, act: SignIn) -> Result<SessionRow> {
        self.run(act.by.at, act).await.map(|(session, _)| session)
    }

    async fn end_session(&self, person: PersonId, token: TokenHash, by: By) -> Result<()> {
        self.run(by.at, EndSession { person, token, by }).await.map(drop)
    }

    async fn change_password(&self, act: ChangePassword) -> Result<()> {
        self.run(act.by.at, act).await.map(drop)
    }

    async fn link_identity(&self, act: LinkIdentity) -> Result<()> {
        self.run(act.by.at, act).await.map(drop)
    }

    async fn unlink_identity(&self, act: UnlinkIdentity) -> Result<()> {
        self.run(act.by.at, act).await.map(drop)
    }

    async fn create_admin_token(&self, new: AdminTokenRow, by: By) -> Result<AdminTokenRow> {
        self.run(by.at, CreateAdminToken { new, by }).await.map(|(token, _)| token)
    }

    async fn delete_admin_token(&self, id: AdminTokenId, by: By) -> Result<()> {
        self.run(by.at, DeleteAdminToken { id, by }).await.map(drop)
    }

    async fn would_delete_admin_token(&self, id: AdminTokenId, by: By) -> Result<()> {
        self.decide(by.at, DeleteAdminToken { id, by }, 0).await.map(drop)
    }
}
