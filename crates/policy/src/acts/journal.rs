//! Entries of the revocation journal: everything that a restored backup would undo.

use super::{
    person::PersonLoss,
    things::{ChannelPatch, RevocationCause, RootTokenHash},
};
use crate::{
    channel::{ChannelLimits, GroupSettings},
    secret::HashedSecret,
};
use serde::{Deserialize, Serialize};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, PersonId, ProviderId, SigningKeyId, VerifierId},
    key::KeyState,
    time::UnixTime,
    view::ChannelChange,
};

/// A commit of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Commit {
    /// The store's epoch.
    pub epoch: u64,
    /// The number of the commit within the store's lifetime.
    pub commit: u64,
}

/// What was taken away, or changed in a way that a restore would undo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum JournalEntry {
    /// Marks that the journal is complete after this commit of this store.
    Begins {
        /// The store's identity, in hex digits, and its engine unless that is SQLite.
        store: String,
        /// The last commit before it with a line in the journal: a part that reaches up
        /// to that commit can be joined in front without a gap. Absent in old journals.
        #[serde(default)]
        last_revocation: Option<Commit>,
    },
    /// Tokens were revoked, or the channel's state changed.
    Channel {
        /// The channel.
        channel: ChannelId,
        /// The change, as in the change log.
        change: ChannelChange,
        /// Why tokens were revoked.
        cause: RevocationCause,
    },
    /// A signing key was revoked, or limited to tokens issued before a time.
    SigningKey {
        /// The signing key.
        key: SigningKeyId,
        /// Its new state.
        #[serde(flatten)]
        state: KeyState,
    },
    /// A channel's secret was replaced.
    Secret {
        /// The channel.
        channel: ChannelId,
        /// The SHA-256 of the new one, in hex digits.
        sha256: String,
        /// Until when the previous one is accepted, if at all.
        previous_until: Option<UnixTime>,
    },
    /// An assertion key was deleted.
    AssertionKey {
        /// The channel.
        channel: ChannelId,
        /// The assertion key.
        key: AssertionKeyId,
    },
    /// A channel's rules were changed.
    Rules {
        /// The channel.
        channel: ChannelId,
        /// The new settings.
        rules: ChannelPatch,
    },
    /// A group's rules were changed.
    GroupRules {
        /// The channel.
        channel: ChannelId,
        /// The group.
        group: Group,
        /// The new settings.
        rules: GroupSettings,
    },
    /// A channel's limits were changed.
    Limits {
        /// The channel.
        channel: ChannelId,
        /// All its limits after the change.
        limits: ChannelLimits,
    },
    /// The revocation of all tokens of a provider began. The revocations themselves have
    /// lines of their own.
    ProviderRevocation {
        /// The provider.
        provider: ProviderId,
    },
    /// The oldest revocation of all tokens of a provider is complete.
    ProviderEndDone {
        /// The provider.
        provider: ProviderId,
    },
    /// A verifier was created. Nothing is taken away by it, but programs that use it may still
    /// run when an old copy of the store does not know it.
    VerifierCreated {
        /// The verifier.
        verifier: VerifierId,
        /// Its display name.
        name: String,
        /// The only provider whose tokens it may verify.
        provider: Option<ProviderId>,
        /// The longest staleness that it may use, in milliseconds.
        max_staleness: u32,
        /// Whether it may accept tokens by a stale view.
        allow: bool,
    },
    /// A verifier was deleted.
    VerifierDeleted {
        /// The verifier.
        verifier: VerifierId,
    },
    /// A verifier's settings were changed.
    Verifier {
        /// The verifier.
        verifier: VerifierId,
        /// The longest staleness that it may use, in milliseconds.
        max_staleness: u32,
        /// Whether it may accept tokens by a stale view.
        allow: bool,
    },
    /// A person lost a role, a credential, or all access.
    Person {
        /// The person.
        person: PersonId,
        /// What was lost.
        #[serde(flatten)]
        loss: PersonLoss,
    },
    /// The root administrator's token of all servers that share the store was replaced.
    RootToken {
        /// Identifies the one that ended.
        ended: RootTokenHash,
        /// Identifies the one in force.
        in_force: RootTokenHash,
    },
}

impl JournalEntry {
    /// The channel that it is about, if it is about one.
    #[must_use]
    pub fn channel(&self) -> Option<ChannelId> {
        match self {
            Self::Channel { channel, .. }
            | Self::Secret { channel, .. }
            | Self::AssertionKey { channel, .. }
            | Self::Rules { channel, .. }
            | Self::GroupRules { channel, .. }
            | Self::Limits { channel, .. } => Some(*channel),
            Self::Begins { .. }
            | Self::SigningKey { .. }
            | Self::ProviderRevocation { .. }
            | Self::ProviderEndDone { .. }
            | Self::VerifierCreated { .. }
            | Self::VerifierDeleted { .. }
            | Self::Verifier { .. }
            | Self::Person { .. }
            | Self::RootToken { .. } => None,
        }
    }

    /// The entry of a secret that was replaced.
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
