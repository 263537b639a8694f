//! Metrics of the search through all channels: room under the caps, and open warnings. They
//! are as old as the last complete search, a minute for each ten thousand channels.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::collections::BTreeMap;
use tegata_policy::rules::Cap;
use tegata_token::kind::Kind;

/// What a search through all channels counted.
#[derive(Debug, Default)]
pub struct SearchCounts {
    full: BTreeMap<&'static str, i64>,
    nearly_full: BTreeMap<&'static str, i64>,
    warnings: BTreeMap<&'static str, i64>,
}

/// The kinds that several tokens of a channel can be active of.
const KINDS: [Kind; 2] = [Kind::V21, Kind::ShortLived];

/// The types of warnings.
pub const TYPES: [&str; 6] = [
    "channel.nearly-full",
    "token.expiring",
    "token.unused",
    "token.replaced-in-use",
    "secret.expiring",
    "assertion-key.unused",
];

impl SearchCounts {
    /// Counts a channel that has so many active tokens of a kind, under this cap.
    pub fn room(&mut self, kind: Kind, active: usize, cap: Cap) {
        if active >= cap.most {
            *self.full.entry(kind.name()).or_default() += 1;
        }
        if cap.is_nearly_reached(active) {
            *self.nearly_full.entry(kind.name()).or_default() += 1;
        }
    }

    /// Counts an open warning.
    pub fn warning(&mut self, kind: &'static str) {
        debug_assert!(TYPES.contains(&kind), "the metrics lack the type {kind}");
        *self.warnings.entry(kind).or_default() += 1;
    }
}

/// Attempts to deliver a warning to the webhook, by result.
pub struct Deliveries {
    /// The receiver accepted it.
    pub accepted: Counter,
    /// It did not; another attempt follows.
    pub failed: Counter,
    /// It did not, and no attempt follows.
    pub given_up: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TypeLabel {
    r#type: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// The gauges.
pub(super) struct Gauges {
    full: Family<KindLabel, Gauge>,
    nearly_full: Family<KindLabel, Gauge>,
    warnings: Family<TypeLabel, Gauge>,
}

impl Gauges {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let by_kind = |registry: &mut Registry, name: &str, help: &str| {
            let gauges = Family::<KindLabel, Gauge>::default();
            registry.register(name, help, gauges.clone());
            gauges
        };
        let full = by_kind(
            registry,
            "channels_full",
            "Channels whose active tokens of a kind have reached the cap",
        );
        let nearly_full = by_kind(
            registry,
            "channels_nearly_full",
            "Channels with active tokens of a kind at nine tenths of the cap or more",
        );
        let warnings = Family::<TypeLabel, Gauge>::default();
        registry.register("warnings_open", "Open warnings, by type", warnings.clone());
        let gauges = Self { full, nearly_full, warnings };
        gauges.set(&SearchCounts::default());
        gauges
    }

    pub(super) fn set(&self, found: &SearchCounts) {
        let of = |counts: &BTreeMap<_, i64>, name| counts.get(name).copied().unwrap_or(0);
        for kind in KINDS.map(Kind::name) {
            self.full.get_or_create(&KindLabel { kind }).set(of(&found.full, kind));
            let nearly_full = of(&found.nearly_full, kind);
            self.nearly_full.get_or_create(&KindLabel { kind }).set(nearly_full);
        }
        for r#type in TYPES {
            self.warnings.get_or_create(&TypeLabel { r#type }).set(of(&found.warnings, r#type));
        }
    }
}

impl Deliveries {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let counts = Family::<ResultLabel, Counter>::default();
        let help = "Attempts to deliver a warning to the webhook, by result";
        registry.register("webhook_deliveries", help, counts.clone());
        let count = |result| counts.get_or_create_owned(&ResultLabel { result });
        Self { accepted: count("accepted"), failed: count("failed"), given_up: count("given_up") }
    }
}
