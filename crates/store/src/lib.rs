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
mod acts;
mod answers;
pub mod audit;
mod columns;
mod coming;
mod engine;
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
pub use acts::ActStore;
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
    RegisterInstance, Registration, ReplaceRootToken, RevocationCause, RevocationTarget,
    RewrapKeys, RootTokenHash, RootTokens, SettingsTag, SigningKeyChange, SigningKeyRow, Stamp,
    TokenState, USES_KEPT, VerifierPatch, VerifierRow, WrappedKey, audit_event, merged,
};

/// The tracing target of spans that are exported to the operator's collector. No other
/// span has it, and none of these may contain what a client sent.
pub const TRACES: &str = "tegata::traces";

use async_trait::async_trait;
use figures::Figures;
use std::sync::Arc;
use tegata_policy::{
    acts::{ActError, StoredPerson, WhichPerson},
    channel::{Channel, RevokeTokens},
    denied::Denied,
};
use tegata_token::{
    id::{ChannelId, Group, Position, ProviderId, Serial, SigningKeyId, TokenId},
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
    /// The store does not do it now, and has changed nothing; the text says why, and what to do.
    #[error("{0}")]
    NotNow(Arc<str>),
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

/// A store of the authority's state: its questions, which read only what is committed. An
/// engine answers these; the acts are the same on every engine.
#[async_trait]
pub trait Store:
    ActStore + PeopleStore + OverviewStore + ReplicaStore + RequestStore + Send + Sync + 'static
{
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
    /// Passes the audit to a verifier, from where that begins; returns its report.
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
    /// A person with what authenticates it.
    async fn person(&self, which: WhichPerson) -> Result<Option<StoredPerson>>;
    /// All people, newest first.
    async fn people(&self) -> Result<Vec<StoredPerson>>;
    /// The newest changes of the log, in order, at most `most`.
    async fn last_changes(&self, most: usize) -> Result<Vec<(Position, Change)>>;
    /// Verifiers that are not deleted, newest first.
    async fn verifiers(&self) -> Result<Vec<VerifierRow>>;
    /// The verifiers that have instances, deleted ones included, with these.
    async fn instances(&self) -> Result<Vec<(VerifierRow, Vec<Instance>)>>;
    /// The receipt at a position; `None`: the act at that position has none.
    async fn receipt(&self, at: Position) -> Result<Option<ReceiptRow>>;
    /// The newest receipt of an act on this provider.
    async fn newest_receipt(&self, provider: ProviderId) -> Result<Option<ReceiptRow>>;
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
    /// answer that it does not know. Compared after each decision, and then [`Self::lapses`].
    fn current(&self) -> bool {
        true
    }
    /// A number that changes when `current` becomes true again. What was decided from memory
    /// counts only if it is the same as before memory was read: else memory may have been read
    /// while `current` was false.
    fn lapses(&self) -> u64 {
        0
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
}
