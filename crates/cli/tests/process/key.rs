//! The assertion key of a channel, as its owner has it.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// An RSA key pair that signs assertions.
pub(crate) struct Key(RsaKeyPair);

impl Key {
    pub(crate) fn generate() -> Self {
        Key(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"))
    }

    /// The public half, as it is registered.
    pub(crate) fn jwk(&self) -> Value {
        let public = self.0.public_key();
        let text = |octets: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(octets);
        json!({
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "n": text(public.modulus().big_endian_without_leading_zero()),
            "e": text(public.exponent().big_endian_without_leading_zero()),
        })
    }

    /// A JWT with these claims, signed with this key under the name `kid`.
    pub(crate) fn sign(&self, kid: &str, claims: &Value) -> String {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": kid });
        let text = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
        let input = format!("{}.{}", text(&header), text(claims));
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature)
            .expect("signed");
        format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}
