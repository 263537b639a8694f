//! Channels and their secrets.

use super::{
    facade::{Admin, Outcome, Result, Revocation},
    ids::{no_id, ten_digits},
    permission::Permission,
};
use crate::authority::{limits::ActiveCooldown, random};
use tegata_policy::{
    channel::{Channel, RevokeTokens},
    rules::ChannelType,
    secret::PlainSecret,
};
use tegata_store::{
    ChannelFilter, ChannelPatch, Error, Holding, NewChannel, Page, RevocationTarget, RowId,
};
use tegata_token::{
    id::{ChannelId, ProviderId},
    time::UnixTime,
    view::ChannelState,
};

/// A channel with its keys, groups and cooldowns.
#[derive(Debug, Clone)]
pub struct ChannelWithUse {
    /// The channel and what belongs to it.
    pub holding: Holding,
    /// The active issuance cooldowns, and their ends.
    pub cooldowns: Vec<(ActiveCooldown, UnixTime)>,
    /// When it was read.
    pub now: UnixTime,
}

/// A channel's new secret.
pub struct NewSecret {
    /// The secret, to be shown once.
    pub secret: PlainSecret,
    /// Until when the previous one is accepted, if at all.
    pub previous_until: Option<UnixTime>,
}

/// What replacing or deleting a secret would take away.
pub struct SecretDryRun {
    /// The tokens.
    pub revocation: Revocation,
    /// Whether clients still use the previous secret.
    pub previous_in_use: bool,
}

/// A previous secret is in use if it was used within this time, in seconds.
const IN_USE: i64 = 3_600;

impl Admin {
    /// Creates a channel; its secret is shown this once.
    ///
    /// # Errors
    /// [`Error::NotFound`] without such a provider, or [`Error::Unavailable`].
    pub async fn create_channel(
        &self,
        provider: ProviderId,
        name: &str,
        channel_type: ChannelType,
    ) -> Result<(Channel, PlainSecret)> {
        self.may(Permission::CreateChannel)?;
        let secret = PlainSecret::from_random(random::bytes()?);
        loop {
            let id = ChannelId::from_number(ten_digits()?).ok_or_else(no_id)?;
            let name = name.to_owned();
            let new = NewChannel { id, provider, name, channel_type, secret: secret.hash() };
            match self.authority.store().create_channel(new, self.by()).await {
                Err(Error::Taken) => {}
                done => return Ok((done?, secret)),
            }
        }
    }

    /// Channels, newest first.
    ///
    /// # Errors
    /// [`Error::NotFound`] without such a provider, or [`Error::Unavailable`].
    pub async fn channels(
        &self,
        filter: ChannelFilter,
        page: Page,
    ) -> Result<Vec<(RowId, Channel)>> {
        self.may(Permission::ReadChannels)?;
        Ok(self.authority.store().channels(filter, page).await?)
    }

    /// One channel, with what it holds.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Unavailable`].
    pub async fn channel(&self, id: ChannelId) -> Result<ChannelWithUse> {
        self.may(Permission::ReadChannels)?;
        let (holding, now) = (self.holding(id).await?, self.authority.now());
        Ok(ChannelWithUse { holding, cooldowns: self.authority.cooldowns(id), now })
    }

    /// Changes a channel's settings or state; a patch without a change writes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Unavailable`].
    pub async fn change_channel(
        &self,
        id: ChannelId,
        patch: ChannelPatch,
    ) -> Result<ChannelWithUse> {
        self.may(Permission::ChangeChannel)?;
        if patch != ChannelPatch::default() {
            self.authority.store().change_channel(id, patch, self.by()).await?;
        }
        self.channel(id).await
    }

    /// Deletes a channel and revokes all its tokens. This cannot be undone.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Unavailable`].
    pub async fn delete_channel(&self, id: ChannelId, dry_run: bool) -> Result<Outcome<()>> {
        self.may(Permission::DeleteChannel)?;
        if dry_run {
            return Ok(Outcome::DryRun(self.would_revoke(id, Some(RevocationTarget::All)).await?));
        }
        let deleted =
            ChannelPatch { state: Some(ChannelState::Deleted), ..ChannelPatch::default() };
        self.authority.store().change_channel(id, deleted, self.by()).await?;
        Ok(Outcome::Done(()))
    }

    /// Gives a channel a new secret; the previous one is accepted for `keep_previous`
    /// seconds more.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Unavailable`].
    pub async fn replace_secret(
        &self,
        channel: ChannelId,
        keep_previous: i64,
        revoke_tokens: RevokeTokens,
    ) -> Result<NewSecret> {
        self.may(Permission::ReplaceSecret)?;
        let secret = PlainSecret::from_random(random::bytes()?);
        let (store, hash) = (self.authority.store(), secret.hash());
        let until = store.replace_secret(channel, hash, keep_previous, revoke_tokens, self.by());
        let until = until.await?;
        let previous_until = (keep_previous > 0).then_some(until);
        Ok(NewSecret { secret, previous_until })
    }

    /// What replacing a channel's secret would take away.
    ///
    /// # Errors
    /// As [`Self::replace_secret`].
    pub async fn would_replace_secret(
        &self,
        channel: ChannelId,
        revoke_tokens: RevokeTokens,
    ) -> Result<SecretDryRun> {
        self.may(Permission::ReplaceSecret)?;
        let tokens = RevocationTarget::with_secret(revoke_tokens);
        let revocation = self.would_revoke(channel, tokens).await?;
        Ok(SecretDryRun { revocation, previous_in_use: self.previous_in_use(channel).await? })
    }

    /// Deletes a channel's previous secret, which is still accepted, alone.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none, or [`Error::Unavailable`].
    pub async fn delete_previous_secret(&self, channel: ChannelId) -> Result<()> {
        self.may(Permission::ReplaceSecret)?;
        Ok(self.authority.store().delete_previous_secret(channel, self.by()).await?)
    }

    /// What deleting a channel's previous secret would take away.
    ///
    /// # Errors
    /// As [`Self::delete_previous_secret`].
    pub async fn would_delete_previous_secret(&self, channel: ChannelId) -> Result<SecretDryRun> {
        self.may(Permission::ReplaceSecret)?;
        if self.existing(channel).await?.previous_secret(self.authority.now()).is_none() {
            return Err(Error::NotFound("previous secret").into());
        }
        let revocation = self.would_revoke(channel, None).await?;
        Ok(SecretDryRun { revocation, previous_in_use: self.previous_in_use(channel).await? })
    }

    /// Whether the previous secret is still accepted and was used lately.
    async fn previous_in_use(&self, channel: ChannelId) -> Result<bool> {
        let (held, now) = (self.holding(channel).await?, self.authority.now());
        let secrets = held.channel.secrets.iter().zip(&held.secrets_used);
        let mut previous = secrets.filter(|(it, _)| it.until.is_some_and(|until| now < until));
        Ok(previous.any(|(secret, written)| {
            // The newest uses are in memory until a job writes them.
            let used = self.authority.last_used.secret(channel, secret.hash).or(*written);
            used.is_some_and(|at| now.since(at) <= IN_USE)
        }))
    }
}
