//! Signing in and out, and changing one's own password.

use super::common::{end_sessions, event, existing, lose, named, needs, with_position};
use crate::acts::person::{
    Identity, PasswordHash, PersonLoss, SessionRow, SignInSecrets, StoredPerson,
};
use crate::acts::{
    Act, ActError, ActName, Decided,
    audit_event::{AuditEvent, PersonSignedIn},
    change::Change,
    effects::{Effects, Write},
    followers::TokenHash,
    locked::{Locked, Needs},
    things::By,
};
use tegata_token::{id::PersonId, time::UnixTime};

/// Number of sessions that a person can have; the next one ends the oldest.
pub const MOST_SESSIONS: usize = 20;

/// What was shown first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirstFactor {
    /// A password with this hash.
    Password(PasswordHash),
    /// This account at an identity provider.
    Identity(Identity),
}

/// The second factor that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondFactor {
    /// A code of this time step.
    Totp(i64),
    /// The recovery code with this hash.
    Recovery(TokenHash),
    /// None: the identity provider, which has signed the person in, is trusted with it.
    Trusted,
}

/// Begins a session, for a first and a second factor that were verified against what is
/// stored.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// The new session.
    pub session: SessionRow,
    /// What was shown first.
    pub first: FirstFactor,
    /// The second factor.
    pub second: SecondFactor,
    /// From where; the actor is the person.
    pub by: By,
}

/// The error for a first or a second factor that is not valid any more.
pub const NOT_SIGNED_IN: ActError = ActError::NotFound("sign-in name with this password and code");

impl Act for SignIn {
    type Output = SessionRow;
    const NAME: ActName = ActName::SignIn;

    fn needs(&self) -> Needs {
        needs(self.session.person)
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<SessionRow> {
        let old = existing(locked)?;
        let secrets = usable(old, &self.first)?;
        let mut effects = Effects::default();
        let new = match self.second {
            SecondFactor::Trusted if matches!(self.first, FirstFactor::Identity(_)) => {
                secrets.clone()
            }
            second => used(old.person.id, secrets, second, &mut effects)?,
        };
        effects.write(Write::Person(Box::new(StoredPerson { secrets: Some(new), ..old.clone() })));
        let sessions = &locked.upkeep.people.sessions;
        let surplus = (sessions.len() + 1).saturating_sub(MOST_SESSIONS);
        let over = |(nth, it): &(usize, &SessionRow)| *nth < surplus || it.expires_at <= now;
        for (_, gone) in sessions.iter().enumerate().filter(over) {
            effects.write(Write::SessionEnded(gone.token));
            effects.change(Change::SessionEnded { token: gone.token });
            if now < gone.expires_at {
                lose(&mut effects, old.person.id, PersonLoss::Session { token: gone.token });
            }
        }
        effects.write(Write::Session(self.session.clone()));
        effects.change(Change::Session { session: self.session.clone() });
        let signed_in = AuditEvent::PersonSignIn(PersonSignedIn {
            person: old.person.id,
            login: old.person.login.clone(),
            issuer: match &self.first {
                FirstFactor::Password(_) => None,
                FirstFactor::Identity(identity) => Some(identity.issuer.clone()),
            },
        });
        effects.audit_of(&self.by, event(locked, None, signed_in));
        Ok((self.session.clone(), effects))
    }
}

/// The secrets of a person who can sign in with this.
fn usable<'a>(
    person: &'a StoredPerson,
    first: &FirstFactor,
) -> Result<&'a SignInSecrets, ActError> {
    let secrets = person.secrets.as_ref().filter(|it| match first {
        FirstFactor::Password(password) => it.password == *password,
        FirstFactor::Identity(identity) => person.is_linked_to(identity),
    });
    secrets.filter(|_| !person.person.disabled).ok_or(NOT_SIGNED_IN)
}

/// The secrets after a code was used: each is accepted once, and none that is older.
fn used(
    person: PersonId,
    secrets: &SignInSecrets,
    code: SecondFactor,
    effects: &mut Effects,
) -> Result<SignInSecrets, ActError> {
    match code {
        SecondFactor::Totp(step) if step > secrets.totp_step => {
            Ok(SignInSecrets { totp_step: step, ..secrets.clone() })
        }
        SecondFactor::Recovery(code) if secrets.recovery.contains(&code) => {
            lose(effects, person, PersonLoss::RecoveryCode { code });
            let recovery = secrets.recovery.iter().filter(|it| **it != code);
            Ok(SignInSecrets { recovery: recovery.copied().collect(), ..secrets.clone() })
        }
        _ => Err(NOT_SIGNED_IN),
    }
}

/// Uses a code of a person who is signed in, for a code that was verified against what is
/// stored. The session stays.
#[derive(Debug, Clone)]
pub struct UseCode {
    /// The person.
    pub person: PersonId,
    /// The session that requests it.
    pub session: TokenHash,
    /// The code.
    pub second: SecondFactor,
    /// Who requests it.
    pub by: By,
}

impl Act for UseCode {
    type Output = ();
    const NAME: ActName = ActName::UseCode;

    fn needs(&self) -> Needs {
        needs(self.person)
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<()> {
        let old = existing(locked)?;
        let is_own = |it: &SessionRow| it.token == self.session && now < it.expires_at;
        let is_there = locked.upkeep.people.sessions.iter().any(is_own);
        let secrets = old.secrets.as_ref().filter(|_| is_there && !old.person.disabled);
        let mut effects = Effects::default();
        let secrets = secrets.ok_or(NOT_SIGNED_IN)?;
        let new = used(old.person.id, secrets, self.second, &mut effects)?;
        effects.write(Write::Person(Box::new(StoredPerson { secrets: Some(new), ..old.clone() })));
        if !effects.journal.is_empty() {
            with_position(&mut effects);
        }
        let used = AuditEvent::PersonUseCode(named(&old.person));
        effects.audit_of(&self.by, event(locked, None, used));
        Ok(((), effects))
    }
}

/// Ends a session.
#[derive(Debug, Clone)]
pub struct EndSession {
    /// The person.
    pub person: PersonId,
    /// The hash of the session's token.
    pub token: TokenHash,
    /// Who requests it.
    pub by: By,
}

impl Act for EndSession {
    type Output = ();
    const NAME: ActName = ActName::EndSession;

    fn needs(&self) -> Needs {
        needs(self.person)
    }

    fn decide(&self, locked: &Locked, _: UnixTime) -> Decided<()> {
        let old = existing(locked)?;
        if !locked.upkeep.people.sessions.iter().any(|it| it.token == self.token) {
            return Err(ActError::NotFound("session"));
        }
        self.by.expects_presence()?;
        let mut effects = Effects::default();
        effects.write(Write::SessionEnded(self.token));
        effects.change(Change::SessionEnded { token: self.token });
        lose(&mut effects, old.person.id, PersonLoss::Session { token: self.token });
        let signed_out = AuditEvent::PersonSignOut(named(&old.person));
        effects.audit_of(&self.by, event(locked, None, signed_out));
        Ok(((), effects))
    }
}

/// Changes a password. All sessions end but the one that requests it.
#[derive(Debug, Clone)]
pub struct ChangePassword {
    /// The person.
    pub person: PersonId,
    /// The hash that the present password was verified with.
    pub old: PasswordHash,
    /// The hash of the new password.
    pub new: PasswordHash,
    /// The session that requests it.
    pub session: TokenHash,
    /// Who requests it.
    pub by: By,
}

impl Act for ChangePassword {
    type Output = ();
    const NAME: ActName = ActName::ChangePassword;

    fn needs(&self) -> Needs {
        needs(self.person)
    }

    fn decide(&self, locked: &Locked, _: UnixTime) -> Decided<()> {
        let old = existing(locked)?;
        let secrets = usable(old, &FirstFactor::Password(self.old.clone()))?;
        let mut effects = Effects::default();
        let secrets = SignInSecrets { password: self.new.clone(), ..secrets.clone() };
        let new = StoredPerson { secrets: Some(secrets), ..old.clone() };
        effects.write(Write::Person(Box::new(new)));
        end_sessions(locked, Some(self.session), &mut effects);
        lose(&mut effects, old.person.id, PersonLoss::Secrets);
        with_position(&mut effects);
        let changed = AuditEvent::PersonChangePassword(named(&old.person));
        effects.audit_of(&self.by, event(locked, None, changed));
        Ok(((), effects))
    }
}
