//! The public keys that a channel may register for its assertions.
//!
//! LINE's rules ("Issue channel access tokens v2.1", generate-json-web-token): RSA of
//! exactly 2048 bits, `alg` RS256, `use` `sig` or `key_ops` `["verify"]`, no `kid`; other
//! members are ignored, since browsers add some. In addition no private members and no
//! key that is known to be breakable.

use crate::strict_json;
use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{
    AlgorithmParameters, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse, RSAKeyParameters,
};
use serde_json::Value;
use std::{fmt, sync::Arc};

/// Why a JWK cannot be registered, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadJwk {
    /// Not a JSON object, or a member is repeated.
    #[error("the JWK must be one JSON object without repeated members")]
    NotAnObject,
    /// A private or symmetric member.
    #[error("the JWK holds private members: send the public half only, and replace this key pair")]
    Private,
    /// The `kid` is assigned by the authority.
    #[error("leave `kid` out: the authority assigns one and returns it")]
    HasKid,
    /// Not RSA.
    #[error("`kty` must be RSA, with `n` and `e` in base64url without padding")]
    NotRsa,
    /// `alg` is absent or not RS256.
    #[error("`alg` must be RS256")]
    Algorithm,
    /// The key is not, or not only, for verifying signatures.
    #[error("either `use` must be \"sig\" or `key_ops` must be [\"verify\"]")]
    Purpose,
    /// The modulus does not have 2048 bits.
    #[error("the modulus must have exactly 2048 bits")]
    Size,
    /// The exponent is not 65537.
    #[error("the exponent must be 65537 (`e` AQAB)")]
    Exponent,
    /// The modulus can be factored; make a new pair with another tool.
    #[error("this modulus is weak; make a new key pair with a current tool")]
    Weak,
}

/// The private and symmetric members of a JWK (RFC 7518, sections 6.2.2, 6.3.2 and
/// 6.4.1; RFC 8037, section 2).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Whether a JSON document contains a private part of a key at any depth: a private
/// member of a JWK, or a text that [`is_private_text`] recognises. Of a repeated member
/// the last value counts; the name of a private member counts with any value.
#[must_use]
pub fn holds_private_part(json: &Value) -> bool {
    match json {
        Value::Object(members) => members.iter().any(|(name, value)| {
            PRIVATE.contains(&name.as_str()) || is_private_text(name) || holds_private_part(value)
        }),
        Value::Array(items) => items.iter().any(holds_private_part),
        Value::String(text) => is_private_text(text),
        _ => false,
    }
}

/// Whether a text is, or contains, a private key: PEM of any kind (PKCS #1, PKCS #8,
/// SEC 1, encrypted, OpenSSH, PGP), PuTTY's format, or JSON with a private part.
#[must_use]
pub fn is_private_text(text: &str) -> bool {
    text.contains("PRIVATE KEY")
        || text.contains("PuTTY-User-Key-File")
        || (text.trim_start().starts_with(['{', '['])
            && serde_json::from_str(text).is_ok_and(|it| holds_private_part(&it)))
}

/// An RSA public key that verifies assertions, already parsed. Cheap to clone.
#[derive(Clone)]
pub struct AssertionKey {
    modulus: Arc<[u8]>,
    parsed: Arc<ParsedPublicKey>,
}

/// The only accepted exponent: 65537.
const EXPONENT: [u8; 3] = [1, 0, 1];

impl AssertionKey {
    /// Parses and validates a JWK (RFC 7517) that was sent for registration.
    ///
    /// # Errors
    /// [`BadJwk`], by the first rule that it violates.
    pub fn from_jwk(json: &[u8]) -> Result<Self, BadJwk> {
        // Tested first: the sender of a private key must learn that the key pair is
        // compromised, even if the document has other errors.
        if serde_json::from_slice(json).is_ok_and(|it| holds_private_part(&it)) {
            return Err(BadJwk::Private);
        }
        let mut members = strict_json::object(json).map_err(|_| BadJwk::NotAnObject)?;
        if members.contains_key("kid") {
            return Err(BadJwk::HasKid);
        }
        if members.get("kty").is_none_or(|kty| kty != "RSA") {
            return Err(BadJwk::NotRsa);
        }
        // Other members are ignored, whatever their form.
        members.retain(|name, _| ["kty", "alg", "use", "key_ops", "n", "e"].contains(&&**name));
        let jwk: Jwk = serde_json::from_value(members.into()).map_err(|_| BadJwk::NotRsa)?;
        let AlgorithmParameters::RSA(RSAKeyParameters { n, e, .. }) = &jwk.algorithm else {
            return Err(BadJwk::NotRsa);
        };
        if jwk.common.key_algorithm != Some(KeyAlgorithm::RS256) {
            return Err(BadJwk::Algorithm);
        }
        let uses = (&jwk.common.public_key_use, jwk.common.key_operations.as_deref());
        match uses {
            (Some(PublicKeyUse::Signature), None | Some([KeyOperations::Verify]))
            | (None, Some([KeyOperations::Verify])) => {}
            _ => return Err(BadJwk::Purpose),
        }
        let exponent = URL_SAFE_NO_PAD.decode(e).map_err(|_| BadJwk::NotRsa)?;
        let modulus = URL_SAFE_NO_PAD.decode(n).map_err(|_| BadJwk::NotRsa)?;
        if exponent != EXPONENT {
            return Err(BadJwk::Exponent);
        }
        // 256 bytes with the top bit set: 2048 bits, and no leading zero.
        if modulus.len() != 256 || modulus[0] < 0x80 {
            return Err(BadJwk::Size);
        }
        if has_small_factor(&modulus) || is_roca(&modulus) {
            return Err(BadJwk::Weak);
        }
        Self::from_modulus(&modulus).ok_or(BadJwk::Weak)
    }

    /// The key with this modulus, which was validated when it was registered.
    #[must_use]
    pub fn from_modulus(modulus: &[u8]) -> Option<Self> {
        let components = RsaPublicKeyComponents { n: modulus, e: &EXPONENT[..] };
        let der: PublicKeyX509Der<'_> = components.as_der().ok()?;
        let parsed = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der.as_ref()).ok()?;
        Some(Self { modulus: modulus.into(), parsed: Arc::new(parsed) })
    }

    /// The modulus, big-endian, 256 bytes: all that needs to be stored.
    #[must_use]
    pub fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// Whether `signature` is a signature over `message` by this key, with
    /// RSASSA-PKCS1-v1_5 and SHA-256 (RFC 7518, section 3.3).
    #[must_use]
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }
}

impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AssertionKey")
    }
}

/// The odd primes below 168. The ROCA fingerprint uses exactly these, and a modulus
/// divisible by one of them is not a valid one.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

fn remainder(modulus: &[u8], by: u32) -> u32 {
    modulus.iter().fold(0, |rest, &byte| (rest << 8 | u32::from(byte)) % by)
}

fn has_small_factor(modulus: &[u8]) -> bool {
    modulus.last().is_none_or(|last| last % 2 == 0)
        || PRIMES.iter().any(|&prime| remainder(modulus, prime) == 0)
}

/// Whether the modulus has the fingerprint of CVE-2017-15361 (Nemec et al., "The Return
/// of Coppersmith's Attack", section 3.3): modulo each of the small primes it is a power
/// of 65537. The probability that a sound modulus has it is less than one in 2^27.
fn is_roca(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|&prime| {
        let rest = remainder(modulus, prime);
        let mut power = 1;
        loop {
            if power == rest {
                return true;
            }
            power = power * (65_537 % prime) % prime;
            if power == 1 {
                return false;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The broken generator made primes of the form k·M + (65537^a mod M), M being the
    /// product of the first 39 primes, and two such primes of 1024 bits give a modulus.
    /// The fingerprint only depends on the remainders, so any number with such remainders
    /// has it, and 1 (65537^0) is the smallest.
    #[test]
    fn a_modulus_that_is_a_power_of_65537_modulo_every_small_prime_is_roca() {
        assert!(is_roca(&[1]));
        assert!(is_roca(&[1, 0, 1]));
        assert!(!is_roca(&[2]), "2 is no power of 65537 modulo 3 × 11 × …");
    }

    /// The modulus that Wycheproof gives for CVE-2017-15361 (C2SP/wycheproof,
    /// json_web_key_test.json, tcId 7). It has 2049 bits, so a test of the size rule
    /// alone would pass even if the fingerprint were never tested.
    const ROCA_2049: &str = "AanFpofbj7KjD4Lf-N2hVMKR7yewSyXhhbirIMTGpfYEhZ_lnt5UoK98DnKIgArXGTu3MaW_HhFw16HGaTDUHqPrId7fe4r11CqRw09yBFuW79V8sYIwHdzCaWflUI6auImYbVfoN9_nD5n8N8SY9DwXw7mwZM9wREPXoDPgOoIWl6q_MPsp7n0zs3Z5ZaiQWOOzl1S9OhwAfSiiOwz6efnXEaxuTEtPd7BjSx7NaFka8Dx9U7YqXy2RFj1O9PjyaDGuRh7YXsX3iMUSP_wSyHQg_c_qHRtKUsNSGCT7OZg0hzm2KphtjnayKJvC64vAbROBR4Ubg6Bxg9IQVZ-QYyE";

    /// The same modulus minus a multiple of the product of [`PRIMES`]: the same
    /// remainders in exactly 2048 bits.
    const ROCA_2048: &str = "hSwxsghTvpKFEupgNHg44Q1z5yaZkGVn_b-oBMal9gSFn-We3lSgr3wOcoiACtcZO7cxpb8eEXDXocZpMNQeo-sh3t97ivXUKpHDT3IEW5bv1XyxgjAd3MJpZ-VQjpq4iZhtV-g33-cPmfw3xJj0PBfDubBkz3BEQ9egM-A6ghaXqr8w-ynufTOzdnllqJBY47OXVL06HAB9KKI7DPp5-dcRrG5MS093sGNLHs1oWRrwPH1TtipfLZEWPU70-PJoMa5GHthexfeIxRI__BLIdCD9z-odG0pSw1IYJPs5mDSHObYqmG2OdrIom8Lri8BtE4FHhRuDoHGD0hBVn5BjIQ";

    fn registered(n: &str) -> Result<AssertionKey, BadJwk> {
        let jwk = serde_json::json!({"kty":"RSA", "alg":"RS256", "use":"sig", "e":"AQAB", "n":n});
        AssertionKey::from_jwk(jwk.to_string().as_bytes())
    }

    #[test]
    fn a_roca_modulus_is_found_by_its_fingerprint_whatever_its_size() {
        for n in [ROCA_2049, ROCA_2048] {
            let modulus = URL_SAFE_NO_PAD.decode(n).unwrap();
            assert!(is_roca(&modulus));
            assert!(!has_small_factor(&modulus), "found for another reason");
        }
        assert_eq!(registered(ROCA_2049).unwrap_err(), BadJwk::Size);
        assert_eq!(registered(ROCA_2048).unwrap_err(), BadJwk::Weak);
    }

    #[test]
    fn a_modulus_with_a_small_factor_is_found() {
        assert!(has_small_factor(&[0x80, 0x02]));
        assert!(has_small_factor(&[0x03, 0x09]), "777 = 3 × 7 × 37");
        assert!(!has_small_factor(&[0x03, 0x01]), "769 is prime");
    }
}
