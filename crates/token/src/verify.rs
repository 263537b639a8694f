//! Whether a token is good: one function, the same for the authority, for a
//! gateway and for a library inside somebody's API.

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

/// A token that is good now.
#[derive(Debug, Clone)]
pub struct Active {
    /// What it says.
    pub claims: Arc<VerifiedClaims>,
    /// The first moment at which it is good no more, as far as is known now: its
    /// expiry, or an earlier end that is already set.
    pub until: UnixTime,
}

/// Claims whose signature was checked.
///
/// With them goes what was last found: in which version of the view's facts
/// nothing stood against the token. As long as that version is in force there is
/// nothing to look up again, so a check costs the same however much was ended.
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

/// Why a token is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It has not the form of a token.
    #[error("malformed: {0}")]
    Malformed(#[from] Malformed),
    /// Its signature is not the named key's.
    #[error("the signature does not verify")]
    BadSignature,
    /// No key of that name is known.
    #[error("signed by a key that is not known here")]
    UnknownKey,
    /// It belongs to a provider that this view says nothing of.
    #[error("belongs to another provider")]
    Foreign,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// It was ended before its time.
    #[error("ended early")]
    Revoked(RevokedBy),
    /// Its channel is suspended.
    #[error("its channel is suspended")]
    Suspended,
}

/// Decides about a token as it came in.
///
/// Looks at nothing but its arguments; `signatures` changes the speed and never
/// the answer.
///
/// # Errors
/// The [`Invalid`] reason. Of a token that is both expired and ended it says
/// expired, so that the answer stays the same once the ending is forgotten.
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
        // With no end set before its expiry, the answer no longer hangs on `now`.
        if until == claims.expires_at {
            claims.clear_in.store(version, Ordering::Relaxed);
        }
        until
    };
    Ok(Active { claims, until })
}

/// Decides about claims whose signature is known to be good: until when does the
/// token live?
///
/// # Errors
/// As [`verify`], without the reasons that a signature can give.
pub fn verify_claims(claims: &Claims, now: UnixTime, view: &View) -> Result<UnixTime, Invalid> {
    check_key_and_time(claims, now, view)?;
    check_revocations(claims, now, view)
}

fn check_key_and_time(claims: &Claims, now: UnixTime, view: &View) -> Result<(), Invalid> {
    // The key is asked for anew each time: a cached signature outlives no key.
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
        Some(RevocationStatus::Lives(until)) => Ok(until),
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

/// Signatures that were checked and found good, by the whole token. What a good
/// signature says never changes, so an entry needs no invalidation; a bad one is
/// not remembered, so made-up tokens take no room.
pub struct Signatures(Cache<Box<[u8]>, Arc<VerifiedClaims>>);

impl Signatures {
    /// Room for about `tokens` of them.
    #[must_use]
    pub fn new(tokens: usize) -> Self {
        Self(Cache::new(tokens))
    }
}
