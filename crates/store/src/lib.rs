//! The authority's persistent state: channels, keys, the facts of tokens (never a token
//! itself), revocations and the change log.
//!
//! One method of [`Store`] is one act or question, and one transaction; no caller holds a
//! transaction open. So SQLite can put many acts into one commit, and another database
//! can batch and retry. A store sends no result, not even a denial, before the commit of
//! what the result is based on.
//!
//! The store knows no protocol, signs nothing, and receives secrets only as hashes.

mod act;
mod answers;
pub mod audit;
mod columns;
mod coming;
pub mod figures;
pub mod file;
mod filter;
pub mod journal;
pub mod moving;
mod overview;
mod people;
pub mod postgres;
mod recovery;
mod replicas;
mod requests;
pub mod sqlite;
mod tables;
mod taking;

pub use act::*;
pub use audit::{AuditHead, Batch};
pub use filter::*;
pub use overview::OverviewStore;
pub use people::{PeopleState, PeopleStore};
pub use recovery::{Recovered, Recovery};
pub use replicas::{Acknowledged, ReplicaStore};
pub use requests::RequestStore;
pub use taking::*;
pub use tegata_policy::acts::{
    By, Change, ChannelPatch, Event, ExpectedSettings, GroupPatch, Instance, Issued, LimitsPatch,
    NewChannel, NewWarning, NotedUse, Old, Provider, ReceiptFor, ReceiptRow, RecentUse,
    RegisterInstance, Registration, RevocationCause, RevocationTarget, RewrapKeys, SettingsTag,
    SigningKeyChange, SigningKeyRow, Stamp, TokenState, USES_KEPT, VerifierPatch, VerifierRow,
    WrappedKey, audit_event, merged,
};

/// The tracing target of spans that are exported to the operator's collector. No other
/// span has it, and none of these may contain what a client sent.
pub const TRACES: &str = "tegata::traces";

use async_trait::async_trait;
use figures::Figures;
use std::sync::Arc;
use tegata_policy::{
    acts::ActError,
    authorize::Grant,
    channel::{Channel, GroupSettings, RegisteredKey, RevokeTokens},
    denied::Denied,
};
use tegata_token::{
    feed::InstanceId,
    id::{ChannelId, Group, Position, ProviderId, Serial, SigningKeyId, TokenId, VerifierId},
    time::UnixTime,
};

/// Why an act or a question has no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The token rules or the request's parameters do not allow it. Nothing was changed.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// An id that must be new exists already; try again with another.
    #[error("this id exists already")]
    Taken,
    /// Something that it refers to does not exist.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// It conflicts with the present state.
    #[error("{0}")]
    Conflict(&'static str),
    /// The settings of the object are not those that the actor expects.
    #[error("the object was changed meanwhile")]
    Changed,
    /// The store cannot be read, or it is unknown whether the act was committed.
    #[error("the store cannot answer: {0}")]
    Unavailable(Arc<str>),
}

impl From<ActError> for Error {
    fn from(denied: ActError) -> Self {
        match denied {
            ActError::Denied(denied) => Self::Denied(denied),
            ActError::NotFound(what) => Self::NotFound(what),
            ActError::Conflict(why) => Self::Conflict(why),
            ActError::Changed => Self::Changed,
            ActError::Taken => Self::Taken,
            ActError::NoSigningKey => Self::Unavailable(denied.to_string().into()),
        }
    }
}

/// The result of an act or a question.
pub type Result<T> = std::result::Result<T, Error>;

/// The changes of one commit. The store passes them to its owner after the commit and
/// before it sends any result of the commit, so that every client that gets a result
/// finds the server's memory up to date. They are exactly what the change log holds.
#[derive(Debug, Clone, Default)]
pub struct Committed {
    /// The position of the last change.
    pub position: Position,
    /// The changes that the commit appended, in order.
    pub changes: Vec<Change>,
    /// The receipts that it began.
    pub receipts: Vec<ReceiptRow>,
    /// The highest time that the store has written.
    pub written_at: Option<UnixTime>,
}

/// The function that is called with each commit.
pub type OnCommit = Box<dyn Fn(&Committed) + Send + Sync>;

/// A store of the authority's state.
#[async_trait]
pub trait Store:
    PeopleStore + OverviewStore + ReplicaStore + RequestStore + Send + Sync + 'static
{
    // ---- Questions. They read only what is committed.

    /// Everything that a server holds in memory, read at one position.
    async fn state(&self) -> Result<State>;
    /// All signing keys as stored, revoked ones included, oldest first.
    async fn signing_keys(&self) -> Result<Vec<SigningKeyRow>>;
    /// The snapshot of a channel that requests are authorized against; `None` if it is
    /// deleted.
    async fn channel(&self, id: ChannelId) -> Result<Option<Channel>>;
    /// Providers, newest first.
    async fn providers(&self, filter: ProviderFilter, page: Page)
    -> Result<Vec<(RowId, Provider)>>;
    /// One provider.
    async fn provider(&self, id: ProviderId) -> Result<Option<Provider>>;
    /// The assertion keys of all channels, newest first.
    async fn assertion_keys(&self, filter: KeyFilter, page: Page) -> Result<Vec<(RowId, KeyRow)>>;
    /// Channels, newest first.
    async fn channels(&self, filter: ChannelFilter, page: Page) -> Result<Vec<(RowId, Channel)>>;
    /// A channel's groups: those with settings, keys or tokens that are active at `now`,
    /// and those that stateless tokens were issued for in the last day.
    async fn groups(&self, channel: ChannelId, now: UnixTime) -> Result<Vec<GroupRow>>;
    /// A channel's stored tokens, newest first.
    async fn tokens(
        &self,
        channel: ChannelId,
        filter: TokenFilter,
        page: Page,
        now: UnixTime,
    ) -> Result<Vec<(RowId, TokenRow)>>;
    /// One stored token.
    async fn token(
        &self,
        channel: ChannelId,
        name: TokenName,
        now: UnixTime,
    ) -> Result<Option<TokenRow>>;
    /// The recent uses that are stored of a token, newest first.
    async fn recent_uses(&self, channel: ChannelId, serial: Serial) -> Result<Vec<RecentUse>>;
    /// The ids of the channel's active v2.1 tokens, oldest first; of one group only, if
    /// given.
    async fn live_v21(
        &self,
        channel: ChannelId,
        group: Option<Group>,
        now: UnixTime,
    ) -> Result<Vec<TokenId>>;
    /// The stored tokens of these keys that were neither revoked singly nor expired at
    /// `now`: those that the keys' revocation revokes. At most `most` rows.
    async fn signed_by(
        &self,
        keys: Vec<SigningKeyId>,
        most: usize,
        now: UnixTime,
    ) -> Result<WouldTake>;
    /// Audit events, newest first.
    async fn audit(&self, filter: AuditFilter, page: Page) -> Result<Vec<AuditRow>>;
    /// One audit event.
    async fn audit_row(&self, id: RowId) -> Result<Option<AuditRow>>;
    /// The audit event of the act that set the present state of a channel, which may be
    /// deleted.
    async fn state_act(&self, channel: ChannelId) -> Result<Option<RowId>>;
    /// The newest checkpoint of the audit, and the events that wait for one.
    async fn audit_head(&self) -> Result<AuditHead>;
    /// The next checkpoint after the one with that number and last row, and its rows; if
    /// there is none, the rows after the last checkpoint. At most `most` rows.
    async fn audit_batch(&self, behind: (u64, RowId), most: usize) -> Result<Batch>;
    /// Passes the whole audit to a verifier; returns its report.
    async fn verify_audit(&self, verifier: audit::AuditVerifier) -> Result<audit::AuditReport>;
    /// The number of the last checkpoint, of some from `from` on, that is older than
    /// `before`.
    async fn audit_expired(&self, from: u64, before: UnixTime) -> Result<Option<u64>>;
    /// The key that signs checkpoints: its public half and its wrapped private half.
    async fn audit_key(&self) -> Result<Option<([u8; 32], WrappedKey)>>;
    /// Token rows after `after` that were expired or revoked before `before`, and the row
    /// to continue from, if there are more; reads `most` rows.
    async fn inactive_before(
        &self,
        after: RowId,
        before: UnixTime,
        most: usize,
    ) -> Result<(Vec<RowId>, Option<RowId>)>;
    /// Revocations of all tokens of a provider that are not complete; a crash may have
    /// interrupted them.
    async fn provider_revocations(&self) -> Result<Vec<ProviderRevocation>>;
    /// The changes after `after`, in order, at most `most`; `None` if the log does not
    /// reach back so far, or never had that position in this epoch.
    async fn changes(
        &self,
        after: Position,
        most: usize,
    ) -> Result<Option<Vec<(Position, Change)>>>;
    /// What the active channels after `after` hold, in the order of their ids, at most
    /// `most` channels.
    async fn holdings(
        &self,
        after: Option<ChannelId>,
        most: usize,
        now: UnixTime,
    ) -> Result<Vec<Holding>>;
    /// What one channel holds; `None` if it is deleted.
    async fn holding(&self, id: ChannelId, now: UnixTime) -> Result<Option<Holding>>;
    /// Warnings that are due at `now`, the longest due first.
    async fn due_warnings(&self, most: usize, now: UnixTime) -> Result<Vec<DueWarning>>;
    /// Those of these tokens that are stored and not known to be expired, of one provider
    /// only, if given. Of those that are not active it looks for a few.
    async fn used_tokens(
        &self,
        tokens: Vec<(ChannelId, TokenId)>,
        provider: Option<ProviderId>,
    ) -> Result<Vec<UsedToken>>;
    /// The newest changes of the log, in order, at most `most`.
    async fn last_changes(&self, most: usize) -> Result<Vec<(Position, Change)>>;
    /// Verifiers that are not deleted, newest first.
    async fn verifiers(&self) -> Result<Vec<VerifierRow>>;
    /// The verifiers that have instances, deleted ones included, with these.
    async fn instances(&self) -> Result<Vec<(VerifierRow, Vec<Instance>)>>;
    /// The receipt at a position; `None`: the act at that position has none.
    async fn receipt(&self, at: Position) -> Result<Option<ReceiptRow>>;
    /// The newest receipts that are not complete, at most `most`.
    async fn open_receipts(&self, most: usize) -> Result<Vec<ReceiptRow>>;
    /// Whether acts can be committed now.
    async fn is_writable(&self) -> Result<()>;
    /// Whether the revocation journal can be written now; `false`: the store has no
    /// journal.
    async fn has_journal(&self) -> Result<bool>;
    /// The store's metrics of its own work.
    fn figures(&self) -> Arc<Figures>;
    /// How many acts wait for the writer now.
    fn waiting(&self) -> usize;
    /// Completes when the writer has stopped: no act can succeed any more, and the server
    /// must stop.
    async fn stopped(&self);

    // ---- Servers that share a store.

    /// Whether what this process decides from memory may be given out now. `false`: another
    /// server may have committed a revocation that this process has not learnt, and it must
    /// answer that it does not know. Compared after each decision.
    fn current(&self) -> bool {
        true
    }
    /// Returns when memory has applied every change that was committed before the call.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: the store cannot be read.
    async fn catch_up(&self) -> Result<()> {
        Ok(())
    }
    /// Whether this process does the periodic jobs, of all servers that share the store.
    async fn may_run_jobs(&self) -> bool {
        true
    }
    /// The servers that share the store; none if it cannot be shared.
    async fn replicas(&self) -> Result<Vec<ReplicaRow>> {
        Ok(Vec::new())
    }

    // ---- Acts. Each is one transaction; its result is sent after the commit.

    /// Uses a grant: assigns the token's serial, writes its row, and revokes the tokens
    /// that the token rules evict. `id` is fresh random bytes.
    async fn issue(
        &self,
        grant: Grant,
        id: TokenId,
        now: UnixTime,
        by: Option<By>,
    ) -> Result<Issued>;
    /// Prepares a token that needs no row: marks the assertion as used, if its channel
    /// accepts each one once, and writes the row of a new group. Denied if the assertion
    /// was used before, or if the channel has too many groups.
    async fn take_assertion(&self, grant: Grant, now: UnixTime) -> Result<Grant>;
    /// Does an act that takes something away.
    async fn take(&self, act: Taking) -> Result<Revoked>;
    /// Decides an act that takes something away without doing it; returns at most `most`
    /// rows.
    async fn would_take(&self, act: Taking, most: usize) -> Result<WouldTake>;
    /// Decides the issue of a long-lived token without doing it: what it would take away.
    async fn would_reissue(&self, act: Reissue, most: usize) -> Result<WouldTake>;
    /// Revokes tokens.
    async fn revoke(
        &self,
        channel: ChannelId,
        target: RevocationTarget,
        by: By,
    ) -> Result<Revoked> {
        self.take(Taking::revoke(channel, target, by)).await
    }

    /// Creates a provider.
    async fn create_provider(&self, id: ProviderId, name: String, by: By) -> Result<Provider>;
    /// Renames a provider.
    async fn rename_provider(&self, id: ProviderId, name: String, by: By) -> Result<()>;
    /// Creates a channel.
    async fn create_channel(&self, channel: NewChannel, by: By) -> Result<Channel>;
    /// Registers an assertion key.
    async fn register_key(&self, channel: ChannelId, key: RegisteredKey, by: By) -> Result<()>;
    /// Sets or changes a group's own settings; returns the new settings.
    async fn set_group(
        &self,
        channel: ChannelId,
        group: Group,
        patch: GroupPatch,
        by: By,
    ) -> Result<GroupSettings>;

    /// Adds a signing key, or changes the states of signing keys.
    async fn change_signing_keys(&self, change: SigningKeyChange, by: By) -> Result<Revoked>;

    /// Creates a verifier. [`Error::Taken`] if there is one of this id.
    async fn create_verifier(&self, new: NewVerifier, by: By) -> Result<VerifierRow>;
    /// Changes a verifier's settings.
    async fn change_verifier(
        &self,
        id: VerifierId,
        patch: VerifierPatch,
        by: By,
    ) -> Result<VerifierRow>;
    /// Deletes a verifier. Its instances keep their rows, for receipts.
    async fn delete_verifier(&self, id: VerifierId, by: By) -> Result<()>;
    /// Removes one or all instances of a verifier, which may be deleted; returns their ids.
    async fn remove_instances(
        &self,
        id: VerifierId,
        instance: Option<InstanceId>,
        by: By,
    ) -> Result<Vec<InstanceId>>;
    /// Registers an instance, or renews its row.
    async fn register_instance(
        &self,
        instance: RegisterInstance,
        now: UnixTime,
    ) -> Result<Registration>;
    /// Notes that an instance has reported its end.
    async fn stop_instance(
        &self,
        id: VerifierId,
        instance: InstanceId,
        now: UnixTime,
    ) -> Result<Instance>;
    /// Drops the rows of instances that were last renewed at these times.
    async fn drop_instances(
        &self,
        instances: Vec<(VerifierId, InstanceId, UnixTime)>,
    ) -> Result<()>;
    /// Writes the lists and states of receipts.
    async fn settle_receipts(&self, receipts: Vec<ReceiptRow>, now: UnixTime) -> Result<()>;

    /// Writes an audit event of something that changed nothing in the store. The caller
    /// limits the rate at which unauthenticated clients can cause one.
    async fn record(&self, event: Event, by: By) -> Result<()>;
    /// Writes an audit event of acts on several channels that came before it; the receipt at
    /// the position that it returns covers them all.
    async fn record_for_all(&self, event: Event, by: By) -> Result<Position>;

    /// Replaces the wrapped private halves of all keys that have one, and the secrets of
    /// people's second factors, because the master key is being replaced.
    async fn rewrap(&self, act: RewrapKeys) -> Result<()>;
    /// Stores the key that signs checkpoints. [`Error::Taken`] if there is one.
    async fn set_audit_key(&self, public: [u8; 32], wrapped: WrappedKey) -> Result<()>;
    /// Stores a checkpoint. [`Error::Taken`] if its number exists already.
    async fn add_checkpoint(&self, checkpoint: audit::Checkpoint) -> Result<()>;

    /// Begins to revoke all tokens of the channels that a provider has now.
    async fn begin_provider_revocation(&self, provider: ProviderId, by: By) -> Result<RowId>;
    /// Revokes the tokens of the next channels, at most `most`, in the order of their
    /// ids. Returns what was revoked since the beginning, and whether that is all.
    /// [`Error::NotFound`] once it is complete.
    async fn continue_provider_revocation(
        &self,
        job: RowId,
        most: usize,
        now: UnixTime,
    ) -> Result<(Revoked, bool)>;

    /// Records when tokens, assertion keys and channels' secrets were last used. A stored
    /// time never decreases; uses of what does not exist any more are ignored.
    async fn stamp(&self, stamps: Vec<Stamp>) -> Result<()>;
    /// Records uses of stored tokens, and drops those before `since`; uses of tokens that do
    /// not exist any more are ignored.
    async fn record_uses(&self, uses: Vec<NotedUse>, since: UnixTime) -> Result<()>;
    /// Queues warnings, each name only once, and drops those that are out of date.
    /// Returns how many are new.
    async fn queue_warnings(&self, warnings: Vec<NewWarning>, now: UnixTime) -> Result<usize>;
    /// Records an attempt to send a warning; `next` is when to try again, if at all.
    async fn warning_tried(&self, number: RowId, next: Option<UnixTime>) -> Result<()>;
    /// Drops revocations that cover no unexpired token, of at most `channels` channels at
    /// once. Returns how many it dropped.
    async fn forget(&self, channels: usize, now: UnixTime) -> Result<usize>;
    /// Deletes old rows, the oldest first: of the log, of used assertions, of tokens (their
    /// revocations in the view stay), or of the audit. Returns how many it deleted.
    async fn trim(&self, old: Old, now: UnixTime) -> Result<usize>;
    /// Moves the development clock forward; returns its new offset, in seconds.
    async fn advance_clock(&self, seconds: i64) -> Result<i64>;
}
