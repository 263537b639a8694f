//! The root administrator's token that is in force for all servers of a database. A server
//! with a store in a file has its token in a file, and its store does not keep it.

use super::{
    Act, ActName, Decided,
    audit_event::{AuditEvent, NoDetail},
    change::Change,
    effects::{Effects, Write},
    journal::JournalEntry,
    locked::{Locked, Needs},
    things::{By, Event, RootTokenHash},
    upkeep::Upkeep,
};
use tegata_token::time::UnixTime;

/// Puts a root administrator's token in force instead of the one in force, which never comes
/// back. Returns `false`, without effects, if another one is in force than that, or if the new
/// one has ended already.
#[derive(Debug, Clone)]
pub struct ReplaceRootToken {
    /// The new one.
    pub new: RootTokenHash,
    /// The one in force; `None`: the new one is the first.
    pub instead_of: Option<RootTokenHash>,
    /// Who requests it.
    pub by: By,
}

impl Act for ReplaceRootToken {
    type Output = bool;
    const NAME: ActName = ActName::ReplaceRootToken;

    fn needs(&self) -> Needs {
        Needs { upkeep: Upkeep::RootTokens, ..Needs::default() }
    }

    fn decide(&self, locked: &Locked, _: UnixTime) -> Decided<bool> {
        let mut effects = Effects::default();
        let Self { new, instead_of, by } = self;
        let known = &locked.upkeep.root_tokens;
        if known.in_force != *instead_of || known.in_force == Some(*new) || known.has_ended(*new) {
            return Ok((false, effects));
        }
        effects.write(Write::RootToken { ended: *instead_of, in_force: *new });
        // The line and the answer need a position.
        effects.change(Change::Empty { provider: None });
        if let Some(ended) = *instead_of {
            effects.journal.push(JournalEntry::RootToken { ended, in_force: *new });
            effects.audit_of(by, Event::of(AuditEvent::AdminReset(NoDetail {})));
        }
        Ok((true, effects))
    }
}

/// What a replacement does to a store that lacks it.
pub(super) fn replay(ended: RootTokenHash, in_force: RootTokenHash, locked: &Locked) -> Effects {
    let mut effects = Effects::default();
    let known = &locked.upkeep.root_tokens;
    // Else the store has it, or a later one.
    if known.in_force != Some(in_force) && !known.has_ended(in_force) {
        effects.write(Write::RootToken { ended: Some(ended), in_force });
        effects.change(Change::Empty { provider: None });
    }
    effects
}
