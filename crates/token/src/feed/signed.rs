//! The signature over a snapshot, so that a file or an object store can carry it.

use super::{Snapshot, Unreadable};
use crate::{
    id::SigningKeyId,
    key::{SigningKey, VerifyingKey},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The text of a snapshot with its detached JWS (RFC 7515, appendix F; RFC 7797).
#[derive(Debug, Clone)]
pub struct SignedSnapshot {
    message: String,
    header: usize,
    /// The JWS, without the payload.
    pub jws: String,
}

/// Why a copy of a snapshot is not used.
#[derive(Debug, thiserror::Error)]
pub enum NotAuthentic {
    /// The JWS has not the form that an authority writes, or names none of the keys.
    #[error("the JWS is not one over a snapshot by a known signing key")]
    UnknownForm,
    /// The signature is not by the key that the JWS names.
    #[error("the signature over the snapshot is not by key {0}")]
    Signature(SigningKeyId),
    /// The text is signed, and cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

impl SignedSnapshot {
    /// Signs the text of a snapshot.
    #[must_use]
    pub fn sign(text: &str, key: &SigningKey) -> Self {
        let header = header(key.public().id());
        // The payload is not encoded again (RFC 7797): it may have 256 MiB.
        let message = format!("{header}.{text}");
        let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
        Self { jws: format!("{header}..{signature}"), header: header.len() + 1, message }
    }

    /// The message that was signed, and where the text of the snapshot begins in it.
    #[must_use]
    pub fn into_message(self) -> (String, usize) {
        (self.message, self.header)
    }

    /// Reads a copy of a snapshot that one of these keys signed. The caller chooses the keys
    /// from a source that it trusts, never from the copy. The copy is of unknown age.
    ///
    /// # Errors
    /// [`NotAuthentic`].
    pub fn open(
        text: &[u8],
        jws: &str,
        trusted: &[VerifyingKey],
    ) -> Result<Snapshot, NotAuthentic> {
        let (head, signature) = jws.split_once("..").ok_or(NotAuthentic::UnknownForm)?;
        let named = trusted.iter().find(|key| header(key.id()) == head);
        let key = named.ok_or(NotAuthentic::UnknownForm)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| NotAuthentic::UnknownForm)?;
        let message = [head.as_bytes(), b".", text].concat();
        if !key.verifies(&message, &signature) {
            return Err(NotAuthentic::Signature(key.id()));
        }
        Ok(Snapshot::parse(text)?)
    }
}

/// The only header that is accepted, encoded: a JWS of another type or with other
/// parameters is not one over a snapshot.
fn header(key: SigningKeyId) -> String {
    URL_SAFE_NO_PAD.encode(format!(
        r#"{{"alg":"EdDSA","typ":"snapshot+jws","kid":"{key}","b64":false,"crit":["b64"]}}"#
    ))
}
