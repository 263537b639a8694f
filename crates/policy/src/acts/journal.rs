//! What the revocation journal keeps: everything that a restored backup would undo.

use super::things::ChannelPatch;
use crate::{
    channel::{ChannelLimits, GroupSettings},
    secret::HashedSecret,
};
use serde::{Deserialize, Serialize};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, ProviderId, SigningKeyId},
    key::KeyState,
    time::UnixTime,
    view::ChannelChange,
};

/// A commit, by the life of the store and its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Commit {
    /// The life.
    pub epoch: u64,
    /// The place.
    pub commit: u64,
}

/// What was taken away, or changed so that a restore would undo it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum JournalEntry {
    /// All that came after this commit of this store is here.
    Begins {
        /// Which store, in hex digits.
        store: String,
        /// The last commit before it that held something for the log: a part that
        /// reaches up to it can be put in front without a gap. Not said by old logs.
        #[serde(default)]
        last_revocation: Option<Commit>,
    },
    /// Tokens ended, or the channel's state changed.
    Channel {
        /// Of which channel.
        channel: ChannelId,
        /// As in the change log.
        change: ChannelChange,
    },
    /// A signing key was removed or bounded.
    SigningKey {
        /// Which.
        key: SigningKeyId,
        /// What it is good for now.
        #[serde(flatten)]
        state: KeyState,
    },
    /// A channel's secret was replaced.
    Secret {
        /// Whose.
        channel: ChannelId,
        /// The SHA-256 of the new one, in hex digits.
        sha256: String,
        /// Until when the one before it is taken, if at all.
        previous_until: Option<UnixTime>,
    },
    /// An assertion key was deleted.
    AssertionKey {
        /// Whose.
        channel: ChannelId,
        /// Which.
        key: AssertionKeyId,
    },
    /// A channel's rules were changed.
    Rules {
        /// Whose.
        channel: ChannelId,
        /// To what.
        rules: ChannelPatch,
    },
    /// A group's rules were changed.
    GroupRules {
        /// Whose.
        channel: ChannelId,
        /// Of which group.
        group: Group,
        /// To what.
        rules: GroupSettings,
    },
    /// A channel's limits were changed.
    Limits {
        /// Whose.
        channel: ChannelId,
        /// To what, all of them.
        limits: ChannelLimits,
    },
    /// The revocation of all tokens of a provider began. What it revokes has lines of
    /// its own.
    ProviderRevocation {
        /// Whose.
        provider: ProviderId,
        /// Who asked for it.
        actor: String,
        /// The address that it came from, if from the network.
        source: Option<String>,
        /// Why, if given.
        reason: Option<String>,
    },
    /// The oldest revocation of all tokens of a provider is done.
    ProviderEndDone {
        /// Whose.
        provider: ProviderId,
    },
}

impl JournalEntry {
    /// The line of a secret that was replaced.
    #[must_use]
    pub fn secret(
        channel: ChannelId,
        secret: HashedSecret,
        previous_until: Option<UnixTime>,
    ) -> Self {
        let sha256 = secret.to_stored().iter().map(|byte| format!("{byte:02x}")).collect();
        Self::Secret { channel, sha256, previous_until }
    }
}
