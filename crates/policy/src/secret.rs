//! Channel secrets, plain and hashed, as two types that cannot be confused.
//!
//! The plain secret exists in memory only while it is received or shown, and is wiped
//! afterwards; the store reads and writes only the hash. Neither can be printed. A fast
//! hash is enough: a secret is 128 random bits, not chosen by a person, so it is in no
//! dictionary (OWASP ASVS 5, 6.5.2).

use aws_lc_rs::digest::{Context, SHA256};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A secret in plain text. Compare it with [`HashedSecret::is_of`].
#[derive(Clone)]
pub struct PlainSecret(Zeroizing<String>);

impl PlainSecret {
    /// A secret as a caller sent it; any string is accepted.
    #[must_use]
    pub fn from_caller(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// A new channel secret from random bytes: 32 lower-case hex characters, the
    /// shape of LINE's.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        let mut text = String::with_capacity(32);
        for byte in bytes {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
            }
        }
        Self(Zeroizing::new(text))
    }

    /// The plain text, for the one response that shows it to its owner.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The hash that may be stored.
    #[must_use]
    pub fn hash(&self) -> HashedSecret {
        HashedSecret(sha256(&[self.0.as_bytes()]))
    }
}

impl fmt::Debug for PlainSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainSecret")
    }
}

/// The SHA-256 of a secret, as the store holds it.
#[derive(Clone, Copy)]
pub struct HashedSecret([u8; 32]);

impl HashedSecret {
    /// The hash with these bytes from the store.
    #[must_use]
    pub fn from_stored(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub fn to_stored(&self) -> [u8; 32] {
        self.0
    }

    /// Whether this is the hash of `secret`, compared in constant time.
    #[must_use]
    pub fn is_of(&self, secret: &PlainSecret) -> bool {
        self.is(&secret.hash())
    }

    /// Whether both are the same hash, compared in constant time.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// The SHA-256 of the concatenated parts.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

impl fmt::Debug for HashedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashedSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_32_hex_characters_and_matches_only_itself() {
        let secret = PlainSecret::from_random([0xA5; 16]);
        assert_eq!(secret.reveal(), "a5".repeat(16));
        assert!(secret.hash().is_of(&secret));
        let mut other = secret.reveal().to_owned();
        other.replace_range(31.., "4");
        assert!(!secret.hash().is_of(&PlainSecret::from_caller(other)));
    }

    #[test]
    fn no_secret_can_be_printed() {
        let secret = PlainSecret::from_random([7; 16]);
        assert_eq!(format!("{secret:?} {:?}", secret.hash()), "PlainSecret HashedSecret");
    }
}
