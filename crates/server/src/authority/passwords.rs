//! Passwords: hashed with argon2id, a few at a time, so that guesses take neither the
//! memory nor the processors that verifications need.

use crate::authority::{
    admin::{Error, Result},
    at_once::AtOnce,
};
use argon2::{
    Argon2, PasswordHasher, PasswordVerifier, password_hash::phc::PasswordHash as PhcHash,
};
use tegata_policy::{acts::PasswordHash, secret::PlainSecret};

/// Number of passwords that are hashed at once; each takes 19 MiB (OWASP's minimum for
/// argon2id with two passes, which is the library's default).
const AT_ONCE: usize = 2;

/// Number of requests that may wait for that; further ones are rejected at once.
const WAITING: usize = 32;

/// Hashes and verifies passwords.
pub struct Passwords(AtOnce);

impl Default for Passwords {
    fn default() -> Self {
        Self(AtOnce::new(AT_ONCE, WAITING))
    }
}

/// A hash that no password has: verifying against it takes as long as against another.
const NO_PASSWORD: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$\
                       AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

impl Passwords {
    /// Hashes a password.
    ///
    /// # Errors
    /// [`Error::Busy`]: too many at once.
    pub async fn hash(&self, password: PlainSecret) -> Result<PasswordHash> {
        self.0
            .run(move || {
                let hash = Argon2::default().hash_password(password.reveal().as_bytes());
                hash.map(|it| PasswordHash(it.to_string())).map_err(|_| Error::Busy)
            })
            .await?
    }

    /// Whether a password has this hash. Without a hash the answer is no, and takes as long.
    ///
    /// # Errors
    /// [`Error::Busy`]: too many at once.
    pub async fn verify(&self, password: PlainSecret, hash: Option<PasswordHash>) -> Result<bool> {
        self.0
            .run(move || {
                let text = hash.as_ref().map_or(NO_PASSWORD, |it| &it.0);
                let Ok(stored) = PhcHash::new(text) else { return false };
                let is = Argon2::default().verify_password(password.reveal().as_bytes(), &stored);
                is.is_ok() && hash.is_some()
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> PlainSecret {
        PlainSecret::from_caller(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_verifies_against_its_own_hash_and_no_other() {
        let passwords = Passwords::default();
        let hash = passwords.hash(plain("correct horse battery")).await.unwrap();
        let again = passwords.hash(plain("correct horse battery")).await.unwrap();
        assert!(hash != again, "each has a salt of its own");
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(
            passwords.verify(plain("correct horse battery"), Some(hash.clone())).await.unwrap()
        );
        assert!(!passwords.verify(plain("correct horse batterz"), Some(hash)).await.unwrap());
        assert!(PhcHash::new(NO_PASSWORD).is_ok());
        assert!(!passwords.verify(plain("correct horse battery"), None).await.unwrap());
    }
}
