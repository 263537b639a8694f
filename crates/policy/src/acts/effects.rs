//! What an act does, as data: the rows that it writes, the changes that others must
//! learn of, the lines of the revocation journal, and the audit event.

use super::{
    audit_event::AuditEvent,
    journal::JournalEntry,
    things::{By, Event, Provider, RevocationCause, SigningKeyRow, WrappedKey},
};
use crate::{
    channel::{Channel, GroupSettings, RegisteredKey},
    secret::HashedSecret,
};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use tegata_token::{
    claims::Claims,
    id::{AssertionKeyId, ChannelId, Group, ProviderId, Serial, SigningKeyId},
    key::{BadKey, KeyState, VerifyingKey},
    time::UnixTime,
    view::{ChannelChange, ChannelRevocations, FeedChange, ViewKey},
};

/// One change of the log: everything that a process must learn to keep its memory
/// right. The feed for verifiers is the subset that [`Change::entry`] gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// Something about the tokens of one channel, for every verifier.
    Tokens {
        /// Whose channel it is.
        provider: ProviderId,
        /// Which channel.
        channel: ChannelId,
        /// What.
        #[serde(rename = "what")]
        change: ChannelChange,
    },
    /// A channel is new, or what requests are judged by changed: a copy of it must be
    /// discarded.
    Channel {
        /// Whose it is.
        provider: ProviderId,
        /// Which.
        channel: ChannelId,
        /// How many verifications of its tokens a second it allows, where it has set that.
        verify_rate: Option<NonZeroU32>,
    },
    /// A signing key is new or has a new state, or its private half was encrypted anew.
    SigningKey(SigningKeyRow),
    /// The development clock was moved.
    Clock {
        /// By so many seconds in all.
        offset: i64,
    },
}

impl Change {
    /// The channel that it is about, and whose that is.
    #[must_use]
    pub fn about(&self) -> Option<(ProviderId, ChannelId)> {
        match self {
            Self::Tokens { provider, channel, .. } | Self::Channel { provider, channel, .. } => {
                Some((*provider, *channel))
            }
            Self::SigningKey(_) | Self::Clock { .. } => None,
        }
    }

    /// What the journal keeps of it, if anything: a change that takes nothing away needs
    /// no line.
    #[must_use]
    pub fn line(&self) -> Option<JournalEntry> {
        match self {
            Self::Tokens { change: ChannelChange::Forget { .. }, .. } => None,
            Self::Tokens { channel, change, .. } => {
                Some(JournalEntry::Channel { channel: *channel, change: change.clone() })
            }
            Self::SigningKey(key) => match key.state {
                KeyState::Revoked | KeyState::Bounded { .. } => {
                    Some(JournalEntry::SigningKey { key: key.id, state: key.state })
                }
                _ => None,
            },
            Self::Channel { .. } | Self::Clock { .. } => None,
        }
    }

    /// What verifiers must learn of it, if anything.
    ///
    /// # Errors
    /// The public half of a signing key is none.
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
            Self::Channel { .. } | Self::Clock { .. } => None,
        })
    }
}

/// A row to write. A closed list: each database has one function that writes them.
#[derive(Debug, Clone)]
pub enum Write {
    /// A new token.
    Token(Box<NewToken>),
    /// A token is revoked as of now.
    TokenRevoked {
        /// Its row.
        row: i64,
        /// How.
        by: RevocationCause,
        /// The token that took its place.
        replaced_by: Option<Serial>,
    },
    /// A token will be revoked.
    TokenRevokedFrom {
        /// Its row.
        row: i64,
        /// When.
        at: UnixTime,
        /// The token that takes its place.
        replaced_by: Serial,
    },
    /// A token's life was seen to be over.
    TokenPast {
        /// Its row.
        row: i64,
        /// How and when it was revoked before it expired, if that is not written yet.
        revoked: Option<(RevocationCause, UnixTime)>,
    },
    /// The last place taken in a channel's count.
    Serial(ChannelId, Serial),
    /// The place of the channel's last bulk revocation.
    BulkSerial(ChannelId, Serial),
    /// What the channel's requests are judged by changed: its revision grows.
    Revised(ChannelId),
    /// What the view says of the channel.
    Revocations(ChannelId, ChannelRevocations),
    /// An assertion was used, of a channel that takes each one once.
    AssertionUsed {
        /// The channel.
        channel: ChannelId,
        /// What tells the assertion from others.
        fingerprint: [u8; 32],
        /// When it expires.
        expires_at: UnixTime,
    },
    /// A new provider.
    Provider(Provider),
    /// A new channel.
    NewChannel(Box<Channel>),
    /// A channel's name, state, rules and limits.
    Settings(Box<Channel>),
    /// The act's audit event is the one that brought the channel into its state.
    StateChangedBy(ChannelId),
    /// A new secret; the one before it is taken until `kept`.
    Secret {
        /// Whose.
        channel: ChannelId,
        /// Its hash.
        hash: HashedSecret,
        /// Until when the one before it is taken; `None`: no longer.
        kept: Option<UnixTime>,
    },
    /// A new assertion key.
    AssertionKey(ChannelId, Box<RegisteredKey>),
    /// An assertion key is deleted, and remembered for as long as a token of it may live.
    AssertionKeyGone {
        /// Whose.
        channel: ChannelId,
        /// Which.
        key: AssertionKeyId,
        /// Until when it is remembered.
        until: UnixTime,
    },
    /// What a group has set for itself; the usual settings need no row.
    Group(ChannelId, Group, GroupSettings),
    /// A group was used for a stateless token, which leaves no row of its own.
    GroupUsed {
        /// Whose.
        channel: ChannelId,
        /// Which.
        group: Group,
        /// Until when it is remembered.
        until: UnixTime,
    },
    /// A group is deleted, and remembered for as long as a token of it may live.
    GroupDeleted {
        /// Whose.
        channel: ChannelId,
        /// Which.
        group: Group,
        /// Until when it is remembered.
        until: UnixTime,
    },
    /// What is remembered of the groups and assertion keys of a deleted channel goes.
    ScopesForgotten(ChannelId),
    /// A new signing key.
    SigningKey(SigningKeyRow),
    /// A signing key's new state. One that is removed loses its private half, and the
    /// act's audit event is the one that removed it.
    SigningKeyState(SigningKeyRow),
    /// A signing key's private half, encrypted anew.
    SigningKeyWrapped(SigningKeyId, WrappedKey),
    /// The private half of the audit's key, encrypted anew.
    AuditKeyWrapped(WrappedKey),
    /// How far the development clock was moved, in seconds.
    ClockOffset(i64),
}

/// A token to be written.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What it says.
    pub claims: Claims,
    /// The row of the key that signs it.
    pub key: i64,
    /// The row of the public address that its JWS form names.
    pub form: i64,
    /// What its `Idempotency-Key` stands for.
    pub idempotency: Option<[u8; 32]>,
    /// What a retry under that key must have the same.
    pub parameters: Option<String>,
}

/// An audit event, with who caused it and what it concerns.
#[derive(Debug, Clone)]
pub struct AuditRecord {
    /// Who, from where, why.
    pub by: By,
    /// What happened.
    pub event: Event,
}

/// All that an act does. Without effects nothing is committed.
#[derive(Debug, Clone, Default)]
pub struct Effects {
    /// The rows, in the order in which they are written.
    pub writes: Vec<Write>,
    /// The changes, in the order of the log.
    pub changes: Vec<Change>,
    /// Lines of the revocation journal.
    pub journal: Vec<JournalEntry>,
    /// The audit event.
    pub audit: Option<AuditRecord>,
}

impl Effects {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
            && self.changes.is_empty()
            && self.journal.is_empty()
            && self.audit.is_none()
    }

    pub(super) fn write(&mut self, write: Write) {
        self.writes.push(write);
    }

    /// Logs a change, and in the journal what it takes away.
    pub(super) fn change(&mut self, change: Change) {
        self.journal.extend(change.line());
        self.changes.push(change);
    }

    /// Logs a change of a channel's tokens, and adds it to `revocations`, which are what the
    /// view says of the channel under the same lock.
    pub(super) fn tokens(
        &mut self,
        channel: &Channel,
        revocations: &ChannelRevocations,
        change: ChannelChange,
    ) {
        let mut revocations = revocations.clone();
        revocations.apply(&change);
        self.write(Write::Revocations(channel.id, revocations));
        self.change(Change::Tokens { provider: channel.provider, channel: channel.id, change });
    }

    /// Logs, once, that copies of a channel must be discarded.
    pub(super) fn touch(&mut self, channel: &Channel) {
        let change = Change::Channel {
            provider: channel.provider,
            channel: channel.id,
            verify_rate: channel.limits.verify_rate,
        };
        if !self.changes.contains(&change) {
            self.change(change);
        }
    }

    /// Counts, once, a change of what the channel's requests are judged by.
    pub(super) fn revise(&mut self, channel: &Channel) {
        let revised = |it: &Write| matches!(it, Write::Revised(id) if *id == channel.id);
        if !self.writes.iter().any(revised) {
            self.write(Write::Revised(channel.id));
        }
        self.touch(channel);
    }

    /// Records an event of a channel.
    pub(super) fn audit(&mut self, by: &By, channel: &Channel, event: AuditEvent) {
        let (provider, channel) = (Some(channel.provider), Some(channel.id));
        self.audit_of(by, Event { event, provider, channel });
    }

    pub(super) fn audit_of(&mut self, by: &By, event: Event) {
        self.audit = Some(AuditRecord { by: by.clone(), event });
    }
}
