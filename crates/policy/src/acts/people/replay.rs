//! What a person lost, applied again to a store that lacks it.

use super::{
    change::{ChangePerson, DeletePerson, SetRole},
    common::{end_sessions, existing},
    identity::unlinked,
    sign_in::EndSession,
    tokens::DeleteAdminToken,
};
use crate::acts::person::{PersonLoss, PersonRow, StoredPerson};
use crate::acts::{
    Act, ActError,
    change::Change,
    effects::{Effects, Write},
    locked::{Locked, Needs},
    things::By,
};
use tegata_token::{id::PersonId, time::UnixTime};

/// What must be read.
pub(in crate::acts) fn needs(person: PersonId, loss: &PersonLoss, by: By) -> Needs {
    match loss {
        PersonLoss::Role { left } => SetRole { id: person, role: *left, by }.needs(),
        _ => super::common::needs(person),
    }
}

/// The effects; none if the store does not have the person, or has lost the same already.
pub(in crate::acts) fn lost(
    id: PersonId,
    loss: &PersonLoss,
    by: By,
    (locked, now): (&Locked, UnixTime),
) -> Result<Effects, ActError> {
    let done = match loss {
        PersonLoss::Disabled => {
            let act = ChangePerson { id, name: None, disabled: Some(true), by };
            existing(locked).and_then(|old| act.done(old, locked)).map(|it| it.1)
        }
        PersonLoss::Deleted => {
            let act = DeletePerson { id, by };
            existing(locked).and_then(|old| act.done(old, locked, now)).map(|it| it.1)
        }
        PersonLoss::Role { left } => {
            let act = SetRole { id, role: *left, by };
            existing(locked).and_then(|old| act.done(old, locked)).map(|it| it.1)
        }
        PersonLoss::Session { token } => {
            EndSession { person: id, token: *token, by }.decide(locked, now).map(|it| it.1)
        }
        PersonLoss::AdminToken { id } => {
            DeleteAdminToken { id: *id, by }.decide(locked, now).map(|it| it.1)
        }
        PersonLoss::Identity => existing(locked).map(|old| {
            let mut effects = unlinked(old);
            end_sessions(locked, None, &mut effects);
            effects
        }),
        PersonLoss::Secrets => existing(locked).map(|old| without_secrets(old, locked)),
        PersonLoss::RecoveryCode { code } => existing(locked).map(|old| {
            let mut new = old.clone();
            if let Some(secrets) = &mut new.secrets {
                secrets.recovery.retain(|it| it != code);
            }
            let mut effects = Effects::default();
            if new != *old {
                effects.write(Write::Person(Box::new(new)));
            }
            effects
        }),
    };
    match done {
        // The recovery writes one event about all lines.
        Ok(effects) => Ok(Effects { audit: None, ..effects }),
        Err(ActError::NotFound(_)) => Ok(Effects::default()),
        Err(error) => Err(error),
    }
}

/// The person needs a new invitation.
fn without_secrets(old: &StoredPerson, locked: &Locked) -> Effects {
    let person = PersonRow { accepted: false, ..old.person.clone() };
    let mut effects = Effects::default();
    let new =
        StoredPerson { person: person.clone(), secrets: None, invitation: None, identity: None };
    effects.write(Write::Person(Box::new(new)));
    effects.change(Change::Person { person });
    end_sessions(locked, None, &mut effects);
    effects
}
