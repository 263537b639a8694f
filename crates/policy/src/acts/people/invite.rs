//! Inviting people, accepting an invitation, and beginning anew.

use super::common::{end_sessions, event, existing, lose, named, needs};
use crate::acts::person::{PersonLoss, PersonRow, SignInSecrets, StoredPerson, WhichPerson};
use crate::permission::RoleChange;
use crate::{
    acts::{
        Act, ActError, ActName, Decided,
        audit_event::{AuditEvent, PersonInvited},
        change::Change,
        effects::{Effects, Write},
        followers::TokenHash,
        locked::{Locked, Needs},
        things::By,
        upkeep::Upkeep,
    },
    denied::Denied,
    permission::ChannelRole,
    rules::ChannelType,
    text::is_login,
};
use std::collections::BTreeMap;
use tegata_token::{id::PersonId, time::UnixTime};

/// Number of invitations that can be open at a time: so many into roles of the authority, and so
/// many others.
pub const MOST_INVITATIONS: usize = 200;

/// Invites a person: the holder of the invitation sets the password.
#[derive(Debug, Clone)]
pub struct InvitePerson {
    /// A fresh random id.
    pub id: PersonId,
    /// The name to sign in with.
    pub login: String,
    /// The display name.
    pub name: String,
    /// The first role.
    pub role: Option<RoleChange>,
    /// The hash of the invitation.
    pub invitation: TokenHash,
    /// When the invitation expires.
    pub expires_at: UnixTime,
    /// Who requests it.
    pub by: By,
}

/// Why a person is not invited whose sign-in name is another person's.
pub const LOGIN_TAKEN: &str = "a person with this sign-in name exists";

impl Act for InvitePerson {
    type Output = PersonRow;
    const NAME: ActName = ActName::InvitePerson;

    fn needs(&self) -> Needs {
        let upkeep = Upkeep::Person(WhichPerson::Login(self.login.clone()));
        Needs { upkeep, ..self.role.map(needs_of_role).unwrap_or_default() }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<PersonRow> {
        if !is_login(&self.login) {
            return Err(Denied::NotALogin.into());
        }
        if !locked.upkeep.people.people.is_empty() {
            return Err(ActError::Conflict(LOGIN_TAKEN));
        }
        // Apart: the Admin of one channel must not keep out those who operate the authority.
        let into_authority = matches!(self.role, Some(RoleChange::Operator { .. }));
        let open = locked.upkeep.people.invitations.iter();
        let open = open.filter(|it| it.into_authority == into_authority && now < it.until);
        if open.count() >= MOST_INVITATIONS {
            return Err(ActError::Conflict(
                "200 invitations are open; wait until some are accepted or expire, or withdraw some \
                 by deleting their people",
            ));
        }
        let mut person = PersonRow {
            id: self.id,
            login: self.login.clone(),
            name: self.name.clone(),
            operator: None,
            providers: BTreeMap::new(),
            channels: BTreeMap::new(),
            disabled: false,
            accepted: false,
            created_at: now,
        };
        if let Some(role) = self.role {
            can_have(locked, role)?;
            person = person.with(role);
        }
        let mut effects = Effects::default();
        let invitation = Some((self.invitation, self.expires_at));
        let stored =
            StoredPerson { person: person.clone(), secrets: None, invitation, identity: None };
        effects.write(Write::NewPerson(Box::new(stored)));
        effects.change(Change::Person { person: person.clone() });
        let invited = PersonInvited {
            person: person.id,
            login: person.login.clone(),
            name: person.name.clone(),
            role: self.role,
        };
        effects.audit_of(&self.by, event(locked, self.role, AuditEvent::PersonInvite(invited)));
        Ok((person, effects))
    }
}

/// What an act that gives or takes a role needs of the provider or the channel.
pub(super) fn needs_of_role(role: RoleChange) -> Needs {
    match role {
        RoleChange::Operator { .. } => Needs::default(),
        RoleChange::Provider { provider, .. } => {
            Needs { provider: Some(provider), ..Needs::default() }
        }
        RoleChange::Channel { channel, .. } => Needs::channel(channel),
    }
}

/// Checks that the provider or channel exists, and that its people can have the role. A role is
/// taken away whether they exist or not: it stays in the row of its person.
pub(super) fn can_have(locked: &Locked, role: RoleChange) -> Result<(), ActError> {
    match role {
        RoleChange::Operator { .. } => Ok(()),
        taken if taken.takes() => Ok(()),
        RoleChange::Provider { .. } if locked.provider.is_none() => {
            Err(ActError::NotFound("provider"))
        }
        RoleChange::Provider { .. } => Ok(()),
        RoleChange::Channel { role, .. } => {
            let channel = locked.existing()?;
            let is_mini_app = channel.channel_type == ChannelType::MiniApp;
            match role {
                Some(ChannelRole::Member) if is_mini_app => {
                    Err(ActError::Conflict("a mini-app channel has no role `member`"))
                }
                _ => Ok(()),
            }
        }
    }
}

/// Accepts an invitation: sets password, second factor and recovery codes. An invitation is
/// accepted once.
#[derive(Debug, Clone)]
pub struct AcceptInvitation {
    /// The hash of the invitation.
    pub invitation: TokenHash,
    /// What authenticates the person from now on.
    pub secrets: SignInSecrets,
    /// From where it is accepted; the actor is the person.
    pub by: By,
}

/// The error for an invitation that cannot be accepted.
pub const NO_INVITATION: ActError = ActError::NotFound("invitation; it may be used or expired");

impl Act for AcceptInvitation {
    type Output = PersonRow;
    const NAME: ActName = ActName::AcceptInvitation;

    fn needs(&self) -> Needs {
        let upkeep = Upkeep::Person(WhichPerson::Invitation(self.invitation));
        Needs { upkeep, ..Needs::default() }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<PersonRow> {
        let old = locked.upkeep.people.people.first().ok_or(NO_INVITATION)?;
        let good =
            |(hash, expires_at): (TokenHash, UnixTime)| hash == self.invitation && now < expires_at;
        if old.person.disabled || !old.invitation.is_some_and(good) {
            return Err(NO_INVITATION);
        }
        let person = PersonRow { accepted: true, ..old.person.clone() };
        let mut effects = Effects::default();
        let secrets = Some(self.secrets.clone());
        // The holder of the invitation proves no account at an identity provider.
        let new =
            StoredPerson { person: person.clone(), secrets, invitation: None, identity: None };
        effects.write(Write::Person(Box::new(new)));
        effects.change(Change::Person { person: person.clone() });
        end_sessions(locked, None, &mut effects);
        lose(&mut effects, person.id, PersonLoss::Secrets);
        effects.audit_of(&self.by, event(locked, None, AuditEvent::PersonAccept(named(&person))));
        Ok((person, effects))
    }
}

/// Lets a person begin anew: the password, the second factor and all sessions end, the account
/// at an identity provider is unlinked, and an invitation sets new ones. Roles and personal tokens stay.
#[derive(Debug, Clone)]
pub struct ResetPerson {
    /// The person.
    pub id: PersonId,
    /// The hash of the invitation, and when it expires; `None`: a later reset makes one.
    pub invitation: Option<(TokenHash, UnixTime)>,
    /// Who requests it.
    pub by: By,
}

impl Act for ResetPerson {
    type Output = PersonRow;
    const NAME: ActName = ActName::ResetPerson;

    fn needs(&self) -> Needs {
        needs(self.id)
    }

    fn decide(&self, locked: &Locked, _: UnixTime) -> Decided<PersonRow> {
        let old = existing(locked)?;
        let person = PersonRow { accepted: false, ..old.person.clone() };
        let mut effects = Effects::default();
        let new = StoredPerson {
            person: person.clone(),
            secrets: None,
            invitation: self.invitation,
            identity: None,
        };
        effects.write(Write::Person(Box::new(new)));
        effects.change(Change::Person { person: person.clone() });
        end_sessions(locked, None, &mut effects);
        lose(&mut effects, person.id, PersonLoss::Secrets);
        effects.audit_of(&self.by, event(locked, None, AuditEvent::PersonReset(named(&person))));
        Ok((person, effects))
    }
}
