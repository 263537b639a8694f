//! The changes of the change log.

use super::{
    followers::{TokenHash, VerifierRow},
    journal::JournalEntry,
    person::{AdminTokenRow, PersonRow, SessionRow},
    things::{RevocationCause, SigningKeyRow},
};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use tegata_token::{
    feed::InstanceId,
    id::{AdminTokenId, ChannelId, PersonId, ProviderId, VerifierId},
    key::{BadKey, KeyState, VerifyingKey},
    view::{ChannelChange, FeedChange, ViewKey},
};

/// One change of the change log: everything that a process must learn to keep its memory
/// up to date. The feed for verifiers is the subset that [`Change::entry`] returns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// A change of one channel's tokens, for every verifier.
    Tokens {
        /// The provider that owns the channel.
        provider: ProviderId,
        /// The channel.
        channel: ChannelId,
        /// The change.
        #[serde(rename = "what")]
        change: ChannelChange,
    },
    /// Nothing that a process has in memory changed: a provider was changed, a revocation
    /// of all its tokens began, or a signing key was revoked again. The change gives the
    /// act a position.
    Empty {
        /// The provider that the act concerned, if it concerned one.
        provider: Option<ProviderId>,
    },
    /// A channel is new or was changed: copies of its snapshot must be discarded. Also
    /// gives a position to an act on the channel that changed nothing.
    Channel {
        /// The provider that owns it.
        provider: ProviderId,
        /// The channel.
        channel: ChannelId,
        /// Its limit of verifications per second, if it has set one.
        verify_rate: Option<NonZeroU32>,
    },
    /// A signing key is new or has a new state, or its private half was wrapped again.
    SigningKey(SigningKeyRow),
    /// The development clock was moved.
    Clock {
        /// Its new offset, in seconds.
        offset: i64,
    },
    /// A verifier is new or was changed.
    Verifier {
        /// The verifier.
        verifier: VerifierRow,
    },
    /// A verifier was deleted: its token authenticates no request any more.
    VerifierDeleted {
        /// Its id.
        verifier: VerifierId,
    },
    /// An operator removed an instance: it must be registered before it gets another answer.
    InstanceRemoved {
        /// Its verifier.
        verifier: VerifierId,
        /// The instance.
        instance: InstanceId,
    },
    /// A person is new or was changed.
    Person {
        /// The person, without what authenticates it.
        person: PersonRow,
    },
    /// A person was deleted.
    PersonDeleted {
        /// The person.
        person: PersonId,
    },
    /// A session began.
    Session {
        /// The session.
        session: SessionRow,
    },
    /// A session ended.
    SessionEnded {
        /// The hash of its token.
        token: TokenHash,
    },
    /// A personal administrator's token is new.
    AdminToken {
        /// The token's row.
        admin_token: AdminTokenRow,
    },
    /// A personal administrator's token was deleted.
    AdminTokenDeleted {
        /// Its id.
        id: AdminTokenId,
    },
}

impl Change {
    /// The version of this vocabulary, which grows with each new kind of change. Servers that
    /// share a store write a kind only once all of them read it.
    pub const VOCABULARY: u32 = 1;

    /// The version of the vocabulary in which its kind came.
    #[must_use]
    pub fn since(&self) -> u32 {
        match self {
            Self::Tokens { .. }
            | Self::Empty { .. }
            | Self::Channel { .. }
            | Self::SigningKey(_)
            | Self::Clock { .. }
            | Self::Verifier { .. }
            | Self::VerifierDeleted { .. }
            | Self::InstanceRemoved { .. }
            | Self::Person { .. }
            | Self::PersonDeleted { .. }
            | Self::Session { .. }
            | Self::SessionEnded { .. }
            | Self::AdminToken { .. }
            | Self::AdminTokenDeleted { .. } => 1,
        }
    }

    /// The provider and the channel that it concerns.
    #[must_use]
    pub fn about(&self) -> (Option<ProviderId>, Option<ChannelId>) {
        match self {
            Self::Tokens { provider, channel, .. } | Self::Channel { provider, channel, .. } => {
                (Some(*provider), Some(*channel))
            }
            Self::Empty { provider } => (*provider, None),
            Self::SigningKey(_)
            | Self::Clock { .. }
            | Self::Verifier { .. }
            | Self::VerifierDeleted { .. }
            | Self::InstanceRemoved { .. }
            | Self::Person { .. }
            | Self::PersonDeleted { .. }
            | Self::Session { .. }
            | Self::SessionEnded { .. }
            | Self::AdminToken { .. }
            | Self::AdminTokenDeleted { .. } => (None, None),
        }
    }

    /// Its entry in the journal, if it takes anything away, with this cause.
    #[must_use]
    pub fn line(&self, cause: RevocationCause) -> Option<JournalEntry> {
        match self {
            Self::Tokens { change: ChannelChange::Forget { .. }, .. } => None,
            Self::Tokens { channel, change, .. } => {
                Some(JournalEntry::Channel { channel: *channel, change: change.clone(), cause })
            }
            Self::SigningKey(key) => match key.state {
                KeyState::Revoked | KeyState::Retired { issued_before: Some(_) } => {
                    Some(JournalEntry::SigningKey { key: key.id, state: key.state })
                }
                _ => None,
            },
            Self::VerifierDeleted { verifier } => {
                Some(JournalEntry::VerifierDeleted { verifier: *verifier })
            }
            Self::Empty { .. }
            | Self::Channel { .. }
            | Self::Clock { .. }
            | Self::Verifier { .. }
            | Self::InstanceRemoved { .. }
            // The acts write entries of their own.
            | Self::Person { .. }
            | Self::PersonDeleted { .. }
            | Self::Session { .. }
            | Self::SessionEnded { .. }
            | Self::AdminToken { .. }
            | Self::AdminTokenDeleted { .. } => None,
        }
    }

    /// Its form in the feed, if verifiers need it.
    ///
    /// # Errors
    /// The public half of a signing key is not a valid key.
    pub fn entry(&self) -> Result<Option<FeedChange>, BadKey> {
        Ok(match self {
            Self::Tokens { provider, channel, change } => Some(FeedChange::Channel {
                provider: *provider,
                channel: *channel,
                change: change.clone(),
            }),
            Self::SigningKey(row) => {
                let key = VerifyingKey::from_bytes(row.public)?;
                Some(FeedChange::SigningKey(ViewKey { key, state: row.state }))
            }
            Self::Empty { .. }
            | Self::Channel { .. }
            | Self::Clock { .. }
            | Self::Verifier { .. }
            | Self::VerifierDeleted { .. }
            | Self::InstanceRemoved { .. }
            | Self::Person { .. }
            | Self::PersonDeleted { .. }
            | Self::Session { .. }
            | Self::SessionEnded { .. }
            | Self::AdminToken { .. }
            | Self::AdminTokenDeleted { .. } => None,
        })
    }
}
