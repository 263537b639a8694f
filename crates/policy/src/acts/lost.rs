//! Instances of verifiers that an old copy of a store does not know.

use super::{
    followers::{TokenHash, VerifierRow},
    journal::JournalEntry,
};
use crate::secret::sha256;
use std::collections::BTreeMap;
use tegata_token::{
    feed::OnStale,
    id::{ProviderId, VerifierId},
    time::UnixTime,
};

/// The id under which a verifier's instances are listed that the store has lost.
pub const LOST_INSTANCES: &str = "instances_lost_with_the_store";

/// The most that a verifier's instances may do, which were registered while these lines of the
/// journal were written. Settings that were made stricter later do not bind an instance that was
/// cut off before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostInstances {
    /// The verifier.
    pub verifier: VerifierId,
    /// Its display name, as of its creation; its id, if the lines lack that.
    pub name: String,
    /// The only provider whose tokens it may verify.
    pub provider: Option<ProviderId>,
    /// The longest staleness that it could use, in milliseconds.
    pub max_staleness: u32,
    /// Whether it could accept tokens by a stale view.
    pub allow: bool,
}

impl LostInstances {
    /// One of each verifier that the lines create or change.
    pub fn of<'a>(lines: impl Iterator<Item = &'a JournalEntry>) -> Vec<Self> {
        let mut all = BTreeMap::<VerifierId, Self>::new();
        for line in lines {
            let it = match line {
                JournalEntry::VerifierCreated {
                    verifier,
                    name,
                    provider,
                    max_staleness,
                    allow,
                } => {
                    let (name, provider) = (name.clone(), *provider);
                    let (max_staleness, allow) = (*max_staleness, *allow);
                    Self { verifier: *verifier, name, provider, max_staleness, allow }
                }
                JournalEntry::Verifier { verifier, max_staleness, allow } => Self {
                    verifier: *verifier,
                    name: verifier.to_string(),
                    provider: None,
                    max_staleness: *max_staleness,
                    allow: *allow,
                },
                _ => continue,
            };
            let most = all.entry(it.verifier).or_insert_with(|| it.clone());
            most.max_staleness = most.max_staleness.max(it.max_staleness);
            most.allow |= it.allow;
        }
        all.into_values().collect()
    }

    /// The most lenient thing that its instances did with a stale view. It matters only whether
    /// they used it.
    #[must_use]
    pub const fn on_stale(&self) -> OnStale {
        if self.allow { OnStale::Allow } else { OnStale::Deny }
    }

    /// The row of the verifier in a store that lacks it, which must be marked as deleted: it
    /// stands in receipts, and no token authenticates it.
    #[must_use]
    pub fn row(&self, at: UnixTime) -> VerifierRow {
        // The store wants different hashes. No token has this form.
        let token = sha256(&[b"a lost verifier", &self.verifier.number().to_be_bytes()]);
        VerifierRow {
            id: self.verifier,
            name: self.name.clone(),
            provider: self.provider,
            max_staleness: self.max_staleness,
            allow: self.allow,
            token: TokenHash(token),
            created_at: at,
        }
    }
}
