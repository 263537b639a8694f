//! People and their roles.

use super::{
    facade::{Admin, Error, Result},
    ids::{no_id, ten_digits},
};
use crate::authority::{people, random, tokens::in_between};
use std::sync::Arc;
use tegata_policy::{
    acts::{
        AdminTokenRow, ChangePerson, InvitePerson, LinkedIdentity, PersonRow, PersonState,
        ResetPerson, SetRole, StoredPerson, WhichPerson,
    },
    permission::{ChannelRole, OperatorRole, Permission, ProviderRole, RoleChange},
    secret::PlainSecret,
};
use tegata_store::{Error as StoreError, ExpectedSettings, SettingsTag};
use tegata_token::{
    id::{ChannelId, PersonId, ProviderId},
    time::{DAY, UnixTime},
};

/// For how many seconds an invitation can be accepted.
const INVITATION: i64 = 7 * DAY;
/// The same for an invitation of an operator, or one that sets a new password.
const SHORT_INVITATION: i64 = DAY;

/// A person to be invited.
#[derive(Debug, Clone)]
pub struct NewPerson {
    /// The name to sign in with.
    pub login: String,
    /// The display name.
    pub name: String,
    /// The first role.
    pub role: Option<RoleChange>,
}

/// A person with an invitation, which is shown this once.
pub struct Invited {
    /// The person.
    pub person: PersonRow,
    /// The invitation.
    pub invitation: PlainSecret,
    /// The link with which it is accepted in a browser, if the console's address is known.
    pub link: Option<PlainSecret>,
    /// When it expires.
    pub expires_at: UnixTime,
}

/// A person as lists show it.
#[derive(Debug, Clone)]
pub struct ListedPerson {
    /// The person.
    pub person: PersonRow,
    /// When the invitation that can be accepted expires.
    pub invited_until: Option<UnixTime>,
    /// How many recovery codes are left; `None` without a password.
    pub recovery_codes_left: Option<usize>,
    /// The linked account at an identity provider.
    pub identity: Option<LinkedIdentity>,
}

/// What the deletion of a person ends.
#[derive(Debug, Clone)]
pub struct PersonToDelete {
    /// The person.
    pub person: ListedPerson,
    /// The personal tokens.
    pub admin_tokens: Vec<AdminTokenRow>,
    /// Number of sessions.
    pub sessions: usize,
}

impl From<StoredPerson> for ListedPerson {
    fn from(StoredPerson { person, invitation, secrets, identity }: StoredPerson) -> Self {
        Self {
            person,
            invited_until: invitation.map(|(_, until)| until),
            recovery_codes_left: secrets.map(|it| it.recovery.len()),
            identity,
        }
    }
}

/// Maximum number of names of people who can be asked.
const NAMES: usize = 10;

impl Admin {
    /// Invites a person.
    ///
    /// # Errors
    /// [`Error::LoginTaken`], or as the store.
    pub async fn invite(&self, new: NewPerson) -> Result<Invited> {
        self.may_change(new.role).await?;
        let which = WhichPerson::Login(new.login.clone());
        if let Some(there) = self.authority.store().person(which).await? {
            return Err(Error::LoginTaken(new.login, there.person.id));
        }
        let invitation = people::invitation(random::bytes()?);
        let lasts = match new.role {
            Some(RoleChange::Provider { .. } | RoleChange::Channel { .. }) => INVITATION,
            Some(RoleChange::Operator { .. }) | None => SHORT_INVITATION,
        };
        let expires_at = self.authority.now().plus(lasts);
        loop {
            let act = InvitePerson {
                id: PersonId::from_number(ten_digits()?).ok_or_else(no_id)?,
                login: new.login.clone(),
                name: new.name.clone(),
                role: new.role,
                invitation: people::hash(&invitation),
                expires_at,
                by: self.by(),
            };
            match self.authority.store().invite_person(act).await {
                Err(StoreError::Taken) => {}
                done => {
                    let link = self.authority.link_of(&invitation);
                    return Ok(Invited { person: done?, invitation, link, expires_at });
                }
            }
        }
    }

    /// Checks that the actor may give this role, or take it away.
    async fn may_change(&self, role: Option<RoleChange>) -> Result<()> {
        match role {
            None => self.may(Permission::InvitePerson),
            Some(RoleChange::Operator { role: Some(_) }) => self.may(Permission::InvitePerson),
            Some(RoleChange::Operator { role: None }) => self.may_with(Permission::DisablePerson),
            Some(RoleChange::Provider { provider, role }) => {
                let act = match role {
                    Some(_) => Permission::GiveProviderRole,
                    None => Permission::TakeProviderRole,
                };
                self.may_in(act, provider)
            }
            Some(RoleChange::Channel { channel, role: Some(_) }) => {
                self.channel_for(Permission::GiveChannelRole, channel).await.map(drop)
            }
            // The role outlasts its channel.
            Some(RoleChange::Channel { channel, role: None }) => {
                self.may_in_channel(Permission::TakeChannelRole, channel).await.map(drop)
            }
        }
    }

    /// All people, newest first.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn people(&self, search: Option<&str>) -> Result<Vec<ListedPerson>> {
        self.may(Permission::ReadPeople)?;
        let all = self.authority.store().people().await?;
        let search = search.map(str::to_lowercase);
        let fits = |it: &ListedPerson| {
            let PersonRow { id, login, name, .. } = &it.person;
            let text = format!("{id} {login} {}", name.to_lowercase());
            search.as_ref().is_none_or(|wanted| text.contains(wanted.as_str()))
        };
        Ok(all.into_iter().map(ListedPerson::from).filter(fits).collect())
    }

    /// The display name of a person, for an actor that sees people or that it is itself.
    #[must_use]
    pub fn name_of(&self, id: PersonId) -> Option<String> {
        let sees = self.person_id() == Some(id) || self.may_with(Permission::ReadPeople).is_ok();
        let person = self.authority.memory.people.get(id).filter(|_| sees)?;
        Some(person.name.clone())
    }

    /// One person.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or [`StoreError::Unavailable`].
    pub async fn person(&self, id: PersonId) -> Result<ListedPerson> {
        self.may_with(Permission::ReadPeople)?;
        self.stored_person(id).await
    }

    pub(super) async fn stored_person(&self, id: PersonId) -> Result<ListedPerson> {
        let found = self.authority.store().person(WhichPerson::Id(id)).await?;
        found.map(ListedPerson::from).ok_or_else(|| StoreError::NotFound("person").into())
    }

    /// Renames, disables or enables a person, and changes the role in the whole authority.
    ///
    /// # Errors
    /// As [`Self::person`].
    pub async fn change_person(
        &self,
        id: PersonId,
        name: Option<String>,
        disabled: Option<bool>,
        operator: Option<Option<OperatorRole>>,
    ) -> Result<ListedPerson> {
        let gives = name.is_some() || disabled == Some(false) || matches!(operator, Some(Some(_)));
        self.may_with(match gives {
            true => Permission::ChangePerson,
            false => Permission::DisablePerson,
        })?;
        let (store, mut by) = (self.authority.store(), self.by());
        let changes = name.is_some() || disabled.is_some();
        if operator.is_none() && !changes {
            self.expects(SettingsTag::of_person(&self.stored_person(id).await?.person))?;
        }
        // First, since this one can be refused: nothing is changed then.
        if let Some(role) = operator {
            let role = RoleChange::Operator { role };
            store.set_role(SetRole { id, role, by: by.clone() }).await?;
            // They were compared before this change.
            by.expected = ExpectedSettings::default();
        }
        if changes {
            let changed = store.change_person(ChangePerson { id, name, disabled, by }).await;
            changed.map_err(|error| if operator.is_some() { in_between(error) } else { error })?;
        }
        self.stored_person(id).await
    }

    /// Ends a person's password, second factor and sessions; an invitation sets new ones.
    ///
    /// # Errors
    /// As [`Self::person`].
    pub async fn reset_person(&self, id: PersonId) -> Result<Invited> {
        self.reset_with(id, None).await
    }

    /// The same with this invitation, or else a fresh one.
    pub(super) async fn reset_with(
        &self,
        id: PersonId,
        invitation: Option<PlainSecret>,
    ) -> Result<Invited> {
        self.may_with(Permission::ResetPerson)?;
        if Some(id) == self.person_id() {
            // A personal token that set a new password would outlast its own end.
            self.may(Permission::ChangeAccount)?;
        }
        let invitation = match invitation {
            Some(drawn) => drawn,
            None => people::invitation(random::bytes()?),
        };
        let expires_at = self.authority.now().plus(SHORT_INVITATION);
        let hash = people::hash(&invitation);
        let act = ResetPerson { id, invitation: Some((hash, expires_at)), by: self.by() };
        let person = self.authority.store().reset_person(act).await?;
        let link = self.authority.link_of(&invitation);
        Ok(Invited { person, invitation, link, expires_at })
    }

    /// Deletes a person, with sessions and personal tokens.
    ///
    /// # Errors
    /// As [`Self::person`].
    pub async fn delete_person(&self, id: PersonId) -> Result<()> {
        self.may_with(Permission::DeletePerson)?;
        Ok(self.authority.store().delete_person(id, self.by()).await?)
    }

    /// Decides the same without doing it.
    ///
    /// # Errors
    /// As [`Self::delete_person`].
    pub async fn would_delete_person(&self, id: PersonId) -> Result<PersonToDelete> {
        self.may_with(Permission::DeletePerson)?;
        self.authority.store().would_delete_person(id, self.by()).await?;
        let people = &self.authority.memory.people;
        Ok(PersonToDelete {
            person: self.stored_person(id).await?,
            admin_tokens: people.admin_tokens(Some(id)),
            sessions: people.sessions(id, self.authority.now()).len(),
        })
    }

    /// The people who have a role in a provider.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or [`StoreError::Unavailable`].
    pub async fn provider_roles(
        &self,
        provider: ProviderId,
    ) -> Result<Vec<(Arc<PersonRow>, ProviderRole)>> {
        self.may_in(Permission::ReadProviderRoles, provider)?;
        self.provider_exists(provider).await?;
        let all = self.authority.memory.people.all().into_iter();
        let role = |it: Arc<PersonRow>| Some((it.clone(), it.providers.get(&provider).copied()?));
        Ok(all.filter_map(role).collect())
    }

    async fn provider_exists(&self, provider: ProviderId) -> Result<()> {
        let found = self.authority.store().provider(provider).await?;
        found.map(drop).ok_or_else(|| StoreError::NotFound("provider").into())
    }

    /// The people who have a role in a channel.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or [`StoreError::Unavailable`].
    pub async fn channel_roles(
        &self,
        channel: ChannelId,
    ) -> Result<Vec<(Arc<PersonRow>, ChannelRole)>> {
        self.channel_for(Permission::ReadChannelRoles, channel).await?;
        let all = self.authority.memory.people.all().into_iter();
        let role = |it: Arc<PersonRow>| Some((it.clone(), it.channels.get(&channel).copied()?));
        Ok(all.filter_map(role).collect())
    }

    /// The names of a channel's Admins, for a person who sees the channel: whom to ask.
    ///
    /// # Errors
    /// As [`Self::channel_roles`].
    pub async fn admins_of_channel(&self, channel: ChannelId) -> Result<Vec<String>> {
        self.channel_for(Permission::ReadChannel, channel).await?;
        Ok(self.names(|it| it.channels.get(&channel) == Some(&ChannelRole::Admin)))
    }

    /// The same for a provider.
    ///
    /// # Errors
    /// As [`Self::provider_roles`].
    pub fn admins_of_provider(&self, provider: ProviderId) -> Result<Vec<String>> {
        self.may_in(Permission::ReadProvider, provider)?;
        Ok(self.names(|it| it.providers.get(&provider) == Some(&ProviderRole::Admin)))
    }

    /// The names of a few people who can sign in.
    fn names(&self, are: impl Fn(&PersonRow) -> bool) -> Vec<String> {
        let all = self.authority.memory.people.all().into_iter();
        let active = all.filter(|it| it.state() == PersonState::Active && are(it));
        active.map(|it| it.name.clone()).take(NAMES).collect()
    }

    /// Gives a person a role in a provider or a channel, or takes it away. A person may give
    /// up their own role in a channel.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or [`StoreError::Unavailable`].
    pub async fn set_role(&self, id: PersonId, role: RoleChange) -> Result<PersonRow> {
        match role {
            RoleChange::Channel { channel, role: None } if Some(id) == self.person_id() => {
                if self.may_in_channel(Permission::LeaveChannel, channel).await.is_err() {
                    self.may_change(Some(role)).await?;
                }
            }
            _ => self.may_change(Some(role)).await?,
        }
        Ok(self.authority.store().set_role(SetRole { id, role, by: self.by() }).await?)
    }
}
