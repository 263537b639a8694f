//! The authority's own Ed25519 signing keys (RFC 8032) and their states.

use crate::{id::SigningKeyId, time::UnixTime};
use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// State of a signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum KeyState {
    /// Published but not yet signing, so that every verifier knows the key before it is
    /// used.
    Pending,
    /// Signs and verifies.
    Active,
    /// Verifies only.
    Retired {
        /// If set, only tokens issued before this time. The time of issue is the one that
        /// the token itself claims, so a key that is believed stolen must be revoked
        /// instead.
        #[serde(skip_serializing_if = "Option::is_none")]
        issued_before: Option<UnixTime>,
    },
    /// No token that it signed is valid, whatever its serial.
    Revoked,
}

impl KeyState {
    /// Whether a token issued at `issued_at` by a key in this state can be valid.
    #[must_use]
    pub fn good_for(self, issued_at: UnixTime) -> bool {
        match self {
            Self::Pending | Self::Active => true,
            Self::Retired { issued_before } => issued_before.is_none_or(|it| issued_at < it),
            Self::Revoked => false,
        }
    }

    /// The name of the state in the admin API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Retired { .. } => "retired",
            Self::Revoked => "revoked",
        }
    }
}

/// The public half of a signing key, already parsed. Cheap to clone.
#[derive(Clone)]
pub struct VerifyingKey {
    id: SigningKeyId,
    public: [u8; 32],
    parsed: Arc<ParsedPublicKey>,
}

/// The bytes are not an Ed25519 key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 key")]
pub struct BadKey;

impl VerifyingKey {
    /// Parses the 32 bytes of a public key (RFC 8032, section 5.1.5).
    ///
    /// # Errors
    /// The bytes are not a point of the curve.
    pub fn from_bytes(public: [u8; 32]) -> Result<Self, BadKey> {
        let parsed = ParsedPublicKey::new(&ED25519, public).map_err(|_| BadKey)?;
        Ok(Self { id: thumbprint(&public), public, parsed: Arc::new(parsed) })
    }

    /// The key's `kid`.
    #[must_use]
    pub fn id(&self) -> SigningKeyId {
        self.id
    }

    /// The 32 public bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.public
    }

    /// Whether `signature` is a signature over `message` by this key.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }

    /// The key as a JWK (RFC 8037, section 2).
    #[must_use]
    pub fn to_jwk(&self) -> serde_json::Value {
        serde_json::json!({
            "kty": "OKP",
            "crv": "Ed25519",
            "alg": "EdDSA",
            "use": "sig",
            "kid": self.id,
            "x": URL_SAFE_NO_PAD.encode(self.public),
        })
    }
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.public == other.public
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.id)
    }
}

/// The first 8 bytes of the RFC 7638 thumbprint of an Ed25519 key.
fn thumbprint(public: &[u8; 32]) -> SigningKeyId {
    let x = URL_SAFE_NO_PAD.encode(public);
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    let mut head = [0; 8];
    head.copy_from_slice(&digest(&SHA256, canonical.as_bytes()).as_ref()[..8]);
    SigningKeyId(head)
}

/// A signing key with its private half. Cheap to clone; cannot be printed.
#[derive(Clone)]
pub struct SigningKey {
    pair: Arc<Ed25519KeyPair>,
    public: VerifyingKey,
}

impl SigningKey {
    /// Derives the key from 32 secret random bytes (RFC 8032, section 5.1.5).
    ///
    /// # Errors
    /// Never for 32 bytes, unless the library fails.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, BadKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| BadKey)?;
        let mut public = [0; 32];
        public.copy_from_slice(pair.public_key().as_ref());
        Ok(Self { pair: Arc::new(pair), public: VerifyingKey::from_bytes(public)? })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &VerifyingKey {
        &self.public
    }

    /// Signs `message`; the signature has 64 bytes. Deterministic: the same message
    /// always gets the same signature.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.pair.sign(message).as_ref());
        bytes
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.id)
    }
}
