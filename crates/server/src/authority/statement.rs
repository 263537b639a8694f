//! Signed statements that are not tokens: their `typ` says what they are, so that none can
//! pass for an access token (RFC 8725, section 3.11).

use super::Authority;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tegata_store::{Error, Result};

impl Authority {
    /// A JWT of this type with these claims, `iss` and `iat`, signed with the active signing
    /// key.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: no key can sign.
    pub fn statement(&self, typ: &str, mut claims: Value) -> Result<String> {
        let key = self.active_key().and_then(|kid| self.signing_key(kid));
        let key = key.ok_or_else(|| Error::Unavailable("no signing key is loaded".into()))?;
        if let Some(members) = claims.as_object_mut() {
            members.insert("iss".to_owned(), self.issuer().into());
            members.insert("iat".to_owned(), self.now().0.into());
        }
        let header = json!({ "alg": "EdDSA", "typ": typ, "kid": key.public().id() });
        let part = |it: &Value| URL_SAFE_NO_PAD.encode(it.to_string());
        let message = format!("{}.{}", part(&header), part(&claims));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
        Ok(format!("{message}.{signature}"))
    }
}
