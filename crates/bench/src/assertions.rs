//! The client's side of v2.1 issuing: one RSA key, many assertions.
//!
//! One key is registered on all channels: the server does the same work as with many
//! keys, and so does the harness.

use anyhow::Context as _;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::channel::Channel;
use super::now_unix;

/// LINE's address, the audience that every server accepts by default.
const AUDIENCE: &str = "https://api.line.me/";
/// Below the maximum of 30 minutes.
const ASSERTION_SECONDS: u64 = 29 * 60;
/// Lifetime of the requested tokens: the maximum.
const TOKEN_SECONDS: u64 = 30 * 24 * 3600;

/// The channels' private key.
pub(super) struct Signer {
    key: KeyPair,
    random: SystemRandom,
}

impl Signer {
    pub(super) fn generate() -> anyhow::Result<Self> {
        let key = KeyPair::generate(KeySize::Rsa2048).ok().context("making an RSA key")?;
        Ok(Self { key, random: SystemRandom::new() })
    }

    /// The private key as PEM (PKCS #8, RFC 7468), for the agent's `key_file`.
    pub(super) fn pem(&self) -> anyhow::Result<String> {
        let der: Pkcs8V1Der<'_> = self.key.as_der().ok().context("writing out the RSA key")?;
        let text = STANDARD.encode(der.as_ref());
        Ok(format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"))
    }

    /// The public half, as a channel registers it.
    pub(super) fn jwk(&self) -> Value {
        let public = self.key.public_key();
        let base64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "n": base64(public.modulus().big_endian_without_leading_zero()),
            "e": base64(public.exponent().big_endian_without_leading_zero()),
        })
    }

    /// Signs an assertion, which is unique if `number` is.
    pub(super) fn assertion(&self, channel: &Channel, number: usize) -> anyhow::Result<String> {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": channel.kid});
        let claims = json!({
            "iss": channel.id,
            "sub": channel.id,
            "aud": AUDIENCE,
            "exp": now_unix() + ASSERTION_SECONDS,
            "token_exp": TOKEN_SECONDS,
            "jti": format!("{number:09}"),
        });
        let mut text = URL_SAFE_NO_PAD.encode(header.to_string());
        text.push('.');
        text += &URL_SAFE_NO_PAD.encode(claims.to_string());
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &self.random, text.as_bytes(), &mut signature)
            .ok()
            .context("signing an assertion")?;
        text.push('.');
        text += &URL_SAFE_NO_PAD.encode(signature);
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};

    use super::*;

    #[test]
    fn an_assertion_verifies_and_no_two_are_equal() {
        let signer = Signer::generate().unwrap();
        let channel = Channel { id: "1234567890".into(), secret: String::new(), kid: "a".into() };
        let one = signer.assertion(&channel, 1).unwrap();
        assert_ne!(one, signer.assertion(&channel, 2).unwrap());
        let (signed, signature) = one.rsplit_once('.').unwrap();
        let key =
            ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, signer.key.public_key().as_ref())
                .unwrap();
        key.verify_sig(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    }
}
