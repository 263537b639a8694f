//! Verification of tokens: one function, the same for the authority, for a gateway and
//! for a library embedded in an API.

use crate::{
    claims::Claims,
    time::UnixTime,
    view::{RevocationStatus, RevokedBy, View},
    wire::{Malformed, Unverified},
};
use quick_cache::sync::Cache;
use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// A token that is active.
#[derive(Debug, Clone)]
pub struct Active {
    /// Its claims.
    pub claims: Arc<VerifiedClaims>,
    /// The first moment at which it is no longer active, as far as is known now: its
    /// expiry, or an earlier revocation that is already scheduled.
    pub until: UnixTime,
}

/// Claims of a token whose signature is valid.
///
/// They remember the version of the view's shard in which no revocation of the token was
/// found. As long as that version is in force, verification skips the look-up, so it
/// costs the same however many revocations there are.
#[derive(Debug)]
pub struct VerifiedClaims {
    claims: Claims,
    clear_in: AtomicU64,
}

impl Deref for VerifiedClaims {
    type Target = Claims;
    fn deref(&self) -> &Claims {
        &self.claims
    }
}

/// Why a token is not active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It does not have the form of a token.
    #[error("malformed: {0}")]
    Malformed(#[from] Malformed),
    /// Its signature is not by the key that it names.
    #[error("the signature is invalid")]
    BadSignature,
    /// The key that it names is unknown.
    #[error("signed by an unknown key")]
    UnknownKey,
    /// It belongs to a provider that this view does not cover.
    #[error("belongs to another provider")]
    Foreign,
    /// It has expired.
    #[error("expired")]
    Expired,
    /// It was revoked before its expiry.
    #[error("revoked")]
    Revoked(RevokedBy),
    /// Its channel is suspended.
    #[error("its channel is suspended")]
    Suspended,
}

/// Verifies a token as it was received.
///
/// Reads nothing but its arguments; `signatures` is a cache that changes the speed and
/// never the result.
///
/// # Errors
/// The [`Invalid`] reason. A token that is both expired and revoked is reported as
/// expired, so that the result stays the same once the revocation is forgotten.
pub fn verify(
    token: &[u8],
    now: UnixTime,
    view: &View,
    signatures: &Signatures,
) -> Result<Active, Invalid> {
    let claims = match signatures.0.get(token) {
        Some(claims) => claims,
        None => check_signature(token, view, signatures)?,
    };
    check_key_and_time(&claims, now, view)?;
    let version = view.version(claims.channel);
    let until = if claims.clear_in.load(Ordering::Relaxed) == version {
        claims.expires_at
    } else {
        let until = check_revocations(&claims, now, view)?;
        // Without a scheduled revocation the result no longer depends on `now`.
        if until == claims.expires_at {
            claims.clear_in.store(version, Ordering::Relaxed);
        }
        until
    };
    Ok(Active { claims, until })
}

/// Verifies claims whose signature is known to be valid; returns until when the token is
/// active.
///
/// # Errors
/// As [`verify`], except those of the form and the signature.
pub fn verify_claims(claims: &Claims, now: UnixTime, view: &View) -> Result<UnixTime, Invalid> {
    check_key_and_time(claims, now, view)?;
    check_revocations(claims, now, view)
}

fn check_key_and_time(claims: &Claims, now: UnixTime, view: &View) -> Result<(), Invalid> {
    // The key is looked up each time: a cached signature does not outlast its key.
    let key = view.key(claims.key).ok_or(Invalid::UnknownKey)?;
    if view.is_foreign(claims.provider) {
        return Err(Invalid::Foreign);
    }
    if now >= claims.expires_at {
        return Err(Invalid::Expired);
    }
    if !key.state.good_for(claims.issued_at) {
        return Err(Invalid::Revoked(RevokedBy::SigningKey));
    }
    Ok(())
}

fn check_revocations(claims: &Claims, now: UnixTime, view: &View) -> Result<UnixTime, Invalid> {
    match view.channel(claims.channel).map(|revocations| revocations.of(claims, now)) {
        None => Ok(claims.expires_at),
        Some(RevocationStatus::Active(until)) => Ok(until),
        Some(RevocationStatus::Revoked(how)) => Err(Invalid::Revoked(how)),
        Some(RevocationStatus::Suspended) => Err(Invalid::Suspended),
    }
}

fn check_signature(
    token: &[u8],
    view: &View,
    signatures: &Signatures,
) -> Result<Arc<VerifiedClaims>, Invalid> {
    let unverified = Unverified::parse(token)?;
    let key = view.key(unverified.key()).ok_or(Invalid::UnknownKey)?;
    let claims = unverified.verify(&key.key).map_err(|_| Invalid::BadSignature)?;
    let claims = Arc::new(VerifiedClaims { claims, clear_in: AtomicU64::new(0) });
    signatures.0.insert(token.into(), claims.clone());
    Ok(claims)
}

/// A cache of valid signatures, by the whole token. The claims behind a valid signature
/// never change, so an entry needs no invalidation; an invalid signature is not cached,
/// so forged tokens take no space.
pub struct Signatures(Cache<Box<[u8]>, Arc<VerifiedClaims>>);

impl Signatures {
    /// A cache for about `tokens` signatures.
    #[must_use]
    pub fn new(tokens: usize) -> Self {
        Self(Cache::new(tokens))
    }
}
