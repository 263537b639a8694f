//! Counters of the feed's requests.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// The counters.
#[derive(Debug, Clone, Default)]
pub struct FeedRequests {
    by_status: Family<Label, Counter>,
    /// Requests with a position beyond the end of the log.
    pub beyond_head: Counter,
    /// Reports of tokens that a verifier accepted although it had learned that they are
    /// revoked.
    pub accepted_revoked: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Label {
    operation: &'static str,
    status: u16,
}

impl FeedRequests {
    /// All counters at zero, registered in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let new = Self::default();
        let words = "Requests of verifiers, by operation and status";
        registry.register("feed_requests", words, new.by_status.clone());
        for (operation, status) in [("snapshot", 200), ("changes", 200), ("usage", 204)] {
            drop(new.by_status.get_or_create(&Label { operation, status }));
        }
        let words = "Requests of verifiers with a position beyond the end of the log: the store went backwards";
        registry.register("feed_positions_beyond_head", words, new.beyond_head.clone());
        let words =
            "Tokens that verifiers reported as used although they knew that they are revoked";
        registry.register("feed_accepted_revoked", words, new.accepted_revoked.clone());
        new
    }

    /// Counts a request.
    pub fn count(&self, operation: &'static str, status: u16) {
        self.by_status.get_or_create(&Label { operation, status }).inc();
    }
}
