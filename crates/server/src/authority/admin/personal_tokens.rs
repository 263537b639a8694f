//! Personal tokens of people.

use super::facade::{Admin, Error, Result};
use crate::authority::{people, random};
use tegata_policy::{
    acts::AdminTokenRow,
    permission::{Permission, Rights},
    secret::PlainSecret,
};
use tegata_store::Error as StoreError;
use tegata_token::{
    id::AdminTokenId,
    time::{DAY, UnixTime},
};

/// Longest time for which a personal token is valid.
const LONGEST: i64 = 366 * DAY;

impl Admin {
    /// Creates a personal token, which is shown this once.
    ///
    /// # Errors
    /// [`Error::Unacceptable`] for an end that is past or too far, or as the store.
    pub async fn create_admin_token(
        &self,
        name: String,
        rights: Rights,
        expires_at: UnixTime,
    ) -> Result<(AdminTokenRow, PlainSecret)> {
        self.may(Permission::ChangeAccount)?;
        let (person, now) = (self.own()?.id, self.authority.now());
        if expires_at <= now || now.plus(LONGEST) < expires_at {
            return Err(Error::Unacceptable(
                "expires_at",
                "a personal token expires within 366 days",
            ));
        }
        let token = people::personal_token(random::bytes()?);
        loop {
            let id = super::ids::ten_digits()?;
            let id = AdminTokenId::from_number(id).ok_or_else(super::ids::no_id)?;
            let new = AdminTokenRow {
                id,
                person,
                name: name.clone(),
                rights,
                token: people::hash(&token),
                created_at: now,
                expires_at,
            };
            match self.authority.store().create_admin_token(new, self.by()).await {
                Err(StoreError::Taken) => {}
                done => return Ok((done?, token)),
            }
        }
    }

    /// Personal tokens, newest first: the actor's own, or those of all people for an actor that
    /// sees people.
    ///
    /// # Errors
    /// The actor is neither.
    pub fn admin_tokens(&self) -> Result<Vec<AdminTokenRow>> {
        let people = &self.authority.memory.people;
        if self.may(Permission::ReadPeople).is_ok() {
            return Ok(people.admin_tokens(None));
        }
        self.may(Permission::ReadAccount)?;
        Ok(people.admin_tokens(Some(self.own()?.id)))
    }

    /// Deletes a personal token.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or [`StoreError::Unavailable`].
    pub async fn delete_admin_token(&self, id: AdminTokenId) -> Result<()> {
        self.may_delete_token(id)?;
        Ok(self.authority.store().delete_admin_token(id, self.by()).await?)
    }

    /// Decides the same without doing it.
    ///
    /// # Errors
    /// As [`Self::delete_admin_token`].
    pub async fn would_delete_admin_token(&self, id: AdminTokenId) -> Result<AdminTokenRow> {
        self.may_delete_token(id)?;
        self.authority.store().would_delete_admin_token(id, self.by()).await?;
        let found = self.authority.memory.people.admin_token(id);
        Ok(found.ok_or(StoreError::NotFound("administrator's token"))?)
    }

    fn may_delete_token(&self, id: AdminTokenId) -> Result<()> {
        let found = self.authority.memory.people.admin_token(id);
        let is_own = found.is_some_and(|it| Some(it.person) == self.person_id());
        match is_own {
            true => self.may(Permission::NarrowAccount),
            false => self.may_with(Permission::DeleteOthersToken).map_err(|error| match error {
                Error::Store(StoreError::NotFound(_)) => {
                    StoreError::NotFound("administrator's token").into()
                }
                other => other,
            }),
        }
    }
}
