//! Personal administrator's tokens.

use super::common::{event, existing, lose, needs};
use crate::acts::person::{AdminTokenRow, PersonLoss, WhichPerson};
use crate::acts::{
    Act, ActError, ActName, Decided,
    audit_event::{AdminTokenCreated, AdminTokenNamed, AuditEvent},
    change::Change,
    effects::{Effects, Write},
    locked::{Locked, Needs},
    things::By,
    upkeep::Upkeep,
};
use tegata_token::{id::AdminTokenId, time::UnixTime};

/// Number of personal tokens that a person can have.
pub const MOST_ADMIN_TOKENS: usize = 50;

/// Creates a personal token.
#[derive(Debug, Clone)]
pub struct CreateAdminToken {
    /// The token.
    pub new: AdminTokenRow,
    /// Who requests it.
    pub by: By,
}

impl Act for CreateAdminToken {
    type Output = AdminTokenRow;
    const NAME: ActName = ActName::CreateAdminToken;

    fn needs(&self) -> Needs {
        needs(self.new.person)
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<AdminTokenRow> {
        let person = existing(locked)?;
        if person.person.disabled {
            return Err(ActError::NotFound("person"));
        }
        let mut effects = Effects::default();
        let tokens = &locked.upkeep.people.admin_tokens;
        let (expired, left): (Vec<_>, Vec<_>) = tokens.iter().partition(|it| it.expires_at <= now);
        if left.len() >= MOST_ADMIN_TOKENS {
            return Err(ActError::Conflict("the person has 50 personal tokens; delete one first"));
        }
        for token in expired {
            effects.write(Write::AdminTokenDeleted(token.id));
            effects.change(Change::AdminTokenDeleted { id: token.id });
        }
        let new = AdminTokenRow { created_at: now, ..self.new.clone() };
        effects.write(Write::AdminToken(Box::new(new.clone())));
        effects.change(Change::AdminToken { admin_token: new.clone() });
        let created = AdminTokenCreated {
            admin_token: new.id,
            person: new.person,
            name: new.name.clone(),
            rights: new.rights,
            expires_at: new.expires_at,
        };
        effects.audit_of(&self.by, event(locked, None, AuditEvent::AdminTokenCreate(created)));
        Ok((new, effects))
    }
}

/// Deletes a personal token: it authenticates no request any more.
#[derive(Debug, Clone)]
pub struct DeleteAdminToken {
    /// The token.
    pub id: AdminTokenId,
    /// Who requests it.
    pub by: By,
}

impl Act for DeleteAdminToken {
    type Output = ();
    const NAME: ActName = ActName::DeleteAdminToken;

    fn needs(&self) -> Needs {
        Needs { upkeep: Upkeep::Person(WhichPerson::AdminToken(self.id)), ..Needs::default() }
    }

    fn decide(&self, locked: &Locked, _: UnixTime) -> Decided<()> {
        let token = locked.upkeep.people.admin_tokens.iter().find(|it| it.id == self.id);
        let token = token.ok_or(ActError::NotFound("administrator's token"))?;
        self.by.expects_presence()?;
        let mut effects = Effects::default();
        effects.write(Write::AdminTokenDeleted(token.id));
        effects.change(Change::AdminTokenDeleted { id: token.id });
        lose(&mut effects, token.person, PersonLoss::AdminToken { id: token.id });
        let named = AdminTokenNamed { admin_token: token.id, person: token.person };
        effects.audit_of(&self.by, event(locked, None, AuditEvent::AdminTokenDelete(named)));
        Ok(((), effects))
    }
}
