//! The instances, as lists show them.

use super::{
    accepted::AcceptedRevoked,
    instances::{Instances, Known},
};
use std::time::{Duration, Instant};
use tegata_policy::acts::Instance;
use tegata_token::id::{Position, VerifierId};

/// An instance, as lists show it.
#[derive(Debug, Clone)]
pub struct ListedInstance {
    /// Its row.
    pub row: Instance,
    /// The position that it acknowledged, if it has asked since the start.
    pub position: Option<Position>,
    /// The time since its last request, as far as this process knows.
    pub silent: Duration,
    /// The remaining time until it can no longer be fresh without asking.
    pub lease: Duration,
    /// Why it cannot apply what it received.
    pub cannot: Option<String>,
    /// The last revoked token that it accepted, although it had learned of the revocation,
    /// as far as this process knows.
    pub accepted: Option<AcceptedRevoked>,
}

impl ListedInstance {
    /// Whether it does not follow, or is faulty.
    #[must_use]
    pub fn needs_attention(&self) -> bool {
        self.lease.is_zero() || self.cannot.is_some() || self.accepted.is_some()
    }
}

impl Instances {
    /// The instances of a verifier, or of all, oldest first.
    pub fn listed(&self, verifier: Option<VerifierId>, now: Instant) -> Vec<ListedInstance> {
        let all = self.lock();
        let wanted =
            |it: &&Known| !it.row.stopped && verifier.is_none_or(|id| it.row.verifier == id);
        let mut listed: Vec<_> = all.values().filter(wanted).map(|it| it.listed(now)).collect();
        listed.sort_unstable_by(|a, b| {
            (a.row.registered_at, &a.row.instance).cmp(&(b.row.registered_at, &b.row.instance))
        });
        listed
    }
}

impl Known {
    fn listed(&self, now: Instant) -> ListedInstance {
        let silent = self.silent(now);
        ListedInstance {
            row: self.row.clone(),
            position: self.acknowledged.map(|(position, _)| position),
            silent,
            lease: self.line().lease().saturating_sub(silent),
            cannot: self.cannot.as_ref().map(|(_, reason)| reason.clone()),
            accepted: self.accepted,
        }
    }
}
