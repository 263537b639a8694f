//! Acts: everything that changes the authority's state, as "decide, then apply".
//!
//! ```text
//! load under the channel's lock ─▶ decide (here) ─▶ Effects (data) ─▶ apply ─▶ commit
//! ```
//!
//! An act declares what it [`Needs`] to be read under the lock, and decides on what was
//! [`Locked`]. A database only loads, locks and writes; it contains no rule. A dry run is
//! the same decision without writing its effects.

pub mod audit_event;
mod change;
mod channels;
mod checkpoints;
mod effects;
mod expected;
mod followers;
mod instances;
mod issue;
mod journal;
mod keys;
mod known;
mod leaks;
mod locked;
mod lost;
mod people;
mod person;
mod provider_job;
mod providers;
mod receipts;
mod recovery;
mod replay;
mod requests;
mod revoke;
mod root_token;
mod signing;
mod stamps;
mod stored;
mod tag;
mod things;
mod trim;
mod upkeep;
mod uses;
mod verifiers;
mod warnings;

pub use change::Change;
pub use channels::{ChangeChannel, CreateChannel, DeletePreviousSecret, ReplaceSecret};
pub use checkpoints::{AddCheckpoint, SetAuditKey};
pub use effects::{AuditRecord, Effects, NewToken, Write};
pub use expected::{ExpectedSettings, SettingsTag};
pub use followers::{Instance, ReceiptFor, ReceiptRow, TokenHash, VerifierPatch, VerifierRow};
pub use instances::{
    DropInstances, MOST_INSTANCES, MOST_STOPPED, RegisterInstance, Registration, RenewInstances,
    StopInstance,
};
pub use issue::{Issue, Issued, Issuer, TakeAssertion};
pub use journal::{Commit, JournalEntry};
pub use keys::{DeleteGroup, DeleteKey, RegisterKey, SetGroup};
pub use leaks::ReportLeaks;
pub use locked::{Before, Count, Locked, LockedProvider, Needs, Remembered, StoredKey, Tokens};
pub use lost::{LOST_INSTANCES, LostInstances};
pub use people::{
    AcceptInvitation, ChangePassword, ChangePerson, CreateAdminToken, DeleteAdminToken,
    DeletePerson, EndSession, FirstFactor, InvitePerson, LOGIN_TAKEN, LinkIdentity,
    MOST_ADMIN_TOKENS, MOST_INVITATIONS, MOST_SESSIONS, ResetPerson, SecondFactor, SetRole, SignIn,
    UnlinkIdentity, UseCode,
};
pub use person::{
    AdminTokenRow, Identity, LinkedIdentity, OpenInvitation, PAST_ROLES_KEPT, PasswordHash,
    PersonLoss, PersonRow, PersonRows, PersonState, SessionRow, SignInSecrets, StoredPerson,
    WhichPerson,
};
pub use provider_job::{BeginProviderRevocation, ContinueProviderRevocation, ProviderProgress};
pub use providers::{CreateProvider, DeleteProvider, RenameProvider};
pub use receipts::{SettleReceipts, receipt_of};
pub use recovery::Recover;
pub use replay::{RaiseSerials, Replay, Replayed};
pub use requests::{BeginRequest, FinishRequest, REQUESTS_KEPT, RequestBegun};
pub use revoke::{Forget, REVOCATIONS_KEPT, Revoke, covered};
pub use root_token::ReplaceRootToken;
pub use signing::{AdvanceClock, ChangeSigningKeys, Record, RecordForAll, RewrapKeys};
pub use stamps::StampUses;
pub use stored::{StoredToken, Times, TokenRevocation};
pub use things::{
    Author, By, ChannelPatch, Event, GroupPatch, LimitsPatch, NewChannel, Provider,
    RevocationCause, RevocationTarget, RootTokenHash, RootTokens, SigningKeyChange, SigningKeyRow,
    TokenState, WrappedKey,
};
pub use trim::Trim;
pub use upkeep::{
    Checkpoint, NewWarning, NotedUse, Old, ProviderJob, QueuedWarning, RecentUse,
    RememberedRequest, Stamp, StampPlace, Stamped, SweptToken, Upkeep, UpkeepRows, UsedAssertion,
    UsesOfRow,
};
pub use uses::{RecordUses, USES_KEPT, USES_PER_TOKEN, merged};
pub use verifiers::{
    ChangeVerifier, CreateVerifier, DEFAULT_MAX_STALENESS, DeleteVerifier, RemoveInstances,
};
pub use warnings::{QueueWarnings, WarningTried};

use crate::denied::Denied;
use tegata_token::time::UnixTime;

/// Why an act is not done. It changes nothing then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ActError {
    /// The token rules or the request's parameters do not allow it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Something that it refers to does not exist.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// It conflicts with the present state.
    #[error("{0}")]
    Conflict(&'static str),
    /// The settings of the object are not those that the actor expects.
    #[error("the object was changed meanwhile")]
    Changed,
    /// An id that must be new exists already.
    #[error("this id exists already")]
    Taken,
    /// No signing key is active, so no token can be issued.
    #[error("no signing key is active")]
    NoSigningKey,
}

/// An act's result and its effects.
pub type Decided<T> = Result<(T, Effects), ActError>;

/// An act whose rules are decided here.
pub trait Act {
    /// Its result.
    type Output;
    /// Its name.
    const NAME: ActName;

    /// What must be read under the lock.
    fn needs(&self) -> Needs;

    /// Decides the act at `now`, which is the later of the act's own time and the highest
    /// time that the store has written.
    ///
    /// # Errors
    /// [`ActError`].
    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<Self::Output>;
}

/// The acts. A closed list, so that a property of every act can be tested for every act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActName {
    /// [`Issue`]
    Issue,
    /// [`TakeAssertion`]
    TakeAssertion,
    /// [`Revoke`]
    Revoke,
    /// [`ReportLeaks`]
    ReportLeaks,
    /// [`Forget`]
    Forget,
    /// [`CreateProvider`]
    CreateProvider,
    /// [`RenameProvider`]
    RenameProvider,
    /// [`DeleteProvider`]
    DeleteProvider,
    /// [`CreateChannel`]
    CreateChannel,
    /// [`ChangeChannel`]
    ChangeChannel,
    /// [`ReplaceSecret`]
    ReplaceSecret,
    /// [`DeletePreviousSecret`]
    DeletePreviousSecret,
    /// [`RegisterKey`]
    RegisterKey,
    /// [`DeleteKey`]
    DeleteKey,
    /// [`SetGroup`]
    SetGroup,
    /// [`DeleteGroup`]
    DeleteGroup,
    /// [`ChangeSigningKeys`]
    ChangeSigningKeys,
    /// [`RewrapKeys`]
    RewrapKeys,
    /// [`Record`]
    Record,
    /// [`RecordForAll`]
    RecordForAll,
    /// [`AdvanceClock`]
    AdvanceClock,
    /// [`BeginProviderRevocation`]
    BeginProviderRevocation,
    /// [`ContinueProviderRevocation`]
    ContinueProviderRevocation,
    /// [`QueueWarnings`]
    QueueWarnings,
    /// [`WarningTried`]
    WarningTried,
    /// [`StampUses`]
    StampUses,
    /// [`RecordUses`]
    RecordUses,
    /// [`Trim`]
    Trim,
    /// [`SetAuditKey`]
    SetAuditKey,
    /// [`AddCheckpoint`]
    AddCheckpoint,
    /// [`Replay`]
    Replay,
    /// [`RaiseSerials`]
    RaiseSerials,
    /// [`Recover`]
    Recover,
    /// [`CreateVerifier`]
    CreateVerifier,
    /// [`ChangeVerifier`]
    ChangeVerifier,
    /// [`DeleteVerifier`]
    DeleteVerifier,
    /// [`RemoveInstances`]
    RemoveInstances,
    /// [`RegisterInstance`]
    RegisterInstance,
    /// [`RenewInstances`]
    RenewInstances,
    /// [`StopInstance`]
    StopInstance,
    /// [`DropInstances`]
    DropInstances,
    /// [`SettleReceipts`]
    SettleReceipts,
    /// [`InvitePerson`]
    InvitePerson,
    /// [`AcceptInvitation`]
    AcceptInvitation,
    /// [`ChangePerson`]
    ChangePerson,
    /// [`SetRole`]
    SetRole,
    /// [`ResetPerson`]
    ResetPerson,
    /// [`DeletePerson`]
    DeletePerson,
    /// [`SignIn`]
    SignIn,
    /// [`UseCode`]
    UseCode,
    /// [`EndSession`]
    EndSession,
    /// [`ChangePassword`]
    ChangePassword,
    /// [`LinkIdentity`]
    LinkIdentity,
    /// [`UnlinkIdentity`]
    UnlinkIdentity,
    /// [`CreateAdminToken`]
    CreateAdminToken,
    /// [`DeleteAdminToken`]
    DeleteAdminToken,
    /// [`ReplaceRootToken`]
    ReplaceRootToken,
    /// [`BeginRequest`]
    BeginRequest,
    /// [`FinishRequest`]
    FinishRequest,
}

impl ActName {
    /// All of them.
    pub const ALL: [Self; 59] = [
        Self::Issue,
        Self::TakeAssertion,
        Self::Revoke,
        Self::ReportLeaks,
        Self::Forget,
        Self::CreateProvider,
        Self::RenameProvider,
        Self::DeleteProvider,
        Self::CreateChannel,
        Self::ChangeChannel,
        Self::ReplaceSecret,
        Self::DeletePreviousSecret,
        Self::RegisterKey,
        Self::DeleteKey,
        Self::SetGroup,
        Self::DeleteGroup,
        Self::ChangeSigningKeys,
        Self::RewrapKeys,
        Self::Record,
        Self::RecordForAll,
        Self::AdvanceClock,
        Self::BeginProviderRevocation,
        Self::ContinueProviderRevocation,
        Self::QueueWarnings,
        Self::WarningTried,
        Self::StampUses,
        Self::RecordUses,
        Self::Trim,
        Self::SetAuditKey,
        Self::AddCheckpoint,
        Self::Replay,
        Self::RaiseSerials,
        Self::Recover,
        Self::CreateVerifier,
        Self::ChangeVerifier,
        Self::DeleteVerifier,
        Self::RemoveInstances,
        Self::RegisterInstance,
        Self::RenewInstances,
        Self::StopInstance,
        Self::DropInstances,
        Self::SettleReceipts,
        Self::InvitePerson,
        Self::AcceptInvitation,
        Self::ChangePerson,
        Self::SetRole,
        Self::ResetPerson,
        Self::DeletePerson,
        Self::SignIn,
        Self::UseCode,
        Self::EndSession,
        Self::ChangePassword,
        Self::LinkIdentity,
        Self::UnlinkIdentity,
        Self::CreateAdminToken,
        Self::DeleteAdminToken,
        Self::ReplaceRootToken,
        Self::BeginRequest,
        Self::FinishRequest,
    ];

    /// Whether the act can invalidate a token or a credential that was valid before, so
    /// that the journal must hold a line about it.
    #[must_use]
    pub const fn can_narrow(self) -> bool {
        match self {
            Self::Issue
            | Self::Revoke
            | Self::ReportLeaks
            | Self::ChangeChannel
            | Self::ReplaceSecret
            | Self::DeletePreviousSecret
            | Self::DeleteKey
            | Self::SetGroup
            | Self::DeleteGroup
            | Self::ChangeSigningKeys
            | Self::BeginProviderRevocation
            | Self::ContinueProviderRevocation
            | Self::Replay
            | Self::Recover
            | Self::ChangeVerifier
            | Self::DeleteVerifier
            // An invitation is accepted once, and each recovery code is used once.
            | Self::AcceptInvitation
            | Self::ChangePerson
            | Self::SetRole
            | Self::ResetPerson
            | Self::DeletePerson
            | Self::SignIn
            | Self::UseCode
            | Self::EndSession
            | Self::ChangePassword
            | Self::UnlinkIdentity
            | Self::DeleteAdminToken
            | Self::ReplaceRootToken => true,
            // A used assertion stays valid for at most 61 minutes; a line for each issue would cost
            // more than that is worth.
            Self::TakeAssertion
            | Self::Forget
            | Self::CreateProvider
            | Self::RenameProvider
            // Only a provider without channels is deleted.
            | Self::DeleteProvider
            | Self::CreateChannel
            | Self::RegisterKey
            | Self::RewrapKeys
            | Self::Record
            | Self::RecordForAll
            | Self::AdvanceClock
            | Self::QueueWarnings
            | Self::WarningTried
            | Self::StampUses
            | Self::RecordUses
            | Self::Trim
            | Self::SetAuditKey
            | Self::AddCheckpoint
            | Self::RaiseSerials
            | Self::CreateVerifier
            | Self::RemoveInstances
            | Self::RegisterInstance
            | Self::RenewInstances
            | Self::StopInstance
            | Self::DropInstances
            | Self::SettleReceipts
            | Self::InvitePerson
            // Only a person without a linked account links one.
            | Self::LinkIdentity
            | Self::CreateAdminToken
            | Self::BeginRequest
            | Self::FinishRequest => false,
        }
    }
}
