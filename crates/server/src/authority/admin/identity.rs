//! Accounts at an identity provider: signing in by one, linking and unlinking it.

use super::facade::{Admin, Result};
use tegata_policy::{acts::UnlinkIdentity, permission::Permission};
use tegata_token::id::PersonId;

#[cfg(feature = "openid-connect")]
pub use flow::{Departure, IdentityError, Return};

impl Admin {
    /// Unlinks one's own account at an identity provider. All other sessions end.
    ///
    /// # Errors
    /// [`tegata_store::Error::NotFound`]: none is linked; or as the store.
    pub async fn unlink_own_identity(&self) -> Result<()> {
        self.may(Permission::NarrowAccount)?;
        let (person, session) = (self.own()?.id, Some(self.session()?));
        let act = UnlinkIdentity { person, session, by: self.by() };
        Ok(self.authority.store().unlink_identity(act).await?)
    }

    /// Unlinks a person's account at an identity provider. All sessions of the person end.
    ///
    /// # Errors
    /// As [`Self::unlink_own_identity`].
    pub async fn unlink_identity(&self, person: PersonId) -> Result<()> {
        self.may_with(Permission::DisablePerson)?;
        // The own session stays, as it does without an administrator.
        let own = (self.person_id() == Some(person)).then(|| self.session().ok()).flatten();
        let act = UnlinkIdentity { person, session: own, by: self.by() };
        Ok(self.authority.store().unlink_identity(act).await?)
    }
}

#[cfg(feature = "openid-connect")]
mod flow {
    //! The sign-in itself.

    use crate::authority::{
        Authority,
        admin::{self, Admin, NewSession},
        openid::{
            OpenId, OpenIdError, Returned,
            ticket::{self, Asked, Proven, Purpose},
        },
        openid_settings::SecondFactorFrom,
        source::Source,
    };
    use tegata_policy::{
        acts::{FirstFactor, Identity, LinkIdentity, SecondFactor, WhichPerson},
        permission::Permission,
        secret::PlainSecret,
    };
    use tegata_store::Error as StoreError;

    /// Why a person is not signed in by the identity provider, or an account is not linked.
    #[derive(Debug, thiserror::Error)]
    pub enum IdentityError {
        /// The provider, or what it sent.
        #[error(transparent)]
        OpenId(#[from] OpenIdError),
        /// The account is linked to no person who can sign in.
        #[error("this account at the identity provider is linked to no person who can sign in")]
        Unlinked,
        /// As for other sign-ins.
        #[error(transparent)]
        Admin(#[from] admin::Error),
    }

    impl From<StoreError> for IdentityError {
        fn from(error: StoreError) -> Self {
            Self::Admin(error.into())
        }
    }

    /// A browser that is sent to the provider.
    pub struct Departure {
        /// Where to.
        pub to: String,
        /// What it keeps meanwhile.
        pub ticket: String,
    }

    /// A browser that has returned, with a proven account.
    pub struct Return {
        /// What it proved, and what for.
        pub proven: Proven,
        /// The same, for the browser to keep until the last step.
        pub ticket: String,
    }

    impl Authority {
        /// The identity provider, if one is configured.
        #[must_use]
        pub fn openid(&self) -> Option<&OpenId> {
            self.openid.as_ref()
        }

        fn provider(&self) -> std::result::Result<&OpenId, IdentityError> {
            self.openid().ok_or(IdentityError::OpenId(OpenIdError::Unavailable))
        }

        /// Sends a browser to the provider; afterwards it goes on to `next`.
        ///
        /// # Errors
        /// [`OpenIdError::Unavailable`], or as the store.
        pub async fn depart(
            &self,
            purpose: Purpose,
            next: String,
        ) -> std::result::Result<Departure, IdentityError> {
            let times = (self.now(), self.clock().steady());
            let (to, asked) = self.provider()?.begin(purpose, next, times).await?;
            Ok(Departure { to: to.into(), ticket: self.encrypted(&asked)? })
        }

        /// Takes a browser back that has this ticket. Counts as an attempt to sign in, since
        /// each makes requests to the provider.
        ///
        /// # Errors
        /// [`OpenIdError`], [`admin::Error::TooManySignIns`], or as the store.
        pub async fn arrive(
            &self,
            ticket: Option<&str>,
            returned: Returned<'_>,
            source: Option<Source>,
        ) -> std::result::Result<Return, IdentityError> {
            let (openid, now) = (self.provider()?, self.now());
            let asked: Option<Asked> = self.opened(ticket)?;
            let asked = asked.ok_or(OpenIdError::NotBegun)?;
            if let Some(source) = source {
                self.try_sign_in(source)?;
            }
            let facts = openid.complete(&asked, returned, (now, self.clock().steady())).await?;
            let proven = Proven {
                identity: Identity {
                    issuer: openid.settings().issuer.clone(),
                    subject: facts.subject,
                },
                label: facts.label,
                next: asked.next,
                purpose: asked.purpose,
                until: now.plus(ticket::BACK),
            };
            let ticket = self.encrypted(&proven)?;
            Ok(Return { proven, ticket })
        }

        /// What a browser has proven that has this ticket.
        ///
        /// # Errors
        /// [`OpenIdError::NotBegun`], or as the store.
        pub fn proven(&self, ticket: Option<&str>) -> std::result::Result<Proven, IdentityError> {
            let openid = self.provider()?;
            let proven: Option<Proven> = self.opened(ticket)?;
            // The settings may have changed since.
            let proven = proven.filter(|it| it.identity.issuer == openid.settings().issuer);
            proven.ok_or(IdentityError::OpenId(OpenIdError::NotBegun))
        }

        /// Whether a sign-in by the provider asks for a code, too.
        #[must_use]
        pub fn asks_for_code(&self) -> bool {
            self.openid().is_none_or(|it| it.settings().second_factor == SecondFactorFrom::Tegata)
        }

        /// Whether a person who can sign in has this account.
        ///
        /// # Errors
        /// [`IdentityError::Unlinked`], or as the store.
        pub async fn is_linked(&self, it: &Proven) -> std::result::Result<(), IdentityError> {
            let which = WhichPerson::Identity(it.identity.clone());
            let stored = self.store().person(which).await?;
            let can = stored.is_some_and(|it| it.secrets.is_some() && !it.person.disabled);
            if !can {
                let (issuer, subject) = (&it.identity.issuer, &it.identity.subject);
                tracing::info!(issuer, subject, "an account without a person tried to sign in");
            }
            if can { Ok(()) } else { Err(IdentityError::Unlinked) }
        }

        /// Begins a session of the person to whom the proven account is linked; with a code,
        /// unless the provider is trusted with the second factor.
        ///
        /// # Errors
        /// [`IdentityError::Unlinked`], or as [`Authority::sign_in`].
        pub async fn sign_in_by_identity(
            &self,
            it: Proven,
            code: Option<&PlainSecret>,
            source: Option<Source>,
        ) -> std::result::Result<NewSession, IdentityError> {
            if it.purpose != Purpose::SignIn {
                return Err(OpenIdError::NotBegun.into());
            }
            let which = WhichPerson::Identity(it.identity.clone());
            let stored = self.store().person(which).await?.filter(|it| !it.person.disabled);
            let known = stored.and_then(|it| Some((it.person.id, it.secrets?)));
            let (person, secrets) = known.ok_or(IdentityError::Unlinked)?;
            let second = match code {
                None if !self.asks_for_code() => SecondFactor::Trusted,
                None => return Err(admin::Error::WrongSignIn.into()),
                Some(code) => {
                    if let Some(source) = source {
                        self.try_sign_in(source)?;
                    }
                    self.verify_code(person, &secrets, code, source)?
                }
            };
            let factors = (FirstFactor::Identity(it.identity), second);
            Ok(self.begin_session(person, factors, source).await?)
        }
    }

    impl Admin {
        /// Links the proven account with the actor's own.
        ///
        /// # Errors
        /// [`OpenIdError::NotBegun`]: it was proven for another person or purpose;
        /// [`StoreError::Conflict`]: it or another account is linked already; or as the store.
        pub async fn link_identity(&self, it: Proven) -> std::result::Result<(), IdentityError> {
            self.may(Permission::ChangeAccount)?;
            // A personal token links nothing.
            self.session()?;
            let person = self.own()?.id;
            if it.purpose != Purpose::Link(person) {
                return Err(OpenIdError::NotBegun.into());
            }
            let act = LinkIdentity { person, identity: it.identity, by: self.by() };
            Ok(self.authority.store().link_identity(act).await?)
        }
    }
}
