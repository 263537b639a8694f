//! Revoking tokens: one, or all of a scope.

use super::{
    facade::{Admin, Error, Result, Revocation, covers_stateless},
    permission::Permission,
};
use crate::authority::{actor::Actor, limits::Operation, tokens::revocation_of};
use prometheus_client::metrics::counter::Counter;
use tegata_policy::denied::Denied;
use tegata_store::{ChannelFilter, Error as StoreError, Page, RevocationTarget, Revoked};
use tegata_token::{
    claims::Claims,
    id::{AssertionKeyId, ChannelId, Group, ProviderId, SigningKeyId, TokenId},
    key::KeyState,
    kind::Kind,
    verify::{Invalid, verify_claims},
};

/// What to revoke within a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InChannel {
    /// The token of this text.
    Token(String),
    /// The stored token of this id.
    Stored(TokenId),
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anywhere {
    /// The token of this text.
    Token(String),
    /// All tokens of a provider's channels.
    Provider(ProviderId),
    /// A signing key, and all tokens that it signed.
    SigningKey(SigningKeyId),
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
        dry_run: bool,
    ) -> Result<Revocation> {
        self.may(Permission::RevokeTokens)?;
        self.existing(channel).await?;
        let scopes = &self.authority.metrics().revocations;
        let (count, tokens) = match what {
            InChannel::Token(token) => {
                let claims = self.claims(&token)?;
                if claims.channel != channel {
                    return Err(Error::OtherChannelsToken);
                }
                (&scopes.token, revocation_of(&claims))
            }
            InChannel::Stored(id) => {
                let serial = self.stored(channel, id).await?.serial;
                (&scopes.token, RevocationTarget::Stored { serial })
            }
            InChannel::Group(group) => (&scopes.group, RevocationTarget::Group(group)),
            InChannel::Kind(kind) => (&scopes.kind, RevocationTarget::Kind(kind)),
            InChannel::AssertionKey(key) => {
                (&scopes.assertion_key, RevocationTarget::AssertionKey(key))
            }
            InChannel::All => (&scopes.channel, RevocationTarget::All),
        };
        let stateless_too = covers_stateless(&tokens);
        match self.authority.store().revoke(channel, tokens, dry_run, self.by()).await {
            Ok(revoked) => Ok(counted(count, revoked, stateless_too, dry_run)),
            Err(error) => Err(self.naming(channel, error).await),
        }
    }

    /// Revokes tokens over all channels.
    ///
    /// # Errors
    /// [`Error::NotOurToken`], or as the store.
    pub async fn revoke(&self, what: Anywhere, dry_run: bool) -> Result<Revocation> {
        self.may(match what {
            Anywhere::Token(_) => Permission::RevokeTokens,
            Anywhere::Provider(_) => Permission::RevokeProvider,
            Anywhere::SigningKey(_) | Anywhere::All => Permission::RevokeSigningKeys,
        })?;
        let (authority, by) = (&self.authority, self.by());
        let scopes = &authority.metrics().revocations;
        let stateless_too = !matches!(what, Anywhere::Token(_));
        let (count, revoked) = match what {
            Anywhere::Token(token) => {
                let claims = self.claims(&token)?;
                let tokens = revocation_of(&claims);
                let revoked = authority.store().revoke(claims.channel, tokens, dry_run, by).await?;
                (&scopes.token, revoked)
            }
            Anywhere::Provider(provider) => {
                let revoked = match dry_run {
                    true => self.under_provider(provider).await?,
                    false => authority.revoke_provider(provider, by).await?,
                };
                (&scopes.provider, revoked)
            }
            Anywhere::SigningKey(key) => {
                let revoked = match dry_run {
                    true => self.under_keys(Some(key)).await?,
                    false => authority.remove_signing_key(Some(key), by).await?,
                };
                (&scopes.signing_key, revoked)
            }
            Anywhere::All => {
                let revoked = match dry_run {
                    true => self.under_keys(None).await?,
                    false => authority.remove_signing_key(None, by).await?,
                };
                (&scopes.everything, revoked)
            }
        };
        Ok(counted(count, revoked, stateless_too, dry_run))
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
        let found = verify_claims(token, self.authority.now(), &self.authority.view());
        if let Err(Invalid::Expired | Invalid::Revoked(_)) = found {
            return Ok(());
        }
        // A request that revokes nothing does not count against the limit, which is for
        // revocations that have an effect.
        let Some(channel) = self.authority.channel(token.channel).await? else { return Ok(()) };
        self.authority.take(operation, &channel)?;
        let store = self.authority.store();
        match store.revoke(token.channel, revocation_of(token), false, self.by()).await {
            Ok(_) => {
                self.authority.metrics().revocations.token.inc();
                Ok(())
            }
            Err(
                StoreError::NotFound(_)
                | StoreError::Denied(Denied::NotFound | Denied::UnknownChannel),
            ) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What revoking a signing key, or all of them, would revoke.
    async fn under_keys(&self, key: Option<SigningKeyId>) -> Result<Revoked> {
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
        let tokens = self.authority.store().signed_by(keys, self.authority.now()).await?;
        Ok(Revoked { tokens, position: view.position() })
    }

    /// What revoking all tokens of a provider would revoke.
    async fn under_provider(&self, provider: ProviderId) -> Result<Revoked> {
        let store = self.authority.store();
        let mut sum = self.nothing();
        let mut page = Page { before: None, most: CHANNELS };
        loop {
            let channels = store.channels(ChannelFilter::of(provider), page).await?;
            for (_, channel) in &channels {
                match store.revoke(channel.id, RevocationTarget::All, true, self.by()).await {
                    Ok(revoked) => sum.tokens += revoked.tokens,
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

fn counted(count: &Counter, revoked: Revoked, stateless_too: bool, dry_run: bool) -> Revocation {
    if !dry_run {
        count.inc();
    }
    Revocation::new(revoked, stateless_too, dry_run)
}
