//! The public keys that a channel's assertions are verified with.

use super::{
    facade::{Admin, Result},
    options::ActOptions,
    taking::Outcome,
};
use crate::authority::random;
use tegata_policy::permission::Permission;
use tegata_policy::{channel::RegisteredKey, jwk::AssertionKey};
use tegata_store::{KeyFilter, KeyRow, Page, RowId, Taking};
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
    /// A conflict at the maximum number of keys, or as the store.
    pub async fn register_key(
        &self,
        channel: ChannelId,
        key: AssertionKey,
        group: Option<Group>,
    ) -> Result<AssertionKeyId> {
        self.channel_for(Permission::RegisterAssertionKey, channel).await?;
        let (id, by) = (AssertionKeyId::from_random(random::bytes()?), self.by());
        let key = RegisteredKey { id, group, key, created_at: by.at };
        self.authority.store().register_key(channel, key, by).await?;
        Ok(id)
    }

    /// A channel's assertion keys, newest first.
    ///
    /// # Errors
    /// As the store.
    pub async fn assertion_keys(&self, channel: ChannelId) -> Result<Vec<UsedKey>> {
        self.channel_for(Permission::ReadAssertionKeys, channel).await?;
        let held = self.holding(channel).await?;
        let used = |key: &RegisteredKey| held.keys_used.get(&key.id).copied();
        let keys = held.channel.assertion_keys.iter();
        let mut keys: Vec<UsedKey> = keys.map(|key| (key.clone(), used(key))).collect();
        keys.sort_by_key(|(key, _)| std::cmp::Reverse((key.created_at, key.id)));
        Ok(keys)
    }

    /// The assertion keys of all channels, newest first.
    ///
    /// # Errors
    /// As the store.
    pub async fn all_assertion_keys(
        &self,
        mut filter: KeyFilter,
        page: Page,
    ) -> Result<Vec<(RowId, KeyRow)>> {
        filter.seen = self.seen(Permission::ReadAssertionKeys)?.map(|it| it.channels);
        Ok(self.authority.store().assertion_keys(filter, page).await?)
    }

    /// Deletes an assertion key; with `revoke_tokens`, revokes the tokens that were
    /// issued for it.
    ///
    /// # Errors
    /// As the store.
    pub async fn delete_key(
        &self,
        channel: ChannelId,
        kid: AssertionKeyId,
        revoke_tokens: bool,
        options: &ActOptions,
    ) -> Result<Outcome<()>> {
        let of = self.channel_for(Permission::DeleteAssertionKey, channel).await?;
        let act = Taking::assertion_key(channel, kid, revoke_tokens, self.by_of(options));
        Ok(self.take(&of, act, revoke_tokens, options).await?.map(drop))
    }
}
