//! A client that signs assertions, valid and invalid ones.

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair, KeySize, PublicKeyComponents},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::sync::LazyLock;
use tegata_policy::jwk::AssertionKey;
use tegata_token::id::AssertionKeyId;

/// An RSA key pair of a channel, and the id that registration assigned.
pub struct Signer {
    pair: KeyPair,
    pub id: AssertionKeyId,
}

/// The key pair of the channel under test. Made once per process.
pub static OWN: LazyLock<Signer> = LazyLock::new(|| Signer::new([0xA1; 16]));
/// A key pair of another channel.
pub static OTHER: LazyLock<Signer> = LazyLock::new(|| Signer::new([0xB2; 16]));

impl Signer {
    fn new(id: [u8; 16]) -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        Self { pair, id: AssertionKeyId::from_random(id) }
    }

    /// The public half, in the form in which it is registered.
    pub fn jwk(&self) -> serde_json::Value {
        let key = PublicKeyComponents::<Vec<u8>>::from(self.pair.public_key());
        serde_json::json!({
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "n": URL_SAFE_NO_PAD.encode(key.n),
            "e": URL_SAFE_NO_PAD.encode(key.e),
        })
    }

    /// The public half, registered.
    pub fn key(&self) -> AssertionKey {
        AssertionKey::from_jwk(self.jwk().to_string().as_bytes()).unwrap()
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256 over any bytes.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    }

    /// A compact JWS of these texts, without checking them.
    pub fn jws(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", base64url(header), base64url(claims));
        let signature = self.sign(message.as_bytes());
        format!("{message}.{}", base64url(signature))
    }
}

/// Base64url without padding.
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
