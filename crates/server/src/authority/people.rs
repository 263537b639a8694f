//! People's acts that need chance: ids, secrets and the names of keys are made here,
//! so that the store needs none.

use super::Authority;
use crate::chance;
use tegata_policy::{
    channel::{Channel, RegisteredKey},
    jwk::AssertionKey,
    law::ChannelType,
    secret::PlainSecret,
};
use tegata_store::{By, Error, NewChannel, Provider, Result};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, ProviderId},
    time::UnixTime,
};

impl Authority {
    /// Makes a provider.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn create_provider(&self, name: &str, by: By) -> Result<Provider> {
        loop {
            let id = ProviderId::from_number(fresh_id()?).ok_or_else(no_id)?;
            match self.store.create_provider(id, name.to_owned(), by.clone()).await {
                Err(Error::Taken) => {}
                done => return done,
            }
        }
    }

    /// Makes a channel; its secret is shown this once.
    ///
    /// # Errors
    /// [`Error::NotFound`] without such a provider, or [`Error::Unavailable`].
    pub async fn create_channel(
        &self,
        provider: ProviderId,
        name: &str,
        channel_type: ChannelType,
        by: By,
    ) -> Result<(Channel, PlainSecret)> {
        let secret = PlainSecret::from_random(chance::bytes()?);
        loop {
            let id = ChannelId::from_number(fresh_id()?).ok_or_else(no_id)?;
            let name = name.to_owned();
            let new = NewChannel { id, provider, name, channel_type, secret: secret.hash() };
            match self.store.create_channel(new, by.clone()).await {
                Err(Error::Taken) => {}
                Ok(channel) => return Ok((channel, secret)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives a channel a new secret, shown this once; the previous one is taken
    /// for `keep_previous` seconds more. Answers with it until when that is.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Unavailable`].
    pub async fn replace_secret(
        &self,
        channel: ChannelId,
        keep_previous: i64,
        revoke_tokens: bool,
        by: By,
    ) -> Result<(PlainSecret, UnixTime)> {
        let secret = PlainSecret::from_random(chance::bytes()?);
        let hash = secret.hash();
        let until =
            self.store.replace_secret(channel, hash, keep_previous, revoke_tokens, by).await?;
        Ok((secret, until))
    }

    /// Registers an assertion key on a channel, or for one of its groups; answers
    /// the `kid` that it was given.
    ///
    /// # Errors
    /// [`Error::Conflict`] where there are as many as there may be,
    /// [`Error::NotFound`] or [`Error::Unavailable`].
    pub async fn register_key(
        &self,
        channel: ChannelId,
        key: AssertionKey,
        group: Option<Group>,
        by: By,
    ) -> Result<AssertionKeyId> {
        let id = AssertionKeyId::from_random(chance::bytes()?);
        let key = RegisteredKey { id, group, key, created_at: by.at };
        self.store.register_key(channel, key, by).await?;
        Ok(id)
    }
}

/// Ten digits without a zero in front, which spreadsheets would eat.
fn fresh_id() -> Result<u64> {
    Ok(1_000_000_000 + chance::below(9_000_000_000)?)
}

fn no_id() -> Error {
    Error::Unavailable("no id to be had".into())
}
