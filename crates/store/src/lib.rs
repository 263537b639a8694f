//! Where an authority keeps what it must not forget: channels, keys, the facts
//! of tokens (never a token itself), and the change log.
//!
//! [`Store`] speaks the domain: one method is one act is one transaction, and no
//! caller ever holds one open. So SQLite can put many requests into one commit
//! and another database can batch and retry, and nobody above can tell. No
//! answer, a refusal included, leaves a store before the commit of what it read.
//!
//! The store knows no protocol, signs nothing, and takes secrets only as hashes.

mod act;
pub mod audit;
pub mod figures;
pub mod file;
pub mod journal;
pub mod sqlite;

pub use act::*;
pub use audit::{AuditHead, Batch};
pub use tegata_policy::acts::{
    By, Change, ChannelPatch, Event, GroupPatch, Issued, LimitsPatch, NewChannel, Provider,
    RevocationCause, RevocationTarget, SigningKeyChange, SigningKeyRow, TokenState, WrappedKey,
    audit_event,
};

/// The target of spans that leave the machine as traces, where an operator has a
/// collector. Nothing else may have it, and none of these may hold what a caller wrote.
pub const TRACES: &str = "tegata::traces";

use async_trait::async_trait;
use figures::Figures;
use std::sync::Arc;
use tegata_policy::{
    acts::ActError,
    authorize::Grant,
    channel::{Channel, GroupSettings, RegisteredKey},
    denied::Denied,
    secret::HashedSecret,
};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, Position, ProviderId, Serial, SigningKeyId, TokenId},
    kind::Kind,
    time::UnixTime,
};

/// Why an act has no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The law, or what was asked for, does not allow it. Nothing was changed.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A name that must be new is taken already; ask again with another.
    #[error("this id is taken")]
    Taken,
    /// Something that it refers to is not there.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// It cannot stand beside what is there already.
    #[error("{0}")]
    Conflict(&'static str),
    /// Whether the act happened is not known, or nothing can be known now.
    #[error("the store cannot answer: {0}")]
    Unavailable(Arc<str>),
}

impl From<ActError> for Error {
    fn from(denied: ActError) -> Self {
        match denied {
            ActError::Denied(denied) => Self::Denied(denied),
            ActError::NotFound(what) => Self::NotFound(what),
            ActError::Conflict(why) => Self::Conflict(why),
            ActError::NoSigningKey => Self::Unavailable(denied.to_string().into()),
        }
    }
}

/// The result of an act or a question.
pub type Result<T> = std::result::Result<T, Error>;

/// What changed with one commit. A store calls its owner with it after the
/// commit and before any of the commit's answers, so that whoever sees an answer
/// sees a server that knows. It holds what the log holds, and nothing else.
#[derive(Debug, Clone, Default)]
pub struct Committed {
    /// Where the log ends now.
    pub position: Position,
    /// The changes that the commit appended, in their order.
    pub changes: Vec<Change>,
    /// The highest time that the store has written.
    pub written_at: Option<UnixTime>,
}

/// Who is told of commits.
pub type OnCommit = Box<dyn Fn(&Committed) + Send + Sync>;

/// A keeper of the authority's state.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    // ---- Questions. They see only what is committed.

    /// All that a server holds in memory, read at one position.
    async fn state(&self) -> Result<State>;
    /// The signing keys as they are kept, removed ones too, oldest first.
    async fn signing_keys(&self) -> Result<Vec<SigningKeyRow>>;
    /// A channel as requests are judged by it; deleted ones are `None`.
    async fn channel(&self, id: ChannelId) -> Result<Option<Channel>>;
    /// Providers, newest first.
    async fn providers(&self, page: Page) -> Result<Vec<(RowId, Provider)>>;
    /// A provider's channels, newest first.
    async fn channels(&self, provider: ProviderId, page: Page) -> Result<Vec<(RowId, Channel)>>;
    /// A channel's groups: those with settings, keys or live tokens at `now`, and those
    /// that stateless tokens were issued for in the last day.
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
    /// The ids of the channel's live v2.1 tokens, oldest first; of one group only, if given.
    async fn live_v21(
        &self,
        channel: ChannelId,
        group: Option<Group>,
        now: UnixTime,
    ) -> Result<Vec<TokenId>>;
    /// How many stored tokens that these keys signed were neither ended by
    /// themselves nor expired at `now`: what the keys' removal ends.
    async fn signed_by(&self, keys: Vec<SigningKeyId>, now: UnixTime) -> Result<usize>;
    /// Audit events, newest first; of one channel only, if given.
    async fn audit(&self, channel: Option<ChannelId>, page: Page) -> Result<Vec<AuditRow>>;
    /// One audit event.
    async fn audit_row(&self, id: RowId) -> Result<Option<AuditRow>>;
    /// The audit event that brought a channel, a deleted one too, into its state.
    async fn state_act(&self, channel: ChannelId) -> Result<Option<RowId>>;
    /// How far the audit is sealed.
    async fn audit_head(&self) -> Result<AuditHead>;
    /// The seal behind the one of that number and last row, and its rows; where
    /// there is none, the rows behind the last. At most `most` rows.
    async fn audit_batch(&self, behind: (u64, RowId), most: usize) -> Result<Batch>;
    /// Shows the whole audit to a verifier; answers what it found.
    async fn verify_audit(&self, verifier: audit::Verifier) -> Result<audit::AuditReport>;
    /// The last of some seals from `from` on that are older than `before`.
    async fn audit_expired(&self, from: u64, before: UnixTime) -> Result<Option<u64>>;
    /// The key that signs seals: its public half, and its private one.
    async fn audit_key(&self) -> Result<Option<([u8; 32], WrappedKey)>>;
    /// Token rows behind `after` whose life was over before `before`, and from where
    /// to look on, if there are more; looks at `most` rows.
    async fn inactive_before(
        &self,
        after: RowId,
        before: UnixTime,
        most: usize,
    ) -> Result<(Vec<RowId>, Option<RowId>)>;
    /// Ends of providers' tokens that are under way, or were when a process died.
    async fn provider_revocations(&self) -> Result<Vec<ProviderRevocation>>;
    /// The log behind `after`, in order, at most `most` entries; `None` if the log
    /// no longer reaches back so far, or never did in this epoch.
    async fn changes(
        &self,
        after: Position,
        most: usize,
    ) -> Result<Option<Vec<(Position, Change)>>>;
    /// What the active channels behind `after` hold, in the order of their ids, at
    /// most `most` of them.
    async fn holdings(
        &self,
        after: Option<ChannelId>,
        most: usize,
        now: UnixTime,
    ) -> Result<Vec<Holding>>;
    /// What one channel holds; deleted ones are `None`.
    async fn holding(&self, id: ChannelId, now: UnixTime) -> Result<Option<Holding>>;
    /// Warnings whose time to be sent has come at `now`, the longest due first.
    async fn due_warnings(&self, most: usize, now: UnixTime) -> Result<Vec<DueWarning>>;
    /// Whether acts can be committed at this moment.
    async fn is_writable(&self) -> Result<()>;
    /// Whether endings can be logged at this moment; `false`: no log of them is kept.
    async fn has_journal(&self) -> Result<bool>;
    /// What the store counts of its own work.
    fn figures(&self) -> Arc<Figures>;
    /// How many acts wait for the writer at this moment.
    fn waiting(&self) -> usize;
    /// Comes back only when the store has given up: no act can succeed any more,
    /// and whoever serves from it must end.
    async fn stopped(&self);

    // ---- Acts. Each is one transaction; its answer comes after the commit.

    /// Uses a grant: gives the token its place and its row, and ends what the law
    /// ends for it. `id` is fresh random bytes.
    async fn issue(
        &self,
        grant: Grant,
        id: TokenId,
        now: UnixTime,
        by: Option<By>,
    ) -> Result<Issued>;
    /// Prepares a token that needs no row: takes the assertion of a channel that takes
    /// each one once, and writes the row of a group that is not known yet. Refused if
    /// the assertion was taken before, or if there is no place for the group.
    async fn take_assertion(&self, grant: Grant, now: UnixTime) -> Result<Grant>;
    /// Ends tokens.
    async fn end(
        &self,
        channel: ChannelId,
        ending: RevocationTarget,
        dry_run: bool,
        by: By,
    ) -> Result<Revoked>;

    /// A new provider.
    async fn create_provider(&self, id: ProviderId, name: String, by: By) -> Result<Provider>;
    /// A new channel of `provider`.
    async fn create_channel(&self, channel: NewChannel, by: By) -> Result<Channel>;
    /// Changes a channel's settings or state; `Deleted` ends all its tokens for good.
    async fn change_channel(&self, id: ChannelId, patch: ChannelPatch, by: By) -> Result<Channel>;
    /// Puts a new secret in the place of the current one, which stays good for
    /// `keep_previous` seconds; with `revoke_tokens` all the channel's tokens end.
    /// Answers until when the previous one is taken.
    async fn replace_secret(
        &self,
        id: ChannelId,
        secret: HashedSecret,
        keep_previous: i64,
        revoke_tokens: bool,
        by: By,
    ) -> Result<UnixTime>;
    /// Registers an assertion key.
    async fn register_key(&self, channel: ChannelId, key: RegisteredKey, by: By) -> Result<()>;
    /// Deletes an assertion key; with `revoke_tokens` what was asked for with it ends.
    async fn delete_key(
        &self,
        channel: ChannelId,
        key: AssertionKeyId,
        revoke_tokens: bool,
        by: By,
    ) -> Result<Revoked>;
    /// Gives a group settings of its own, or changes those that it has; answers
    /// what they are now.
    async fn set_group(
        &self,
        channel: ChannelId,
        group: Group,
        patch: GroupPatch,
        by: By,
    ) -> Result<GroupSettings>;
    /// Removes a group: its settings, its keys, its tokens.
    async fn delete_group(&self, channel: ChannelId, group: Group, by: By) -> Result<Revoked>;

    /// Adds a signing key, or moves keys on through their states.
    async fn change_signing_keys(&self, change: SigningKeyChange, by: By) -> Result<Revoked>;

    /// Writes the audit row of an event that changed nothing in the store. The
    /// caller sees to it that strangers cannot cause one for each request.
    async fn record(&self, event: Event, by: By) -> Result<()>;

    /// Puts other seals around the private halves of all keys that still have one:
    /// the key that sealed them is being replaced.
    async fn rewrap(&self, keys: Vec<(SigningKeyId, WrappedKey)>, by: By) -> Result<()>;
    /// Keeps the key that signs seals.
    async fn set_audit_key(&self, public: [u8; 32], wrapped: WrappedKey) -> Result<()>;
    /// Keeps a seal. [`Error::Taken`] if its number is.
    async fn add_checkpoint(&self, checkpoint: audit::Checkpoint) -> Result<()>;
    /// Deletes at most `most` audit events of seals below `kept_from`; a kept seal
    /// must have said so. Answers how many went.
    async fn expire_audit(&self, kept_from: u64, most: usize) -> Result<usize>;
    /// Deletes of these token rows those whose life was over before `before`; what
    /// the view says of them stays. Answers how many went.
    async fn sweep(&self, tokens: Vec<RowId>, before: UnixTime) -> Result<usize>;

    /// Begins to end all tokens of the channels that a provider has by now.
    async fn begin_provider_revocation(&self, provider: ProviderId, by: By) -> Result<RowId>;
    /// Ends the tokens of the next channels, at most `most`, in the order of their
    /// ids. Answers what has ended since the beginning, and whether that is all.
    /// [`Error::NotFound`] once it is.
    async fn continue_provider_revocation(
        &self,
        job: RowId,
        most: usize,
        now: UnixTime,
    ) -> Result<(Revoked, bool)>;

    /// Notes when tokens were last used.
    async fn stamp_used(&self, stamps: Vec<(ChannelId, Serial, UnixTime)>) -> Result<()>;
    /// Notes when assertion keys were last used.
    async fn stamp_keys(&self, stamps: Vec<(AssertionKeyId, UnixTime)>) -> Result<()>;
    /// Notes when channels' secrets were last used; of one that is a channel's no more,
    /// nothing.
    async fn stamp_secrets(&self, stamps: Vec<(ChannelId, HashedSecret, UnixTime)>) -> Result<()>;
    /// Puts warnings on their way, each name only once, and drops those that nobody
    /// needs to know of any more. Answers how many are new.
    async fn queue_warnings(&self, warnings: Vec<NewWarning>, now: UnixTime) -> Result<usize>;
    /// Notes that a warning was tried: `next` is when to try again, if ever.
    async fn warning_tried(&self, number: RowId, next: Option<UnixTime>) -> Result<()>;
    /// Forgets in the view what can no longer matter; at most `channels` of them at
    /// once. Answers how many facts went.
    async fn forget(&self, channels: usize, now: UnixTime) -> Result<usize>;
    /// Deletes entries of the log, and assertions that were taken once, that nobody
    /// asks for any more; at most `most` of either. Answers how many went.
    async fn trim(&self, most: usize, now: UnixTime) -> Result<usize>;
    /// Moves the development clock's offset forward; answers the new offset, in seconds.
    async fn advance_clock(&self, seconds: i64) -> Result<i64>;
}

/// What a bulk or single ending did.
#[derive(Debug, Clone, Copy)]
pub struct Revoked {
    /// How many stored, live tokens it ended (or would have); 1 for a stateless token
    /// that was named by itself.
    pub tokens: usize,
    /// The place of its entry in the log; where it wrote none, of the log's end,
    /// which is behind the act that did its work before it.
    pub position: Position,
}

/// Which stored token.
#[derive(Debug, Clone, Copy)]
pub enum TokenName {
    /// By its own name.
    Id(TokenId),
    /// By its place in the channel's count.
    Serial(Serial),
}

/// A row's place in a list; the cursor of the next page.
pub type RowId = i64;

/// Which part of a list.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Only rows before this one.
    pub before: Option<RowId>,
    /// At most so many.
    pub most: usize,
}

/// Which tokens to list.
#[derive(Debug, Clone, Default)]
pub struct TokenFilter {
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Only of this group.
    pub group: Option<Group>,
    /// Only in this state.
    pub state: Option<TokenState>,
}
