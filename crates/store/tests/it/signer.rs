//! Channels' RSA key pairs, and the assertions that they sign.

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair, KeySize, PublicKeyComponents},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::sync::LazyLock;
use tegata_policy::{
    assertion::{AssertionRules, UnverifiedAssertion},
    jwk::AssertionKey,
};
use tegata_token::id::AssertionKeyId;

/// An RSA key pair.
pub struct Signer(KeyPair);

/// A few key pairs, made once per process.
pub static SIGNERS: LazyLock<[Signer; 3]> =
    LazyLock::new(|| std::array::from_fn(|_| Signer(KeyPair::generate(KeySize::Rsa2048).unwrap())));

impl Signer {
    /// The public half, as the store has it.
    pub fn public(&self) -> AssertionKey {
        let key = PublicKeyComponents::<Vec<u8>>::from(self.0.public_key());
        AssertionKey::from_modulus(&key.n).unwrap()
    }

    /// An assertion with these claims, signed as `kid`.
    pub fn assertion(&self, kid: AssertionKeyId, claims: &Value) -> UnverifiedAssertion {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": kid });
        let base64url = |it: &Value| URL_SAFE_NO_PAD.encode(it.to_string());
        let message = format!("{}.{}", base64url(&header), base64url(claims));
        let mut signature = vec![0; self.0.public_modulus_len()];
        let random = SystemRandom::new();
        self.0.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).unwrap();
        let signature = URL_SAFE_NO_PAD.encode(signature);
        UnverifiedAssertion::parse(&format!("{message}.{signature}"), AssertionRules::Line).unwrap()
    }
}
