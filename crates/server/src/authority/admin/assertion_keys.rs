//! The public keys that a channel's assertions are verified with.

use super::{
    facade::{Admin, Outcome, Result},
    permission::Permission,
};
use crate::authority::random;
use tegata_policy::{channel::RegisteredKey, jwk::AssertionKey};
use tegata_store::{Error, RevocationTarget};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group},
    time::UnixTime,
};

/// A registered key, and when it was last used.
pub type UsedKey = (RegisteredKey, Option<UnixTime>);

impl Admin {
    /// Registers an assertion key for a channel at large or for one of its groups;
    /// returns its new `kid`.
    ///
    /// # Errors
    /// [`Error::Conflict`] at the maximum number of keys, [`Error::NotFound`] or
    /// [`Error::Unavailable`].
    pub async fn register_key(
        &self,
        channel: ChannelId,
        key: AssertionKey,
        group: Option<Group>,
    ) -> Result<AssertionKeyId> {
        self.may(Permission::RegisterAssertionKey)?;
        let (id, by) = (AssertionKeyId::from_random(random::bytes()?), self.by());
        let key = RegisteredKey { id, group, key, created_at: by.at };
        self.authority.store().register_key(channel, key, by).await?;
        Ok(id)
    }

    /// A channel's assertion keys, newest first.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Unavailable`].
    pub async fn assertion_keys(&self, channel: ChannelId) -> Result<Vec<UsedKey>> {
        self.may(Permission::ReadAssertionKeys)?;
        let held = self.holding(channel).await?;
        let used = |key: &RegisteredKey| held.keys_used.get(&key.id).copied();
        let keys = held.channel.assertion_keys.iter();
        let mut keys: Vec<UsedKey> = keys.map(|key| (key.clone(), used(key))).collect();
        keys.sort_by_key(|(key, _)| std::cmp::Reverse((key.created_at, key.id)));
        Ok(keys)
    }

    /// Deletes an assertion key; with `revoke_tokens`, revokes the tokens that were
    /// issued for it.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Unavailable`].
    pub async fn delete_key(
        &self,
        channel: ChannelId,
        kid: AssertionKeyId,
        revoke_tokens: bool,
        dry_run: bool,
    ) -> Result<Outcome<()>> {
        self.may(Permission::DeleteAssertionKey)?;
        if !dry_run {
            let store = self.authority.store();
            return match store.delete_key(channel, kid, revoke_tokens, self.by()).await {
                Ok(_) => Ok(Outcome::Done(())),
                Err(error) => Err(self.naming(channel, error).await),
            };
        }
        if !self.existing(channel).await?.assertion_keys.iter().any(|key| key.id == kid) {
            return Err(self.naming(channel, Error::NotFound("assertion key")).await);
        }
        let tokens = revoke_tokens.then_some(RevocationTarget::AssertionKey(kid));
        Ok(Outcome::DryRun(self.would_revoke(channel, tokens).await?))
    }
}
