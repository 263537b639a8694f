//! The effects of an act, as data: the rows to write, the changes that other processes
//! must learn, the entries of the revocation journal, and the audit event.

use super::{
    audit_event::AuditEvent,
    change::Change,
    followers::{Instance, ReceiptRow, TokenHash, VerifierRow},
    journal::JournalEntry,
    person::{AdminTokenRow, SessionRow, StoredPerson},
    things::{
        Author, By, Event, Provider, RevocationCause, RootTokenHash, SigningKeyRow, WrappedKey,
    },
    upkeep::{Checkpoint, NewWarning, ProviderJob, RecentUse, RememberedRequest, StampPlace},
};
use crate::{
    channel::{Channel, GroupSettings, RegisteredKey},
    secret::HashedSecret,
};
use tegata_token::{
    claims::Claims,
    feed::InstanceId,
    id::{
        AdminTokenId, AssertionKeyId, ChannelId, Group, PersonId, ProviderId, Serial, SigningKeyId,
        VerifierId,
    },
    time::UnixTime,
    view::{ChannelChange, ChannelRevocations},
};

/// A row to write. A closed list: each database has one function that writes them.
#[derive(Debug, Clone)]
pub enum Write {
    /// A new token.
    Token(Box<NewToken>),
    /// A token is revoked as of now.
    TokenRevoked {
        /// Its row.
        row: i64,
        /// The cause.
        by: RevocationCause,
        /// The token that took its place.
        replaced_by: Option<Serial>,
    },
    /// A token's revocation is scheduled.
    TokenRevokedFrom {
        /// Its row.
        row: i64,
        /// The time.
        at: UnixTime,
        /// The token that takes its place, if it is known.
        replaced_by: Option<Serial>,
    },
    /// A token was found to be expired or revoked.
    TokenPast {
        /// Its row.
        row: i64,
        /// The cause and time of a revocation before its expiry, if that is not written
        /// yet.
        revoked: Option<(RevocationCause, UnixTime)>,
    },
    /// The last serial used in a channel.
    Serial(ChannelId, Serial),
    /// The serial of the channel's last bulk revocation.
    BulkSerial(ChannelId, Serial),
    /// Something that matters to authorization changed: the channel's revision increases.
    Revised(ChannelId),
    /// The channel's revocations.
    Revocations(ChannelId, ChannelRevocations),
    /// An assertion was used, of a channel that accepts each one once.
    AssertionUsed {
        /// The channel.
        channel: ChannelId,
        /// Identifies the assertion.
        fingerprint: [u8; 32],
        /// When it expires.
        expires_at: UnixTime,
    },
    /// A new provider.
    Provider(Provider),
    /// A provider's new name.
    ProviderName(ProviderId, String),
    /// A provider is deleted.
    ProviderDeleted(ProviderId),
    /// A new channel.
    NewChannel(Box<Channel>),
    /// A channel's name, state, rules and limits.
    Settings(Box<Channel>),
    /// The act's audit event is recorded as the cause of the channel's state.
    StateChangedBy(ChannelId),
    /// A new secret; the previous one is accepted until `kept`.
    Secret {
        /// The channel.
        channel: ChannelId,
        /// Its hash.
        hash: HashedSecret,
        /// Until when the previous one is accepted; `None`: not any more.
        kept: Option<UnixTime>,
    },
    /// A new assertion key.
    AssertionKey(ChannelId, Box<RegisteredKey>),
    /// An assertion key is deleted, and remembered for as long as a token issued for it
    /// may be active.
    AssertionKeyGone {
        /// The channel.
        channel: ChannelId,
        /// The assertion key.
        key: AssertionKeyId,
        /// Until when it is remembered.
        until: UnixTime,
    },
    /// A group's own settings; default settings need no row.
    Group(ChannelId, Group, GroupSettings),
    /// A group was used for a stateless token, which has no row of its own.
    GroupUsed {
        /// The channel.
        channel: ChannelId,
        /// The group.
        group: Group,
        /// Until when it is remembered.
        until: UnixTime,
    },
    /// A group is deleted, and remembered for as long as a token of it may be active.
    GroupDeleted {
        /// The channel.
        channel: ChannelId,
        /// The group.
        group: Group,
        /// Until when it is remembered.
        until: UnixTime,
    },
    /// The remembered groups and assertion keys of a deleted channel are dropped.
    ScopesForgotten(ChannelId),
    /// A new signing key.
    SigningKey(SigningKeyRow),
    /// A signing key's new state. A revoked key loses its private half, and the act's
    /// audit event is recorded as the cause.
    SigningKeyState(SigningKeyRow),
    /// A signing key's private half, wrapped again.
    SigningKeyWrapped(SigningKeyId, WrappedKey),
    /// The private half of the audit's key, wrapped again.
    AuditKeyWrapped(WrappedKey),
    /// The offset of the development clock, in seconds.
    ClockOffset(i64),
    /// A new revocation of a provider's tokens.
    ProviderJob(Box<ProviderJob>),
    /// How far a revocation of a provider's tokens has come. The act's last change is
    /// recorded as its position.
    ProviderJobAt {
        /// Its number.
        job: i64,
        /// Channels up to this one, in the order of their ids, are done.
        done_to: ChannelId,
        /// How many stored tokens it has revoked.
        revoked: usize,
    },
    /// A revocation of a provider's tokens is complete.
    ProviderJobDone(i64),
    /// A new warning.
    Warning {
        /// The warning.
        new: NewWarning,
        /// When it is to be sent.
        next: UnixTime,
    },
    /// A warning was sent, or could not be.
    WarningTried {
        /// Its number.
        number: i64,
        /// How often that was attempted.
        attempts: u32,
        /// When to try again, if at all.
        next: Option<UnixTime>,
    },
    /// A warning is out of date.
    WarningDropped(i64),
    /// A time of last use.
    Used(StampPlace, UnixTime),
    /// The recent uses of a token, newest first.
    Uses {
        /// Its row.
        row: i64,
        /// All that are kept.
        uses: Vec<RecentUse>,
    },
    /// The recent uses of a token are dropped.
    UsesDropped {
        /// Its row.
        row: i64,
    },
    /// Changes of the log up to this number are dropped.
    LogDropped {
        /// The number of the last of them.
        through: u64,
    },
    /// Used assertions are forgotten: their channels and fingerprints.
    AssertionsDropped(Vec<(ChannelId, [u8; 32])>),
    /// The row of a token that expired or was revoked long ago is dropped.
    TokenDropped {
        /// Its channel.
        channel: ChannelId,
        /// The row.
        row: i64,
    },
    /// Audit events up to this one are dropped.
    AuditDropped {
        /// The id of the last of them.
        through: i64,
    },
    /// The key that signs checkpoints: its public half, and its wrapped private half.
    AuditKey([u8; 32], WrappedKey),
    /// A checkpoint of the audit.
    Checkpoint(Box<Checkpoint>),
    /// The audit's key and all checkpoints are dropped, so that a new key signs
    /// checkpoints of all rows: the private half of the old key is lost.
    AuditBegunAnew,
    /// The serials of every channel are raised, that of bulk revocations to the same.
    EverySerialRaised {
        /// By how much.
        by: u64,
    },
    /// A new verifier.
    NewVerifier(Box<VerifierRow>),
    /// A verifier's settings.
    VerifierSettings(Box<VerifierRow>),
    /// A verifier is deleted at that time.
    VerifierDeleted(VerifierId, UnixTime),
    /// An instance of a verifier: new, renewed or stopped.
    Instance(Box<Instance>),
    /// Instances are renewed: their rows, if they are there and not stopped.
    InstancesRenewed {
        /// Their verifiers and ids, in ascending order.
        instances: Vec<(VerifierId, InstanceId)>,
        /// When.
        at: UnixTime,
    },
    /// An instance's row is dropped.
    InstanceDropped {
        /// Its verifier.
        verifier: VerifierId,
        /// The instance.
        instance: InstanceId,
        /// Only if it was last renewed at this time.
        renewed_at: Option<UnixTime>,
    },
    /// A receipt, new or with its list.
    Receipt(Box<ReceiptRow>),
    /// A new person.
    NewPerson(Box<StoredPerson>),
    /// A person as it is now.
    Person(Box<StoredPerson>),
    /// A person is deleted at that time.
    PersonDeleted(PersonId, UnixTime),
    /// A new session.
    Session(SessionRow),
    /// The session with this token is ended.
    SessionEnded(TokenHash),
    /// A new personal administrator's token.
    AdminToken(Box<AdminTokenRow>),
    /// A personal administrator's token is deleted.
    AdminTokenDeleted(AdminTokenId),
    /// A root administrator's token is in force for all servers that share the store, instead
    /// of any other. A store in a file does not keep it.
    RootToken {
        /// The one that it replaced, which never comes back; the store may lack it.
        ended: Option<RootTokenHash>,
        /// The new one.
        in_force: RootTokenHash,
    },
    /// A request that is remembered.
    Request(Box<RememberedRequest>),
    /// The response to a request that is remembered.
    RequestAnswered([u8; 32], WrappedKey),
    /// A request is not remembered any more.
    RequestForgotten([u8; 32]),
    /// Previous secrets that would be accepted after that time are dropped.
    PreviousSecretsDropped {
        /// The time.
        after: UnixTime,
    },
}

/// A token to be written.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Its claims.
    pub claims: Claims,
    /// The row of the key that signs it.
    pub key: i64,
    /// The row of the public address that its JWS form names.
    pub form: i64,
    /// What its `Idempotency-Key` stands for.
    pub idempotency: Option<[u8; 32]>,
    /// The parameters that a retry under that key must repeat.
    pub parameters: Option<String>,
}

/// An audit event, with who caused it and what it concerns.
#[derive(Debug, Clone)]
pub struct AuditRecord {
    /// The actor, the client's address and the reason.
    pub by: By,
    /// What happened.
    pub event: Event,
}

/// All effects of an act. Without effects nothing is committed.
#[derive(Debug, Clone, Default)]
pub struct Effects {
    /// The rows, in the order in which they are written.
    pub writes: Vec<Write>,
    /// The changes, in the order of the log.
    pub changes: Vec<Change>,
    /// Entries of the revocation journal.
    pub journal: Vec<JournalEntry>,
    /// The audit event.
    pub audit: Option<AuditRecord>,
    /// Who did the act and why, for the journal and the rows of revoked tokens.
    pub author: Option<Author>,
    /// The rows of the active tokens that it makes invalid, now or after a delay, oldest
    /// first.
    pub taken: Vec<i64>,
    /// Of a reissue, or a retry of one: from when on the predecessor is invalid.
    pub reissued: Option<UnixTime>,
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
        if let Write::TokenRevoked { row, .. } | Write::TokenRevokedFrom { row, .. } = write {
            self.taken.push(row);
        }
        self.writes.push(write);
    }

    /// Logs a change, and adds its entry to the journal.
    pub(super) fn change(&mut self, change: Change) {
        self.change_because(change, RevocationCause::Requested);
    }

    fn change_because(&mut self, change: Change, cause: RevocationCause) {
        self.journal.extend(change.line(cause));
        self.changes.push(change);
    }

    /// Logs a change of a channel's tokens, and adds it to `revocations`, the channel's
    /// revocations read under the same lock.
    pub(super) fn tokens(
        &mut self,
        channel: &Channel,
        revocations: &ChannelRevocations,
        change: ChannelChange,
    ) {
        self.tokens_because(channel, revocations, change, RevocationCause::Requested);
    }

    /// As [`Self::tokens`], with another cause in the journal.
    pub(super) fn tokens_because(
        &mut self,
        channel: &Channel,
        revocations: &ChannelRevocations,
        change: ChannelChange,
        cause: RevocationCause,
    ) {
        let mut revocations = revocations.clone();
        revocations.apply(&change);
        self.write(Write::Revocations(channel.id, revocations));
        let change = Change::Tokens { provider: channel.provider, channel: channel.id, change };
        self.change_because(change, cause);
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

    /// Increases the channel's revision, once.
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
        self.author = Some(by.into());
        self.audit = Some(AuditRecord { by: by.clone(), event });
    }
}
