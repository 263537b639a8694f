//! Channels and their secrets.

use super::{
    facade::{Admin, Result},
    ids::{no_id, ten_digits},
    options::ActOptions,
    taking::{DryRun, Outcome},
};
use crate::authority::{
    limits::ActiveCooldown,
    random,
    receipt::{CommittedAct, Concerns},
};
use tegata_policy::permission::Permission;
use tegata_policy::{
    acts::CreateChannel,
    channel::{Channel, RevokeTokens},
    rules::ChannelType,
    secret::PlainSecret,
};
use tegata_store::{
    ChannelFilter, ChannelPatch, Error, Holding, NewChannel, Page, RowId, SettingsTag, Taking,
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
        self.may_in(Permission::CreateChannel, provider)?;
        let secret = PlainSecret::from_random(random::bytes()?);
        loop {
            let id = ChannelId::from_number(ten_digits()?).ok_or_else(no_id)?;
            let name = name.to_owned();
            let new = NewChannel { id, provider, name, channel_type, secret: secret.hash() };
            let act = CreateChannel { new, admin: self.person_id(), by: self.by() };
            match self.authority.store().create_channel_as(act).await {
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
        mut filter: ChannelFilter,
        page: Page,
    ) -> Result<Vec<(RowId, Channel)>> {
        if let Some(provider) = filter.provider {
            self.may_in(Permission::ReadProvider, provider)?;
        }
        filter.seen = self.seen_by(Permission::ListChannels, Permission::ReadChannel)?;
        Ok(self.authority.store().channels(filter, page).await?)
    }

    /// One channel, with what it holds.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Unavailable`].
    pub async fn channel(&self, id: ChannelId) -> Result<ChannelWithUse> {
        self.channel_for(Permission::ReadChannel, id).await?;
        let (holding, now) = (self.holding(id).await?, self.authority.now());
        let cooldowns = self.authority.cooldowns(id, &holding.channel.limits);
        Ok(ChannelWithUse { holding, cooldowns, now })
    }

    /// Changes a channel's settings or state; a patch without a change writes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Unavailable`].
    pub async fn change_channel(
        &self,
        id: ChannelId,
        patch: ChannelPatch,
        options: &ActOptions,
    ) -> Result<Outcome<ChannelWithUse>> {
        let only = ChannelPatch { state: Some(ChannelState::Suspended), ..ChannelPatch::default() };
        let of = match patch == only {
            true => self.channel_for(Permission::SuspendChannel, id).await?,
            false => self.channel_for(Permission::ChangeChannel, id).await?,
        };
        let suspends =
            of.state == ChannelState::Active && patch.state == Some(ChannelState::Suspended);
        let outcome = if patch == ChannelPatch::default() && !options.dry_run {
            self.expects(SettingsTag::of_channel(&of))?;
            let act = CommittedAct {
                position: self.authority.view().position(),
                effective_at: self.authority.now(),
                concerns: Concerns::Provider(of.provider),
            };
            Outcome::Done(act.effective_at, self.taken(0, act, false, options).await?)
        } else {
            let act = Taking::channel(id, patch, self.by_of(options));
            self.take(&of, act, suspends, options).await?
        };
        Ok(match outcome {
            Outcome::Done(_, taken) => Outcome::Done(self.channel(id).await?, taken),
            Outcome::DryRun(found) => Outcome::DryRun(found),
        })
    }

    /// Deletes a channel and revokes all its tokens. This cannot be undone.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Unavailable`].
    pub async fn delete_channel(&self, id: ChannelId, options: &ActOptions) -> Result<Outcome<()>> {
        let of = self.channel_for(Permission::DeleteChannel, id).await?;
        let deleted =
            ChannelPatch { state: Some(ChannelState::Deleted), ..ChannelPatch::default() };
        let act = Taking::channel(id, deleted, self.by_of(options));
        Ok(self.take(&of, act, true, options).await?.map(drop))
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
        options: &ActOptions,
    ) -> Result<Outcome<NewSecret>> {
        let of = self.channel_for(Permission::ReplaceSecret, channel).await?;
        let secret = PlainSecret::from_random(random::bytes()?);
        let (hash, by) = (secret.hash(), self.by_of(options));
        let act = Taking::secret(channel, hash, keep_previous, revoke_tokens, by);
        let stateless_too = revoke_tokens != RevokeTokens::None;
        let outcome = self.take(&of, act, stateless_too, options).await?;
        let outcome = self.with_use_of_previous(channel, outcome).await?;
        Ok(outcome.map(|at| NewSecret {
            secret,
            previous_until: (keep_previous > 0).then_some(at.plus(keep_previous)),
        }))
    }

    /// Deletes a channel's previous secret, which is still accepted, alone.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none, or [`Error::Unavailable`].
    pub async fn delete_previous_secret(
        &self,
        channel: ChannelId,
        options: &ActOptions,
    ) -> Result<Outcome<()>> {
        let of = self.channel_for(Permission::DeletePreviousSecret, channel).await?;
        let act = Taking::previous_secret(channel, self.by_of(options));
        let outcome = self.take(&of, act, false, options).await?.map(drop);
        self.with_use_of_previous(channel, outcome).await
    }

    /// A dry run also finds out whether the previous secret is in use.
    async fn with_use_of_previous<T>(
        &self,
        channel: ChannelId,
        outcome: Outcome<T>,
    ) -> Result<Outcome<T>> {
        Ok(match outcome {
            Outcome::DryRun(found) => {
                let previous_in_use = Some(self.previous_in_use(channel).await?);
                Outcome::DryRun(DryRun { previous_in_use, ..found })
            }
            done => done,
        })
    }

    /// Whether the previous secret is still accepted and was used lately.
    async fn previous_in_use(&self, channel: ChannelId) -> Result<bool> {
        let (held, now) = (self.holding(channel).await?, self.authority.now());
        let secrets = held.channel.secrets.iter().zip(&held.secrets_used);
        let mut previous = secrets.filter(|(it, _)| it.until.is_some_and(|until| now < until));
        Ok(previous.any(|(secret, written)| {
            // The newest uses are in memory until a job writes them.
            let used = self.authority.last_used.secret(channel, secret.hash).max(*written);
            used.is_some_and(|at| now.since(at) <= IN_USE)
        }))
    }
}
