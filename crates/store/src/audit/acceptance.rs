//! An operator's acceptance of the audit's end, for all servers that share a store.

use super::Anchor;
use data_encoding::HEXLOWER;
use serde::Serialize;
use tegata_token::key::{SigningKey, VerifyingKey};

/// The statement that the audit ends as it should, signed with the audit's key: an attacker
/// who can write the database, but has no master key, can make none. One that was honoured is
/// never honoured again, so none can be used again either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Acceptance {
    /// Grows with each acceptance, and is not below its time in seconds since 1970: so those
    /// of a database that went back have other numbers.
    pub number: i64,
    /// The newest checkpoint.
    pub end: Anchor,
    /// The last event up to which the end is accepted although it was not confirmed.
    pub through: i64,
    /// The signature, in hex digits.
    pub signature: String,
}

impl Acceptance {
    /// Signs the acceptance of that end.
    #[must_use]
    pub fn sign(number: i64, end: Anchor, through: i64, key: &SigningKey) -> Self {
        let mut made = Self { number, end, through, signature: String::new() };
        made.signature = HEXLOWER.encode(&key.sign(&made.signed()));
        made
    }

    /// Whether the audit's key signed it.
    #[must_use]
    pub fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        let signature = HEXLOWER.decode(self.signature.as_bytes());
        signature.is_ok_and(|it| key.verifies(&self.signed(), &it))
    }

    /// The bytes that the signature covers.
    fn signed(&self) -> Vec<u8> {
        let unsigned = Self { signature: String::new(), ..self.clone() };
        serde_json::to_vec(&("tegata audit acceptance 1", unsigned)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acceptance_is_good_as_it_was_signed_and_not_otherwise() {
        let key = SigningKey::from_seed(&[7; 32]).unwrap();
        let end = Anchor { epoch: 2, number: 5, chain: "ab".into() };
        let good = Acceptance::sign(10, end.clone(), 40, &key);
        assert!(good.is_signed_by(key.public()));
        let other = SigningKey::from_seed(&[8; 32]).unwrap();
        assert!(!good.is_signed_by(other.public()));
        for changed in [
            Acceptance { number: 11, ..good.clone() },
            Acceptance { through: 41, ..good.clone() },
            Acceptance { end: Anchor { number: 4, ..end }, ..good.clone() },
            Acceptance { signature: String::new(), ..good },
        ] {
            assert!(!changed.is_signed_by(key.public()), "{changed:?}");
        }
    }
}
