//! Proofs that a person who is signed in is there: a code, shortly before an act that takes
//! something away.

use super::facade::{Admin, Error, Result};
use crate::authority::people::PersonCredential;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tegata_policy::{
    acts::{UseCode, WhichPerson},
    permission::Permission,
    secret::PlainSecret,
};
use tegata_store::{Error as StoreError, WrappedKey};
use tegata_token::time::UnixTime;

/// What the browser keeps of a proof, so that no ticket of another kind passes for one.
const KIND: &str = "proof";

impl Admin {
    /// When the session that authenticated the request began.
    ///
    /// # Errors
    /// It was authenticated by another credential.
    pub fn session_began(&self) -> Result<UnixTime> {
        match &self.credential {
            Some(PersonCredential::Session(session)) => Ok(session.created_at),
            _ => self.session().map(|_| self.authority.now()),
        }
    }

    /// Uses a code of the person who is signed in: of six digits, or a recovery code. So a page
    /// makes sure that the person is there. Returns when.
    ///
    /// # Errors
    /// As [`Authority::sign_in`](crate::authority::Authority::sign_in).
    pub async fn use_code(&self, code: &PlainSecret) -> Result<UnixTime> {
        self.may(Permission::NarrowAccount)?;
        let (authority, person, session) = (&self.authority, self.own()?.id, self.session()?);
        // Wrong codes count for the person: others at the same source cannot use them up.
        let stored = authority.store().person(WhichPerson::Id(person)).await?;
        let secrets = stored.and_then(|it| it.secrets).ok_or(Error::WrongSignIn)?;
        let second = authority.verify_code(person, &secrets, code, self.source)?;
        let by = self.by();
        let at = by.at;
        match authority.store().use_code(UseCode { person, session, second, by }).await {
            Ok(()) => Ok(at),
            // A code that was used, or a session that has ended meanwhile.
            Err(StoreError::NotFound(_)) => Err(Error::WrongSignIn),
            Err(error) => Err(error.into()),
        }
    }

    /// A proof as the browser keeps it, apart from its session: who has stolen the session alone
    /// has no proof. It is encrypted, so that it cannot be made up, and of this session alone.
    ///
    /// # Errors
    /// The request was not made in a session, or the machine has no random bytes.
    pub fn proof(&self, at: UnixTime) -> Result<String> {
        let text = [&self.session()?.0[..], &at.0.to_be_bytes()].concat();
        let wrapped = self.authority.master()?.wrap_ticket(KIND, &text)?;
        Ok(URL_SAFE_NO_PAD.encode(wrapped.0))
    }

    /// When the person proved to be there, by a proof of the session that authenticated the
    /// request.
    #[must_use]
    pub fn proven_at(&self, proof: &str) -> Option<UnixTime> {
        let wrapped = WrappedKey(URL_SAFE_NO_PAD.decode(proof).ok()?);
        let text = self.authority.master().ok()?.open_ticket(KIND, &wrapped)?;
        let (session, at) = text.split_at_checked(32)?;
        let at = UnixTime(i64::from_be_bytes(at.try_into().ok()?));
        (session == self.session().ok()?.0).then_some(at)
    }
}
