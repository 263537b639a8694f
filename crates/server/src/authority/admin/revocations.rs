//! Revoking tokens: one, or all of a scope.

use super::{
    facade::{Admin, Error, Result, Revocation, covers_stateless},
    permission::Act,
};
use crate::authority::{actor::Actor, limits::Operation, tokens::ending_of};
use prometheus_client::metrics::counter::Counter;
use tegata_policy::refusal::Refusal;
use tegata_store::{Ended, Ending, Error as StoreError, Page};
use tegata_token::{
    claims::Claims,
    decide::{Refused, judge},
    id::{AssertionKeyId, ChannelId, Group, ProviderId, SigningKeyId, TokenId},
    key::KeyState,
    kind::Kind,
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

/// So many channels are read at once.
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
        self.may(Act::RevokeTokens)?;
        self.existing(channel).await?;
        let scopes = &self.authority.metrics().revocations;
        let (count, tokens) = match what {
            InChannel::Token(token) => {
                let claims = self.claims(&token)?;
                if claims.channel != channel {
                    return Err(Error::OtherChannelsToken);
                }
                (&scopes.token, ending_of(&claims))
            }
            InChannel::Stored(id) => {
                let serial = self.stored(channel, id).await?.serial;
                (&scopes.token, Ending::Stored { serial })
            }
            InChannel::Group(group) => (&scopes.group, Ending::Group(group)),
            InChannel::Kind(kind) => (&scopes.kind, Ending::Kind(kind)),
            InChannel::AssertionKey(key) => (&scopes.assertion_key, Ending::AssertionKey(key)),
            InChannel::All => (&scopes.channel, Ending::All),
        };
        let stateless_too = covers_stateless(&tokens);
        match self.authority.store().end(channel, tokens, dry_run, self.by()).await {
            Ok(ended) => Ok(counted(count, ended, stateless_too, dry_run)),
            Err(error) => Err(self.naming(channel, error).await),
        }
    }

    /// Revokes tokens over all channels.
    ///
    /// # Errors
    /// [`Error::NotOurToken`], or as the store.
    pub async fn revoke(&self, what: Anywhere, dry_run: bool) -> Result<Revocation> {
        self.may(match what {
            Anywhere::Token(_) => Act::RevokeTokens,
            Anywhere::Provider(_) => Act::RevokeProvider,
            Anywhere::SigningKey(_) | Anywhere::All => Act::RevokeSigningKeys,
        })?;
        let (authority, by) = (&self.authority, self.by());
        let scopes = &authority.metrics().revocations;
        let stateless_too = !matches!(what, Anywhere::Token(_));
        let (count, ended) = match what {
            Anywhere::Token(token) => {
                let claims = self.claims(&token)?;
                let tokens = ending_of(&claims);
                let ended = authority.store().end(claims.channel, tokens, dry_run, by).await?;
                (&scopes.token, ended)
            }
            Anywhere::Provider(provider) => {
                let ended = match dry_run {
                    true => self.under_provider(provider).await?,
                    false => authority.end_provider(provider, by).await?,
                };
                (&scopes.provider, ended)
            }
            Anywhere::SigningKey(key) => {
                let ended = match dry_run {
                    true => self.under_keys(Some(key)).await?,
                    false => authority.remove_signing_key(Some(key), by).await?,
                };
                (&scopes.signing_key, ended)
            }
            Anywhere::All => {
                let ended = match dry_run {
                    true => self.under_keys(None).await?,
                    false => authority.remove_signing_key(None, by).await?,
                };
                (&scopes.everything, ended)
            }
        };
        Ok(counted(count, ended, stateless_too, dry_run))
    }

    /// Revokes a token on behalf of its own channel. A token that is not valid any more
    /// needs no revocation, and one of a deleted channel has none left to do.
    ///
    /// # Errors
    /// [`Error::OtherChannelsToken`], [`StoreError::Refused`] beyond the rate of
    /// `operation`, or [`StoreError::Unavailable`].
    pub async fn revoke_own(&self, token: &Claims, operation: Operation) -> Result<()> {
        self.may(Act::RevokeOwnToken)?;
        if self.actor != Actor::Channel(token.channel) {
            return Err(Error::OtherChannelsToken);
        }
        // Asked of the view, since the holder of an invalid token may ask again and
        // again, and must not cost a commit each time.
        let found = judge(token, self.authority.now(), &self.authority.view());
        if let Err(Refused::Expired | Refused::Ended(_)) = found {
            return Ok(());
        }
        // What revokes nothing is not counted by the limit: it must not use up what the
        // channel needs for revocations that count.
        let Some(channel) = self.authority.channel(token.channel).await? else { return Ok(()) };
        self.authority.take(operation, &channel)?;
        let store = self.authority.store();
        match store.end(token.channel, ending_of(token), false, self.by()).await {
            Ok(_) => {
                self.authority.metrics().revocations.token.inc();
                Ok(())
            }
            Err(
                StoreError::NotFound(_)
                | StoreError::Refused(Refusal::NotFound | Refusal::UnknownChannel),
            ) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What revoking a signing key, or all of them, would revoke.
    async fn under_keys(&self, key: Option<SigningKeyId>) -> Result<Ended> {
        let view = self.authority.view();
        let good = view.keys().iter().filter(|it| it.state != KeyState::Removed);
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
        Ok(Ended { tokens, position: view.position() })
    }

    /// What revoking all tokens of a provider would revoke.
    async fn under_provider(&self, provider: ProviderId) -> Result<Ended> {
        let store = self.authority.store();
        let mut sum = self.nothing();
        let mut page = Page { before: None, most: CHANNELS };
        loop {
            let channels = store.channels(provider, page).await?;
            for (_, channel) in &channels {
                match store.end(channel.id, Ending::All, true, self.by()).await {
                    Ok(ended) => sum.tokens += ended.tokens,
                    // Deleted meanwhile, which revoked all its tokens.
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

fn counted(count: &Counter, ended: Ended, stateless_too: bool, dry_run: bool) -> Revocation {
    if !dry_run {
        count.inc();
    }
    Revocation::new(ended, stateless_too, dry_run)
}
