//! Linking a person with an account at an identity provider, and unlinking it.

use super::common::{end_sessions, event, existing, lose, needs, with_position};
use crate::acts::person::{Identity, LinkedIdentity, PersonLoss, PersonRow, StoredPerson};
use crate::acts::{
    Act, ActError, ActName, Decided,
    audit_event::{AuditEvent, IdentityNamed},
    effects::{Effects, Write},
    followers::TokenHash,
    locked::{Locked, Needs},
    things::By,
    upkeep::Upkeep,
};
use tegata_token::{id::PersonId, time::UnixTime};

/// Links an account at an identity provider, which the person has proven to have.
#[derive(Debug, Clone)]
pub struct LinkIdentity {
    /// The person.
    pub person: PersonId,
    /// The account.
    pub identity: Identity,
    /// Who requests it: the person.
    pub by: By,
}

impl Act for LinkIdentity {
    type Output = ();
    const NAME: ActName = ActName::LinkIdentity;

    fn needs(&self) -> Needs {
        // An account signs in one person: all others are compared.
        Needs { upkeep: Upkeep::People, ..Needs::default() }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<()> {
        let all = &locked.upkeep.people.people;
        let old = all.iter().find(|it| it.person.id == self.person && !it.person.disabled);
        let old = old.ok_or(ActError::NotFound("person"))?;
        if old.identity.is_some() {
            return Err(ActError::Conflict(
                "an account at an identity provider is linked already; unlink it first",
            ));
        }
        if all.iter().any(|it| it.is_linked_to(&self.identity)) {
            return Err(ActError::Conflict(
                "this account at the identity provider is linked to another person; that person \
                 or an administrator unlinks it first",
            ));
        }
        let mut effects = Effects::default();
        let identity = LinkedIdentity { identity: self.identity.clone(), linked_at: now };
        let new = StoredPerson { identity: Some(identity), ..old.clone() };
        effects.write(Write::Person(Box::new(new)));
        let linked = AuditEvent::PersonLinkIdentity(named(&old.person, &self.identity));
        effects.audit_of(&self.by, event(locked, None, linked));
        Ok(((), effects))
    }
}

/// Unlinks a person's account at an identity provider: it signs in no more. All sessions end,
/// which may have begun with it, but the one that requests it.
#[derive(Debug, Clone)]
pub struct UnlinkIdentity {
    /// The person.
    pub person: PersonId,
    /// The session of the person that requests it, if one does.
    pub session: Option<TokenHash>,
    /// Who requests it.
    pub by: By,
}

impl Act for UnlinkIdentity {
    type Output = ();
    const NAME: ActName = ActName::UnlinkIdentity;

    fn needs(&self) -> Needs {
        needs(self.person)
    }

    fn decide(&self, locked: &Locked, _: UnixTime) -> Decided<()> {
        let old = existing(locked)?;
        let linked = old.identity.as_ref();
        let linked = linked.ok_or(ActError::NotFound("linked account at an identity provider"))?;
        self.by.expects_presence()?;
        let mut effects = unlinked(old);
        end_sessions(locked, self.session, &mut effects);
        lose(&mut effects, old.person.id, PersonLoss::Identity);
        with_position(&mut effects);
        let named = AuditEvent::PersonUnlinkIdentity(named(&old.person, &linked.identity));
        effects.audit_of(&self.by, event(locked, None, named));
        Ok(((), effects))
    }
}

/// The person without a linked account.
pub(super) fn unlinked(old: &StoredPerson) -> Effects {
    let mut effects = Effects::default();
    if old.identity.is_some() {
        let new = StoredPerson { identity: None, ..old.clone() };
        effects.write(Write::Person(Box::new(new)));
    }
    effects
}

fn named(person: &PersonRow, identity: &Identity) -> IdentityNamed {
    IdentityNamed {
        person: person.id,
        login: person.login.clone(),
        issuer: identity.issuer.clone(),
        subject: identity.subject.clone(),
    }
}
