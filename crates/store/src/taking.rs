//! Acts that take something away, and what they take.

use crate::{By, Issued, RevokeTokens, TokenRow};
use std::sync::Arc;
use tegata_policy::{
    acts::{
        ChangeChannel, ChannelPatch, DeleteGroup, DeleteKey, DeletePreviousSecret, DeleteProvider,
        ReplaceSecret, ReportLeaks, RevocationTarget, Revoke,
    },
    authorize::Grant,
    channel::Channel,
    secret::HashedSecret,
};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, Position, ProviderId, TokenId},
    time::UnixTime,
};

/// An act that takes something away, as one transaction on a channel or a provider.
#[derive(Debug, Clone)]
pub enum Taking {
    /// Revokes tokens.
    Revoke(Revoke),
    /// Revokes tokens that leaked, or flags them.
    Leaks(ReportLeaks),
    /// Changes a channel; takes tokens away if it suspends or deletes it.
    Channel(ChangeChannel),
    /// Replaces a channel's secret.
    Secret(ReplaceSecret),
    /// Deletes a channel's previous secret.
    PreviousSecret(DeletePreviousSecret),
    /// Deletes an assertion key.
    AssertionKey(DeleteKey),
    /// Deletes a group.
    Group(DeleteGroup),
    /// Deletes a provider.
    Provider(DeleteProvider),
}

impl Taking {
    /// Revokes tokens of a channel.
    #[must_use]
    pub fn revoke(channel: ChannelId, target: RevocationTarget, by: By) -> Self {
        Self::Revoke(Revoke { channel, known: None, target, by })
    }

    /// The same of a channel whose settings are known: they are read only if they have changed.
    #[must_use]
    pub fn revoke_in(channel: &Arc<Channel>, target: RevocationTarget, by: By) -> Self {
        let (id, known) = (channel.id, Some(channel.clone()));
        Self::Revoke(Revoke { channel: id, known, target, by })
    }

    /// Changes a channel's settings or state; `Deleted` revokes all its tokens
    /// permanently.
    #[must_use]
    pub fn channel(id: ChannelId, patch: ChannelPatch, by: By) -> Self {
        Self::Channel(ChangeChannel { id, patch, by })
    }

    /// Replaces the channel's secret; the previous one is accepted for another
    /// `keep_previous` seconds. Those of the channel's tokens that `revoke_tokens` names
    /// are revoked.
    #[must_use]
    pub fn secret(
        id: ChannelId,
        secret: HashedSecret,
        keep_previous: i64,
        revoke_tokens: RevokeTokens,
        by: By,
    ) -> Self {
        Self::Secret(ReplaceSecret { id, secret, keep_previous, revoke_tokens, by })
    }

    /// Deletes the channel's previous secret, which is still accepted.
    #[must_use]
    pub fn previous_secret(id: ChannelId, by: By) -> Self {
        Self::PreviousSecret(DeletePreviousSecret { id, by })
    }

    /// Deletes an assertion key; with `revoke_tokens` the tokens that were issued for it
    /// are revoked.
    #[must_use]
    pub fn assertion_key(
        channel: ChannelId,
        key: AssertionKeyId,
        revoke_tokens: bool,
        by: By,
    ) -> Self {
        Self::AssertionKey(DeleteKey { channel, key, revoke_tokens, by })
    }

    /// Deletes a provider, which must have no channels.
    #[must_use]
    pub fn provider(id: ProviderId, by: By) -> Self {
        Self::Provider(DeleteProvider { id, by })
    }

    /// Deletes a group with its settings and keys, and revokes its tokens.
    #[must_use]
    pub fn group(channel: ChannelId, group: Group, by: By) -> Self {
        Self::Group(DeleteGroup { channel, group, by })
    }
}

/// Does the same with each of these acts: `each!(taking, |act| run(act))`.
macro_rules! each {
    ($taking:expr, |$act:ident| $do:expr) => {
        match $taking {
            $crate::Taking::Revoke($act) => $do,
            $crate::Taking::Leaks($act) => $do,
            $crate::Taking::Channel($act) => $do,
            $crate::Taking::Secret($act) => $do,
            $crate::Taking::PreviousSecret($act) => $do,
            $crate::Taking::AssertionKey($act) => $do,
            $crate::Taking::Group($act) => $do,
            $crate::Taking::Provider($act) => $do,
        }
    };
}
pub(crate) use each;

/// The issue of a long-lived token, which takes the present one away.
#[derive(Debug, Clone)]
pub struct Reissue {
    /// The grant.
    pub grant: Grant,
    /// Fresh random bytes.
    pub id: TokenId,
    /// Who requests it.
    pub by: By,
}

/// What an act took away. `N` is `Option<usize>` where the number can be unknown.
#[derive(Debug, Clone, Copy)]
pub struct Revoked<N = usize> {
    /// How many active stored tokens it made invalid; 1 for a stateless token that was
    /// named by itself.
    pub tokens: N,
    /// The position of its last change.
    pub position: Position,
    /// Its time.
    pub at: UnixTime,
}

/// What an act would take away.
#[derive(Debug, Clone, Default)]
pub struct WouldTake {
    /// As in [`Revoked`].
    pub tokens: usize,
    /// The newest of the stored ones, with their channels.
    pub rows: Vec<(ChannelId, TokenRow)>,
}

/// The result of an act that can take tokens away.
pub(crate) trait Taken: Send {
    /// How many.
    fn tokens(&self) -> usize;
}

impl Taken for () {
    fn tokens(&self) -> usize {
        0
    }
}

impl Taken for usize {
    fn tokens(&self) -> usize {
        *self
    }
}

impl Taken for Issued {
    fn tokens(&self) -> usize {
        self.revoked
    }
}
