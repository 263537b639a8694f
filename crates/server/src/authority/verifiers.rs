//! The verifiers in memory, by the hash of their tokens. Commits alone change them.

use arc_swap::ArcSwap;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};
use tegata_policy::{
    acts::TokenHash,
    secret::{PlainSecret, sha256},
};
use tegata_store::VerifierRow;
use tegata_token::id::VerifierId;

/// The verifiers that are not deleted.
#[derive(Default)]
pub struct Verifiers {
    known: ArcSwap<Known>,
    /// Whether there was one since the start.
    had_any: AtomicBool,
}

#[derive(Default, Clone)]
struct Known {
    /// The hash of a token is as hard to guess as the token, so it may be looked up in a
    /// table: the time that this takes tells nothing about a token.
    by_token: HashMap<TokenHash, Arc<VerifierRow>>,
    by_id: HashMap<VerifierId, Arc<VerifierRow>>,
}

/// What every verifier's token begins with; 64 digits follow. `tegata token inspect` finds
/// it by them.
const PREFIX: &str = "tgv_";

/// A new token from random bytes.
pub fn token(bytes: [u8; 32]) -> PlainSecret {
    PlainSecret::from_caller(format!("{PREFIX}{}", data_encoding::HEXLOWER.encode(&bytes)))
}

/// Whether a text can be the token of a verifier.
pub fn is_like(token: &[u8]) -> bool {
    token.starts_with(PREFIX.as_bytes())
}

impl Verifiers {
    /// Replaces all by those of a store that was opened.
    pub fn fill(&self, all: &[VerifierRow]) {
        let mut known = Known::default();
        all.iter().for_each(|it| known.insert(it));
        self.had_any.fetch_or(!all.is_empty(), SeqCst);
        self.known.store(Arc::new(known));
    }

    /// Adds or replaces one.
    pub fn insert(&self, verifier: &VerifierRow) {
        let mut known = Known::clone(&self.known.load());
        known.remove(verifier.id);
        known.insert(verifier);
        self.had_any.store(true, SeqCst);
        self.known.store(Arc::new(known));
    }

    /// Drops one.
    pub fn remove(&self, id: VerifierId) {
        let mut known = Known::clone(&self.known.load());
        known.remove(id);
        self.known.store(Arc::new(known));
    }

    /// The verifier that this token authenticates.
    #[must_use]
    pub fn of_token(&self, token: &[u8]) -> Option<Arc<VerifierRow>> {
        if !is_like(token) {
            return None;
        }
        self.known.load().by_token.get(&TokenHash(sha256(&[token]))).cloned()
    }

    /// Whether there was one since the start. An instance of one that was deleted may use what it
    /// knows for as long as its staleness.
    #[must_use]
    pub fn had_any(&self) -> bool {
        self.had_any.load(SeqCst)
    }

    /// The verifier of this id.
    #[must_use]
    pub fn get(&self, id: VerifierId) -> Option<Arc<VerifierRow>> {
        self.known.load().by_id.get(&id).cloned()
    }

    /// All of them.
    #[cfg(test)]
    pub fn all(&self) -> Vec<Arc<VerifierRow>> {
        self.known.load().by_id.values().cloned().collect()
    }
}

impl Known {
    fn insert(&mut self, verifier: &VerifierRow) {
        let verifier = Arc::new(verifier.clone());
        self.by_token.insert(verifier.token, verifier.clone());
        self.by_id.insert(verifier.id, verifier);
    }

    fn remove(&mut self, id: VerifierId) {
        if let Some(old) = self.by_id.remove(&id) {
            self.by_token.remove(&old.token);
        }
    }
}
