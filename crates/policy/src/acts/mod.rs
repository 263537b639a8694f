//! Acts: everything that changes the authority's state, as "decide, then apply".
//!
//! ```text
//! load under the channel's lock ─▶ decide (here) ─▶ Effects (data) ─▶ apply ─▶ commit
//! ```
//!
//! An act says what it [`Needs`] to be read under the lock, and decides on what was
//! [`Locked`]. A database only loads, locks and writes: no rule stands there. The
//! same decision without writing its effects is a dry run.

pub mod audit_event;
mod channels;
mod effects;
mod issue;
mod journal;
mod keys;
mod known;
mod locked;
mod revoke;
mod signing;
mod stored;
mod things;

pub use channels::{ChangeChannel, CreateChannel, CreateProvider, ReplaceSecret};
pub use effects::{AuditRecord, Change, Effects, NewToken, Write};
pub use issue::{Issue, Issued, Issuer, TakeAssertion};
pub use journal::{Commit, JournalEntry};
pub use keys::{DeleteGroup, DeleteKey, RegisterKey, SetGroup};
pub use locked::{Before, Count, Locked, Needs, Remembered, StoredKey, Tokens};
pub use revoke::{Forget, REVOCATIONS_KEPT, Revoke, covered};
pub use signing::{AdvanceClock, ChangeSigningKeys, Record, RewrapKeys};
pub use stored::{StoredToken, Times, TokenRevocation};
pub use things::{
    By, ChannelPatch, Event, GroupPatch, LimitsPatch, NewChannel, Provider, RevocationCause,
    RevocationTarget, SigningKeyChange, SigningKeyRow, TokenState, WrappedKey,
};

use crate::denied::Denied;
use tegata_token::time::UnixTime;

/// Why an act is not done. Nothing is changed by it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ActError {
    /// The law, or what was asked for, does not allow it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Something that it refers to is not there.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// It cannot stand beside what is there already.
    #[error("{0}")]
    Conflict(&'static str),
    /// No signing key is active, so no token can be issued.
    #[error("no signing key is active")]
    NoSigningKey,
}

/// What an act answers, and what it does.
pub type Decided<T> = Result<(T, Effects), ActError>;

/// An act whose rules are decided here.
pub trait Act {
    /// What it answers.
    type Output;
    /// Which act it is.
    const NAME: ActName;

    /// What must be read under the lock.
    fn needs(&self) -> Needs;

    /// Decides about the act at `now`, which is the later of the act's own time and
    /// the highest ever written.
    ///
    /// # Errors
    /// [`ActError`].
    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<Self::Output>;
}

/// The acts. A closed list, so that what must hold for every one of them can be asked
/// of every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActName {
    /// [`Issue`]
    Issue,
    /// [`TakeAssertion`]
    TakeAssertion,
    /// [`Revoke`]
    Revoke,
    /// [`Forget`]
    Forget,
    /// [`CreateProvider`]
    CreateProvider,
    /// [`CreateChannel`]
    CreateChannel,
    /// [`ChangeChannel`]
    ChangeChannel,
    /// [`ReplaceSecret`]
    ReplaceSecret,
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
    /// [`AdvanceClock`]
    AdvanceClock,
}

impl ActName {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Issue,
        Self::TakeAssertion,
        Self::Revoke,
        Self::Forget,
        Self::CreateProvider,
        Self::CreateChannel,
        Self::ChangeChannel,
        Self::ReplaceSecret,
        Self::RegisterKey,
        Self::DeleteKey,
        Self::SetGroup,
        Self::DeleteGroup,
        Self::ChangeSigningKeys,
        Self::RewrapKeys,
        Self::Record,
        Self::AdvanceClock,
    ];

    /// Whether the act can make a token or a credential invalid that was valid before,
    /// so that the journal must hold a line of it.
    #[must_use]
    pub const fn can_narrow(self) -> bool {
        match self {
            Self::Issue
            | Self::Revoke
            | Self::ChangeChannel
            | Self::ReplaceSecret
            | Self::DeleteKey
            | Self::SetGroup
            | Self::DeleteGroup
            | Self::ChangeSigningKeys => true,
            // An assertion is used up for the half hour that it is valid, and a store
            // that is recovered has been down for longer.
            Self::TakeAssertion
            | Self::Forget
            | Self::CreateProvider
            | Self::CreateChannel
            | Self::RegisterKey
            | Self::RewrapKeys
            | Self::Record
            | Self::AdvanceClock => false,
        }
    }
}
