//! What acts on people have in common.

use crate::acts::{
    ActError,
    audit_event::{AuditEvent, PersonNamed},
    change::Change,
    effects::{Effects, Write},
    followers::TokenHash,
    journal::JournalEntry,
    locked::{Locked, Needs},
    things::Event,
    upkeep::Upkeep,
};
use crate::{
    acts::person::{PersonLoss, PersonRow, StoredPerson, WhichPerson},
    permission::{OperatorRole, RoleChange},
};
use tegata_token::id::PersonId;

/// A person with sessions and personal tokens.
pub(super) fn needs(id: PersonId) -> Needs {
    Needs { upkeep: Upkeep::Person(WhichPerson::Id(id)), ..Needs::default() }
}

/// The person that was read.
pub(super) fn existing(locked: &Locked) -> Result<&StoredPerson, ActError> {
    locked.upkeep.people.people.first().ok_or(ActError::NotFound("person"))
}

/// Whether a person administers the whole authority and can sign in.
fn is_active_administrator(person: &PersonRow) -> bool {
    person.operator == Some(OperatorRole::Administrator) && person.accepted && !person.disabled
}

/// Checks that another administrator can sign in, if this person is one.
pub(super) fn not_the_last_administrator(
    locked: &Locked,
    person: &PersonRow,
) -> Result<(), ActError> {
    let others = &locked.upkeep.people.operators;
    let mut others = others.iter().filter(|it| it.id != person.id);
    if is_active_administrator(person) && !others.any(is_active_administrator) {
        return Err(ActError::Conflict(
            "this is the last administrator who can sign in; give another person the role \
             `administrator` first. With the root administrator's token everything else can be done \
             meanwhile",
        ));
    }
    Ok(())
}

/// Ends the person's sessions, apart from one.
pub(super) fn end_sessions(locked: &Locked, but: Option<TokenHash>, effects: &mut Effects) {
    for session in locked.upkeep.people.sessions.iter().filter(|it| Some(it.token) != but) {
        effects.write(Write::SessionEnded(session.token));
        effects.change(Change::SessionEnded { token: session.token });
    }
}

/// Notes in the journal what a person lost.
pub(super) fn lose(effects: &mut Effects, person: PersonId, loss: PersonLoss) {
    effects.journal.push(JournalEntry::Person { person, loss });
}

/// Gives an act that changes nothing in memory a position in the log: servers that share a
/// database read the lines of the journal by it.
pub(super) fn with_position(effects: &mut Effects) {
    if effects.changes.is_empty() {
        effects.change(Change::Empty { provider: None });
    }
}

/// The person, as events name it.
pub(super) fn named(person: &PersonRow) -> PersonNamed {
    PersonNamed { person: person.id, login: person.login.clone() }
}

/// An event, of the provider or the channel that a role is in.
pub(super) fn event(locked: &Locked, role: Option<RoleChange>, event: AuditEvent) -> Event {
    match role {
        Some(RoleChange::Provider { provider, .. }) => {
            Event { event, provider: Some(provider), channel: None }
        }
        Some(RoleChange::Channel { channel, .. }) => {
            let provider = locked.channel.as_ref().map(|it| it.provider);
            Event { event, provider, channel: Some(channel) }
        }
        Some(RoleChange::Operator { .. }) | None => Event::of(event),
    }
}
