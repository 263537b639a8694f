//! What was turned away for being asked too fast, for `/metrics`.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// The counters.
#[derive(Debug, Clone, Default)]
pub struct Throttled {
    /// By a channel's rate.
    pub rate: Counter,
    /// By the storm guard.
    pub surge: Counter,
    /// Wrong secrets.
    pub guess: Counter,
    /// Rests that the storm guard began.
    pub cooldowns: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Label {
    limit: &'static str,
}

impl Throttled {
    /// All at zero, shown by `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let by_limit = Family::<Label, Counter>::default();
        let words = "Requests turned away for being asked too fast";
        registry.register("throttled", words, by_limit.clone());
        let count = |limit| by_limit.get_or_create_owned(&Label { limit });
        let cooldowns = Counter::default();
        let words = "Rests that the storm guard began, of a channel, kind and group each";
        registry.register("cooldowns", words, cooldowns.clone());
        Self { rate: count("rate"), surge: count("surge"), guess: count("guess"), cooldowns }
    }
}
