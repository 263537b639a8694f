//! Acts on people.

use super::*;
use tegata_policy::{
    acts::{
        AcceptInvitation, AdminTokenRow, ChangePerson, CreateChannel, FirstFactor, InvitePerson,
        PasswordHash, ResetPerson, SecondFactor, SessionRow, SignIn, SignInSecrets, TokenHash,
    },
    permission::{ChannelRole, Rights, RoleChange},
};
use tegata_token::id::{AdminTokenId, PersonId};

impl World {
    /// Invites a person with a session and a personal token, and takes something from one of
    /// the people.
    pub(super) async fn change_people(&mut self, channel: ChannelId) {
        let (number, of) =
            (self.fresh(), |n: u64| PersonId::from_number(3_000_000_000 + n).unwrap());
        let hash = |kind: u8| {
            let mut bytes = [kind; 32];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            TokenHash(bytes)
        };
        let (id, expires_at, invitation) = (of(number), NOW.plus(30 * DAY), hash(1));
        let (login, name) = (format!("person-{number}"), "Name".to_owned());
        let role = Some(RoleChange::Channel { channel, role: Some(ChannelRole::Admin) });
        let role = role.filter(|_| number.is_multiple_of(3));
        let act = InvitePerson { id, login, name, role, invitation, expires_at, by: by() };
        // The channel may be deleted.
        let Ok(_) = self.store.invite_person(act).await else { return };
        let password = PasswordHash("hash".into());
        let secrets = SignInSecrets {
            password: password.clone(),
            totp: WrappedKey(vec![1]),
            totp_step: 0,
            recovery: vec![],
        };
        let act = AcceptInvitation { invitation, secrets, by: by() };
        self.store.accept_invitation(act).await.unwrap();
        let session = SessionRow { token: hash(2), person: id, created_at: NOW, expires_at };
        let second = SecondFactor::Totp(1);
        let first = FirstFactor::Password(password.clone());
        let act = SignIn { session, first, second, by: by() };
        self.store.sign_in(act).await.unwrap();
        let admin_token = AdminTokenRow {
            id: AdminTokenId::from_number(number).unwrap(),
            person: id,
            name: "deploy".into(),
            rights: Rights::Full,
            token: hash(3),
            created_at: NOW,
            expires_at,
        };
        self.store.create_admin_token(admin_token, by()).await.unwrap();
        let people = self.store.people().await.unwrap();
        let other = people[usize::try_from(self.below(people.len() as u64)).unwrap()].person.id;
        match self.below(6) {
            0 => self.store.delete_person(other, by()).await.unwrap(),
            1 => {
                let act = ChangePerson { id: other, name: None, disabled: Some(true), by: by() };
                drop(self.store.change_person(act).await.unwrap());
            }
            2 => {
                let invitation = hash(4);
                let act =
                    ResetPerson { id: other, invitation: Some((invitation, expires_at)), by: by() };
                drop(self.store.reset_person(act).await.unwrap());
            }
            3 => self.store.end_session(id, hash(2), by()).await.unwrap(),
            4 => {
                let id = AdminTokenId::from_number(number).unwrap();
                self.store.delete_admin_token(id, by()).await.unwrap();
            }
            _ => {
                let new = NewChannel {
                    id: ChannelId::from_number(1_000_000_000 + self.fresh()).unwrap(),
                    provider: ProviderId::from_number(77).unwrap(),
                    name: "Shop".into(),
                    channel_type: ChannelType::MessagingApi,
                    secret: password_secret().hash(),
                };
                let act = CreateChannel { new, admin: Some(id), by: by() };
                self.channels.push(self.store.create_channel_as(act).await.unwrap().id);
            }
        }
    }

    pub(super) async fn second_factors(&self) -> Vec<(PersonId, WrappedKey)> {
        let people = self.store.people().await.unwrap();
        let with = people.into_iter().filter_map(|it| Some((it.person.id, it.secrets?.totp)));
        with.collect()
    }
}
