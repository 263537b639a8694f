//! Counters of requests rejected by a limit.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// The counters.
#[derive(Debug, Clone, Default)]
pub struct Throttled {
    /// By a rate limit.
    pub rate: Counter,
    /// By the surge limit.
    pub surge: Counter,
    /// By the limit on wrong secrets.
    pub guess: Counter,
    /// By the limits on signing in.
    pub sign_in: Counter,
    /// By the limits on reports of leaked tokens.
    pub report: Counter,
    /// Cooldowns that the surge limit began.
    pub cooldowns: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Label {
    limit: &'static str,
}

impl Throttled {
    /// All counters at zero, registered in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let by_limit = Family::<Label, Counter>::default();
        let words = "Requests rejected by a limit";
        registry.register("throttled", words, by_limit.clone());
        let count = |limit| by_limit.get_or_create_owned(&Label { limit });
        let cooldowns = Counter::default();
        let words = "Issuance cooldowns that began, each of one channel, kind and group";
        registry.register("cooldowns", words, cooldowns.clone());
        let (rate, surge, guess) = (count("rate"), count("surge"), count("guess"));
        let (sign_in, report) = (count("sign_in"), count("report"));
        Self { rate, surge, guess, sign_in, report, cooldowns }
    }
}
