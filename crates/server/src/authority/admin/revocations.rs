//! Revoking tokens: one, or all of a scope.

use super::{
    created::CreatedBy,
    explain::without_row,
    facade::{Admin, Error, Result},
    options::ActOptions,
    taking::{DryRun, Outcome, ROWS, covers_stateless},
};
use crate::authority::{
    actor::Actor,
    limits::Operation,
    receipt::{CommittedAct, Concerns},
    tokens::revocation_of,
};
use prometheus_client::metrics::counter::Counter;
use tegata_policy::permission::Permission;
use tegata_policy::{channel::Channel, denied::Denied};
use tegata_store::{ChannelFilter, Error as StoreError, Page, RevocationTarget, Revoked, Taking};
use tegata_token::{
    claims::Claims,
    id::{AssertionKeyId, ChannelId, Group, ProviderId, SigningKeyId, TokenId},
    key::KeyState,
    kind::Kind,
    time::UnixTime,
    verify::{Invalid, verify_claims},
};

/// What to revoke within a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InChannel {
    /// The token of this text.
    Token(String),
    /// The stored token of this id.
    Stored(TokenId),
    /// The stateless token of this id; such tokens have no rows.
    Stateless {
        /// Its id.
        id: TokenId,
        /// Its expiry.
        expires_at: UnixTime,
    },
    /// All tokens of a group.
    Group(Group),
    /// All tokens of a kind.
    Kind(Kind),
    /// All tokens that were issued for an assertion key.
    AssertionKey(AssertionKeyId),
    /// All tokens of the channel.
    All,
}

/// What to revoke anywhere.
#[derive(Debug, Clone)]
pub enum Anywhere {
    /// The token of this text.
    Token(String),
    /// All tokens of a provider's channels.
    Provider(ProviderId),
    /// A signing key, and all tokens that it signed.
    SigningKey(SigningKeyId),
    /// What an actor created.
    CreatedBy(CreatedBy),
    /// All signing keys, and so all tokens.
    All,
}

/// Maximum number of channels that are read at once.
const CHANNELS: usize = 1_000;

impl Admin {
    /// Revokes tokens of a channel.
    ///
    /// # Errors
    /// [`Error::NotOurToken`], [`Error::OtherChannelsToken`], or as the store.
    pub async fn revoke_in_channel(
        &self,
        channel: ChannelId,
        what: InChannel,
        options: &ActOptions,
    ) -> Result<Outcome<()>> {
        let of = self.channel_for(Permission::RevokeTokens, channel).await?;
        let scopes = &self.authority.metrics().revocations;
        let (count, target) = match what {
            InChannel::Token(token) => {
                let claims = self.claims_for(Permission::RevokeTokens, &token).await?;
                if claims.channel != channel {
                    return Err(Error::OtherChannelsToken);
                }
                return self.revoke_one(&of, claims, options).await;
            }
            InChannel::Stored(id) => {
                let serial = self.stored(channel, id).await?.serial;
                (&scopes.token, RevocationTarget::Stored { serial })
            }
            InChannel::Stateless { id, expires_at } => {
                // A later expiry than any such token has would stay in every view until then.
                let longest = self.authority.now().plus(Kind::Stateless.life().longest());
                let target =
                    RevocationTarget::Stateless { id, expires_at: expires_at.min(longest) };
                (&scopes.token, target)
            }
            InChannel::Group(group) => (&scopes.group, RevocationTarget::Group(group)),
            InChannel::Kind(kind) => (&scopes.kind, RevocationTarget::Kind(kind)),
            InChannel::AssertionKey(key) => {
                (&scopes.assertion_key, RevocationTarget::AssertionKey(key))
            }
            InChannel::All => (&scopes.channel, RevocationTarget::All),
        };
        let stateless_too = covers_stateless(&target);
        let act = Taking::revoke(channel, target, self.by_of(options));
        Ok(counted(count, self.take(&of, act, stateless_too, options).await?.map(drop)))
    }

    /// Revokes one token, which may be stateless and have no row.
    async fn revoke_one(
        &self,
        of: &Channel,
        claims: Claims,
        options: &ActOptions,
    ) -> Result<Outcome<()>> {
        let act = Taking::revoke(of.id, revocation_of(&claims), self.by_of(options));
        let mut outcome = self.take(of, act, false, options).await?.map(drop);
        if let Outcome::DryRun(found) = &mut outcome
            && found.tokens > found.rows.len()
        {
            let mut row = without_row(&claims);
            row.state = row.state.in_channel(of.state);
            found.rows.push((None, row));
        }
        Ok(counted(&self.authority.metrics().revocations.token, outcome))
    }

    /// Revokes tokens over all channels.
    ///
    /// # Errors
    /// [`Error::NotOurToken`], or as the store.
    pub async fn revoke(&self, what: Anywhere, options: &ActOptions) -> Result<Outcome<()>> {
        match &what {
            // With the channel of the token.
            Anywhere::Token(_) => {}
            Anywhere::Provider(id) => self.may_in(Permission::RevokeProvider, *id)?,
            Anywhere::CreatedBy(_) => self.may(Permission::RevokeCreatedBy)?,
            Anywhere::SigningKey(_) | Anywhere::All => {
                self.may(Permission::RevokeSigningKeys)?;
            }
        }
        let (authority, by) = (&self.authority, self.by_of(options));
        let scopes = &authority.metrics().revocations;
        let (count, outcome) = match what {
            Anywhere::Token(token) => {
                let claims = self.claims_for(Permission::RevokeTokens, &token).await?;
                let of = self.channel_for(Permission::RevokeTokens, claims.channel).await?;
                let mut outcome = self.revoke_one(&of, claims, options).await?;
                if let Outcome::DryRun(found) = &mut outcome {
                    found.rows.iter_mut().for_each(|(channel, _)| *channel = Some(of.id));
                }
                return Ok(outcome);
            }
            Anywhere::Provider(provider) => {
                let outcome = match options.dry_run {
                    true => Outcome::DryRun(self.under_provider(provider).await?),
                    false => {
                        let revoked = authority.revoke_provider(provider, by).await?;
                        let concerns = Concerns::Provider(provider);
                        self.revoked_widely(revoked, concerns, options).await?
                    }
                };
                (&scopes.provider, outcome)
            }
            Anywhere::SigningKey(key) => {
                (&scopes.signing_key, self.revoke_keys(Some(key), options).await?)
            }
            Anywhere::CreatedBy(what) => {
                return Ok(self.revoke_created_by(&what, options).await?.map(drop));
            }
            Anywhere::All => (&scopes.everything, self.revoke_keys(None, options).await?),
        };
        Ok(counted(count, outcome))
    }

    /// Revokes a signing key, or all of them.
    async fn revoke_keys(
        &self,
        key: Option<SigningKeyId>,
        options: &ActOptions,
    ) -> Result<Outcome<()>> {
        if options.dry_run {
            return Ok(Outcome::DryRun(self.under_keys(key).await?));
        }
        let revoked = self.authority.remove_signing_key(key, self.by_of(options)).await?;
        self.revoked_widely(revoked, Concerns::All, options).await
    }

    /// The result of a revocation that spans channels.
    async fn revoked_widely<N: Into<Option<usize>>>(
        &self,
        revoked: Revoked<N>,
        concerns: Concerns,
        options: &ActOptions,
    ) -> Result<Outcome<()>> {
        let Revoked { tokens, position, at } = revoked;
        let act = CommittedAct { position, effective_at: at, concerns };
        Ok(Outcome::Done((), self.taken(tokens, act, true, options).await?))
    }

    /// Revokes a token on behalf of its own channel. A token that is not valid any more
    /// needs no revocation, and neither does one of a deleted channel.
    ///
    /// # Errors
    /// [`Error::OtherChannelsToken`], [`StoreError::Invalid`] beyond the rate of
    /// `operation`, or [`StoreError::Unavailable`].
    pub async fn revoke_own(&self, token: &Claims, operation: Operation) -> Result<()> {
        self.may(Permission::RevokeOwnToken)?;
        if self.actor != Actor::Channel(token.channel) {
            return Err(Error::OtherChannelsToken);
        }
        // Checked in the view: the holder of an invalid token can repeat the request,
        // which must not cost a commit each time.
        let view = self.authority.view();
        match verify_claims(token, self.authority.now(), &view) {
            Err(Invalid::Expired) => return Ok(()),
            Err(Invalid::Revoked(_)) => {
                // The act that revoked it may still wait for other servers.
                self.authority.store().in_force(view.position()).await;
                return Ok(());
            }
            _ => {}
        }
        // A request that revokes nothing does not count against the limit, which is for
        // revocations that have an effect.
        let Some(channel) = self.authority.channel(token.channel).await? else {
            return self.deleted_everywhere().await;
        };
        self.authority.take(operation, &channel)?;
        let store = self.authority.store();
        let act = Taking::revoke_in(&channel, revocation_of(token), self.by());
        match store.take(act).await {
            Ok(revoked) => {
                self.authority.list_receipt_of_none(revoked.position);
                self.authority.metrics().revocations.token.inc();
                Ok(())
            }
            Err(
                StoreError::NotFound(_)
                | StoreError::Denied(Denied::NotFound | Denied::UnknownChannel),
            ) => self.deleted_everywhere().await,
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until what was committed is in force on every server: the act that deleted a channel may
    /// still wait for that.
    async fn deleted_everywhere(&self) -> Result<()> {
        let store = self.authority.store();
        store.catch_up().await?;
        store.in_force(self.authority.view().position()).await;
        Ok(())
    }

    /// What revoking a signing key, or all of them, would revoke.
    async fn under_keys(&self, key: Option<SigningKeyId>) -> Result<DryRun> {
        let view = self.authority.view();
        let good = view.keys().iter().filter(|it| it.state != KeyState::Revoked);
        let keys: Vec<SigningKeyId> = good.map(|it| it.key.id()).collect();
        let keys = match key {
            // A key that is revoked already revokes nothing more.
            Some(key) if view.key(key).is_some() => {
                keys.into_iter().filter(|&it| it == key).collect()
            }
            Some(_) => return Err(StoreError::NotFound("signing key").into()),
            None => keys,
        };
        let would = self.authority.store().signed_by(keys, ROWS, self.authority.now()).await?;
        let mut found = self.would_take(would, true).await?;
        for (channel, row) in &mut found.rows {
            let Some(id) = *channel else { continue };
            if let Some(of) = self.authority.channel(id).await? {
                row.state = row.state.in_channel(of.state);
            }
        }
        Ok(found)
    }

    /// What revoking all tokens of a provider would revoke.
    async fn under_provider(&self, provider: ProviderId) -> Result<DryRun> {
        let store = self.authority.store();
        let mut sum = DryRun { stateless_too: true, ..DryRun::default() };
        let mut page = Page { before: None, most: CHANNELS };
        loop {
            let channels = store.channels(ChannelFilter::of(provider), page).await?;
            for (_, channel) in &channels {
                let act = Taking::revoke(channel.id, RevocationTarget::All, self.by());
                match store.would_take(act, ROWS - sum.rows.len()).await {
                    Ok(would) => {
                        let found = self.would_take_of(channel, would, true).await?;
                        sum.tokens += found.tokens;
                        let rows = found.rows.into_iter();
                        sum.rows.extend(rows.map(|(_, row)| (Some(channel.id), row)));
                    }
                    // The channel was deleted meanwhile, which revoked all its tokens.
                    Err(StoreError::NotFound(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            match channels.last() {
                Some((row, _)) if channels.len() == CHANNELS => page.before = Some(*row),
                _ => return Ok(sum),
            }
        }
    }
}

fn counted(count: &Counter, outcome: Outcome<()>) -> Outcome<()> {
    if let Outcome::Done(..) = outcome {
        count.inc();
    }
    outcome
}
