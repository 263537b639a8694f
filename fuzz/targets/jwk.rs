//! Public keys that channels register.

use super::json;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use tegata_policy::jwk::AssertionKey;

/// What is registered is a public RSA key of 2048 bits and the exponent 65537,
/// holds nothing private, and is stored as what it is.
pub fn any(data: &[u8]) {
    let Ok(key) = AssertionKey::from_jwk(data) else { return };
    let jwk: Value = serde_json::from_slice(data).expect("read before, so JSON");
    assert_eq!(json::members(&jwk), json::written_members(data), "a member stands twice");
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
