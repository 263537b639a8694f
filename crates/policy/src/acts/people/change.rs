//! Changing people and their roles.

use super::{
    common::{end_sessions, event, existing, lose, named, needs, not_the_last_administrator},
    invite::{can_have, needs_of_role},
};
use crate::acts::person::{PersonLoss, PersonRow, StoredPerson};
use crate::acts::{
    Act, ActError, ActName, Decided,
    audit_event::{AuditEvent, PersonChanged, RoleGiven},
    change::Change,
    effects::{Effects, Write},
    expected::SettingsTag,
    locked::{Locked, Needs},
    things::By,
    upkeep::Upkeep,
};
use crate::permission::RoleChange;
use tegata_token::{id::PersonId, time::UnixTime};

/// Renames, disables or enables a person. A disabled person's sessions end, and personal
/// tokens are rejected meanwhile.
#[derive(Debug, Clone)]
pub struct ChangePerson {
    /// The person.
    pub id: PersonId,
    /// A new display name.
    pub name: Option<String>,
    /// Whether the person is disabled.
    pub disabled: Option<bool>,
    /// Who requests it.
    pub by: By,
}

impl Act for ChangePerson {
    type Output = PersonRow;
    const NAME: ActName = ActName::ChangePerson;

    fn needs(&self) -> Needs {
        needs(self.id)
    }

    fn decide(&self, locked: &Locked, _: UnixTime) -> Decided<PersonRow> {
        let old = existing(locked)?;
        self.by.expects(SettingsTag::of_person(&old.person))?;
        if self.disabled == Some(true) {
            not_the_last_administrator(locked, &old.person)?;
        }
        self.done(old, locked)
    }
}

impl ChangePerson {
    /// The act without its guards, which a replayed line of the journal has passed before.
    pub(super) fn done(&self, old: &StoredPerson, locked: &Locked) -> Decided<PersonRow> {
        let mut person = old.person.clone();
        person.name = self.name.clone().unwrap_or(person.name);
        person.disabled = self.disabled.unwrap_or(person.disabled);
        let mut effects = Effects::default();
        let disables = person.disabled && !old.person.disabled;
        // An invitation that was made before must not outlast it.
        let invitation = old.invitation.filter(|_| !person.disabled);
        let new = StoredPerson { person: person.clone(), invitation, ..old.clone() };
        effects.write(Write::Person(Box::new(new)));
        effects.change(Change::Person { person: person.clone() });
        if disables {
            end_sessions(locked, None, &mut effects);
            lose(&mut effects, person.id, PersonLoss::Disabled);
        }
        let changed = PersonChanged {
            person: person.id,
            login: person.login.clone(),
            name: self.name.clone(),
            disabled: self.disabled,
        };
        effects.audit_of(&self.by, event(locked, None, AuditEvent::PersonSet(changed)));
        Ok((person, effects))
    }
}

/// Gives a person a role, or takes it away.
#[derive(Debug, Clone)]
pub struct SetRole {
    /// The person.
    pub id: PersonId,
    /// The role.
    pub role: RoleChange,
    /// Who requests it.
    pub by: By,
}

impl Act for SetRole {
    type Output = PersonRow;
    const NAME: ActName = ActName::SetRole;

    fn needs(&self) -> Needs {
        Needs { upkeep: Upkeep::RolesOf(self.id), ..needs_of_role(self.role) }
    }

    fn decide(&self, locked: &Locked, _: UnixTime) -> Decided<PersonRow> {
        can_have(locked, self.role)?;
        let old = existing(locked)?;
        self.by.expects(SettingsTag::of_role(&old.person, self.role))?;
        if old.person.with(self.role).operator != old.person.operator {
            not_the_last_administrator(locked, &old.person)?;
        }
        self.done(old, locked)
    }
}

impl SetRole {
    /// As of [`ChangePerson`].
    pub(super) fn done(&self, old: &StoredPerson, locked: &Locked) -> Decided<PersonRow> {
        can_have(locked, self.role)?;
        let person = old.person.with(self.role);
        if person == old.person {
            return match self.role.takes() {
                true => Err(ActError::NotFound("role of this person")),
                false => Ok((person, Effects::default())),
            };
        }
        let person = person.pruned(&locked.upkeep.people.past_roles);
        let mut effects = Effects::default();
        // The last role of an invited person: so the inviter can withdraw the invitation.
        let invitation = old.invitation.filter(|_| !self.role.takes() || person.has_role());
        let new = StoredPerson { person: person.clone(), invitation, ..old.clone() };
        effects.write(Write::Person(Box::new(new)));
        effects.change(Change::Person { person: person.clone() });
        lose(&mut effects, person.id, PersonLoss::Role { left: self.role });
        let given = RoleGiven { person: person.id, login: person.login.clone(), role: self.role };
        effects
            .audit_of(&self.by, event(locked, Some(self.role), AuditEvent::PersonSetRole(given)));
        Ok((person, effects))
    }
}

/// Deletes a person, with sessions and personal tokens. The id is not used again, since
/// audit events name it.
#[derive(Debug, Clone)]
pub struct DeletePerson {
    /// The person.
    pub id: PersonId,
    /// Who requests it.
    pub by: By,
}

impl Act for DeletePerson {
    type Output = ();
    const NAME: ActName = ActName::DeletePerson;

    fn needs(&self) -> Needs {
        needs(self.id)
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<()> {
        let old = existing(locked)?;
        self.by.expects(SettingsTag::of_person(&old.person))?;
        not_the_last_administrator(locked, &old.person)?;
        self.done(old, locked, now)
    }
}

impl DeletePerson {
    /// As of [`ChangePerson`].
    pub(super) fn done(&self, old: &StoredPerson, locked: &Locked, now: UnixTime) -> Decided<()> {
        let mut effects = Effects::default();
        end_sessions(locked, None, &mut effects);
        for token in &locked.upkeep.people.admin_tokens {
            effects.write(Write::AdminTokenDeleted(token.id));
            effects.change(Change::AdminTokenDeleted { id: token.id });
        }
        effects.write(Write::PersonDeleted(old.person.id, now));
        effects.change(Change::PersonDeleted { person: old.person.id });
        lose(&mut effects, old.person.id, PersonLoss::Deleted);
        let deleted = AuditEvent::PersonDelete(named(&old.person));
        effects.audit_of(&self.by, event(locked, None, deleted));
        Ok(((), effects))
    }
}
