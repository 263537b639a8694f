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
    permission::RoleChange,
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
