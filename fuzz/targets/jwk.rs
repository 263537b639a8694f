//! Assertion keys that channels register.

use super::json;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use tegata_policy::jwk::AssertionKey;

/// An accepted JWK is a public RSA key of 2048 bits with the exponent 65537, holds no
/// private member, and reads back unchanged after it was stored.
pub fn any(data: &[u8]) {
    let Ok(key) = AssertionKey::from_jwk(data) else { return };
    let jwk: Value = serde_json::from_slice(data).expect("it was parsed before");
    assert_eq!(json::members(&jwk), json::written_members(data), "a member is repeated");
    for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "kid"] {
        assert_eq!(jwk.get(private), None);
    }
    assert_eq!(
        (&jwk["kty"], &jwk["alg"], &jwk["e"]),
        (&"RSA".into(), &"RS256".into(), &"AQAB".into())
    );
    assert!(jwk["use"] == "sig" || jwk["key_ops"] == serde_json::json!(["verify"]));
    assert_eq!(jwk["n"].as_str(), Some(&*URL_SAFE_NO_PAD.encode(key.modulus())));
    assert!(key.modulus().len() == 256 && key.modulus()[0] >= 0x80);
    let stored = AssertionKey::from_modulus(key.modulus()).expect("as it was registered");
    assert_eq!(stored.modulus(), key.modulus());
}
