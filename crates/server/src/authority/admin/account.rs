//! Signing in: invitations, sessions and one's own password.

use super::{
    facade::{Admin, Error, Result},
    people::ListedPerson,
    recovery_codes::{Accepted, DrawnCodes, decoded},
};
use crate::authority::{
    Authority,
    actor::Actor,
    limits::{LimitExceeded, TooMany},
    people::{self, PersonCredential},
    random,
    source::Source,
};
use data_encoding::BASE32_NOPAD;
use std::sync::Arc;
use tegata_policy::{
    acts::{
        AcceptInvitation, ChangePassword, FirstFactor, PersonRow, SecondFactor, SessionRow, SignIn,
        SignInSecrets, StoredPerson, TokenHash, WhichPerson,
    },
    password::check,
    permission::Permission,
    secret::PlainSecret,
    text::is_login,
    totp,
};
use tegata_store::{By, Error as StoreError};
use tegata_token::{id::PersonId, time::UnixTime};
use zeroize::Zeroizing;

/// An invitation that can be accepted.
pub struct OpenedInvitation {
    /// The person.
    pub person: PersonRow,
    /// When it expires.
    pub expires_at: UnixTime,
    /// A fresh secret for the second factor, in base32; nothing stores it yet.
    pub totp_secret: PlainSecret,
    /// Fresh recovery codes; nothing stores them yet.
    pub drawn: DrawnCodes,
}

/// A session that began.
pub struct NewSession {
    /// Its token, to be shown once.
    pub token: PlainSecret,
    /// The session.
    pub session: SessionRow,
}

/// For how many seconds a session lasts.
const SESSION: i64 = 12 * 3_600;
const NO_INVITATION: StoreError = StoreError::NotFound("invitation; it may be used or expired");

impl Authority {
    /// What an invitation is for. Changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or [`StoreError::Unavailable`].
    pub async fn open_invitation(&self, invitation: &PlainSecret) -> Result<OpenedInvitation> {
        let (stored, expires_at) = self.invited(invitation).await?;
        let secret = Zeroizing::new(random::bytes::<32>()?);
        let totp_secret = PlainSecret::from_caller(BASE32_NOPAD.encode(&secret[..]));
        let drawn = DrawnCodes::new(stored.person.id, expires_at)?;
        Ok(OpenedInvitation { person: stored.person, expires_at, totp_secret, drawn })
    }

    async fn invited(&self, invitation: &PlainSecret) -> Result<(StoredPerson, UnixTime)> {
        let which = WhichPerson::Invitation(people::hash(invitation));
        let stored = self.store().person(which).await?.ok_or(NO_INVITATION)?;
        let until = stored.invitation.map(|(_, until)| until).ok_or(NO_INVITATION)?;
        match self.now() < until && !stored.person.disabled {
            true => Ok((stored, until)),
            false => Err(NO_INVITATION.into()),
        }
    }

    /// Accepts an invitation with a password and a second factor: its secret, as
    /// [`OpenedInvitation`] has it, and a present code of it, which proves that an
    /// authenticator has the secret; and with recovery codes as it has them, or new ones.
    ///
    /// # Errors
    /// [`Error::Unacceptable`], [`StoreError::NotFound`] or [`StoreError::Unavailable`].
    pub async fn accept_invitation(
        &self,
        invitation: &PlainSecret,
        password: PlainSecret,
        (totp_secret, code): (&PlainSecret, &PlainSecret),
        drawn: Option<&DrawnCodes>,
        source: Option<Source>,
    ) -> Result<Accepted> {
        let (StoredPerson { person, .. }, until) = self.invited(invitation).await?;
        let wrong = |why| Error::Unacceptable("password", why);
        check(&password, &person.login, &person.name).map_err(wrong)?;
        let secret = decoded(totp_secret).ok_or(Error::Unacceptable(
            "totp_secret",
            "`totp_secret` must be the one that was shown",
        ))?;
        let step = totp::step_of(&secret[..], code.reveal(), self.now());
        let step = step.ok_or(Error::Unacceptable(
            "code",
            "`code` must be a present code of six digits; compare the clock of the device",
        ))?;
        let recovery_codes = match drawn.filter(|it| it.person == person.id) {
            Some(drawn) => drawn.plain(),
            None => DrawnCodes::new(person.id, until)?.plain(),
        };
        let password = self.passwords.hash(password).await?;
        // A rotation meanwhile would leave the second factor encrypted with the old master key.
        let _alone = self.rotating.lock().await;
        self.keyring.resolve_rotation(&self.master_key, self.store()).await?;
        self.store().catch_up().await?;
        let secrets = SignInSecrets {
            password,
            totp: self.master()?.wrap_totp(person.id, &secret)?,
            totp_step: step,
            recovery: recovery_codes.iter().map(people::hash).collect(),
        };
        let by = self.by_person(person.id, source);
        let invitation = people::hash(invitation);
        let person =
            self.store().accept_invitation(AcceptInvitation { invitation, secrets, by }).await?;
        Ok(Accepted { person, recovery_codes })
    }

    /// Begins a session with a password and a code: of six digits, or a recovery code.
    ///
    /// # Errors
    /// [`Error::WrongSignIn`], [`Error::TooManySignIns`] from one source or after wrong codes,
    /// [`Error::Busy`], or [`StoreError::Unavailable`].
    pub async fn sign_in(
        &self,
        login: String,
        password: PlainSecret,
        code: &PlainSecret,
        source: Option<Source>,
    ) -> Result<NewSession> {
        if let Some(source) = source {
            self.try_sign_in(source)?;
        }
        // No person has another name, and PostgreSQL refuses some texts, such as one with a NUL.
        let stored = match is_login(&login) {
            true => self.store().person(WhichPerson::Login(login)).await?,
            false => None,
        };
        let stored = stored.filter(|it| !it.person.disabled);
        let known = stored.and_then(|it| Some((it.person.id, it.secrets?)));
        let hash = known.as_ref().map(|(_, secrets)| secrets.password.clone());
        // First and for unknown names, too: the time tells nothing about which names exist.
        let is_right = self.passwords.verify(password, hash).await?;
        let (person, secrets) = known.filter(|_| is_right).ok_or(Error::WrongSignIn)?;
        let first = FirstFactor::Password(secrets.password.clone());
        let second = self.verify_code(person, &secrets, code, source)?;
        self.begin_session(person, (first, second), source).await
    }

    /// The second factor of a person who has proven the first one.
    pub(super) fn verify_code(
        &self,
        person: PersonId,
        secrets: &SignInSecrets,
        code: &PlainSecret,
        source: Option<Source>,
    ) -> Result<SecondFactor> {
        let second = self.second_factor(person, secrets, code);
        // Recovery codes are too long to guess, and so remain a way in.
        if !matches!(second, Some(SecondFactor::Recovery(_))) {
            let limits = self.limits();
            let allowed = limits.code(person, second.is_some(), self.clock().steady());
            allowed.map_err(|it| self.too_many(it, Some(person), source))?;
        }
        second.ok_or(Error::WrongSignIn)
    }

    /// Begins a session of a person who has proven both factors.
    pub(super) async fn begin_session(
        &self,
        person: PersonId,
        (first, second): (FirstFactor, SecondFactor),
        source: Option<Source>,
    ) -> Result<NewSession> {
        let (token, now) = (people::session_token(random::bytes()?), self.now());
        let session = SessionRow {
            token: people::hash(&token),
            person,
            created_at: now,
            expires_at: now.plus(SESSION),
        };
        let by = self.by_person(person, source);
        let act = SignIn { session, first, second, by };
        match self.store().sign_in(act).await {
            Ok(session) => Ok(NewSession { token, session }),
            // A code that was used, or a first factor that was changed meanwhile.
            Err(StoreError::NotFound(_)) => Err(Error::WrongSignIn),
            Err(error) => Err(error.into()),
        }
    }

    fn second_factor(
        &self,
        person: PersonId,
        secrets: &SignInSecrets,
        code: &PlainSecret,
    ) -> Option<SecondFactor> {
        let shown = people::hash(&totp::entered(code.reveal()));
        if secrets.recovery.contains(&shown) {
            return Some(SecondFactor::Recovery(shown));
        }
        let secret = self.master().ok().and_then(|it| it.open_totp(person, &secrets.totp));
        if secret.is_none() {
            tracing::warn!(%person, "the second factor cannot be decrypted; reset the person");
        }
        totp::step_of(&secret?[..], code.reveal(), self.now()).map(SecondFactor::Totp)
    }

    /// Counts an attempt to sign in, before the password costs anything.
    pub(super) fn try_sign_in(&self, source: Source) -> Result<()> {
        let allowed = self.limits().sign_in(source, self.clock().steady());
        allowed.map_err(|it| self.too_many(it, None, Some(source)))
    }

    fn too_many(
        &self,
        TooMany { wait: LimitExceeded(seconds), begins }: TooMany,
        person: Option<PersonId>,
        source: Option<Source>,
    ) -> Error {
        self.metrics.throttled.sign_in.inc();
        if begins {
            self.record_sign_ins(person, source, seconds);
        }
        Error::TooManySignIns(seconds)
    }

    fn by_person(&self, person: PersonId, source: Option<Source>) -> By {
        self.by(Actor::Person(person), source.map(|it| it.to_string()), None)
    }
}

impl Admin {
    /// The own account.
    ///
    /// # Errors
    /// The actor is not a person.
    pub async fn account(&self) -> Result<ListedPerson> {
        self.may(Permission::ReadAccount)?;
        self.stored_person(self.own()?.id).await
    }

    /// The own account as memory has it.
    ///
    /// # Errors
    /// The actor is not a person.
    pub fn own(&self) -> Result<Arc<PersonRow>> {
        self.may(Permission::ReadAccount)?;
        let id = self.person_id();
        let person = id.and_then(|id| self.authority.memory.people.get(id));
        person.ok_or_else(|| StoreError::NotFound("person").into())
    }

    /// The session that authenticated the request.
    pub(super) fn session(&self) -> Result<TokenHash> {
        match &self.credential {
            Some(PersonCredential::Session(session)) => Ok(session.token),
            _ => Err(StoreError::Conflict("the request was not made in a session").into()),
        }
    }

    /// Ends the session that authenticated the request.
    ///
    /// # Errors
    /// It was authenticated by another credential, or [`StoreError::Unavailable`].
    pub async fn sign_out(&self) -> Result<()> {
        self.may(Permission::NarrowAccount)?;
        let (person, token) = (self.own()?.id, self.session()?);
        Ok(self.authority.store().end_session(person, token, self.by()).await?)
    }

    /// The own sessions, newest first, and whether it is the one that authenticated the
    /// request.
    ///
    /// # Errors
    /// The request was not made in a session.
    pub fn sessions(&self) -> Result<Vec<(SessionRow, bool)>> {
        self.may(Permission::ReadAccount)?;
        let (own, present) = (self.own()?.id, self.session()?);
        let all = self.authority.memory.people.sessions(own, self.authority.now());
        let marked = |it: SessionRow| {
            let is_present = it.token == present;
            (it, is_present)
        };
        Ok(all.into_iter().map(marked).collect())
    }

    /// Ends all own sessions but the one that authenticated the request.
    ///
    /// # Errors
    /// As [`Self::sessions`], or [`StoreError::Unavailable`].
    pub async fn end_other_sessions(&self) -> Result<usize> {
        self.may(Permission::NarrowAccount)?;
        let own = self.own()?.id;
        let others = self.sessions()?.into_iter().filter(|(_, is_present)| !is_present);
        let mut ended = 0;
        for (session, _) in others {
            match self.authority.store().end_session(own, session.token, self.by()).await {
                // It has ended meanwhile.
                Err(StoreError::NotFound(_)) => {}
                done => {
                    done?;
                    ended += 1;
                }
            }
        }
        Ok(ended)
    }

    /// Changes one's own password; all other sessions end.
    ///
    /// # Errors
    /// [`Error::WrongSignIn`] for a wrong present password, [`Error::Unacceptable`] for a new
    /// one, or as the store.
    pub async fn change_password(&self, old: PlainSecret, new: PlainSecret) -> Result<()> {
        self.may(Permission::ChangeAccount)?;
        let (authority, session, own) = (&self.authority, self.session()?, self.own()?);
        if let Some(source) = self.source {
            authority.try_sign_in(source)?;
        }
        let wrong = |why| Error::Unacceptable("new_password", why);
        check(&new, &own.login, &own.name).map_err(wrong)?;
        let stored = authority.store().person(WhichPerson::Id(own.id)).await?;
        let hash = stored.and_then(|it| it.secrets).map(|it| it.password);
        if !authority.passwords.verify(old, hash.clone()).await? {
            return Err(Error::WrongSignIn);
        }
        let old = hash.ok_or(Error::WrongSignIn)?;
        let new = authority.passwords.hash(new).await?;
        let act = ChangePassword { person: own.id, old, new, session, by: self.by() };
        match authority.store().change_password(act).await {
            Err(StoreError::NotFound(_)) => Err(Error::WrongSignIn),
            done => Ok(done?),
        }
    }
}
