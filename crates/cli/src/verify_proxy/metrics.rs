//! The metrics of `verify-proxy`, in the OpenMetrics text format.

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};
use std::sync::atomic::AtomicU64;
use tegata_server::metrics::{ConnectionCounts, REASONS};
use tegata_verifier::VerifierHealth;

/// The APIs for which tokens are verified.
const APIS: [&str; 2] = [GATEWAY, EXT_AUTHZ];
/// Forward authentication.
pub const GATEWAY: &str = "gateway";
/// Envoy's ext_authz.
pub const EXT_AUTHZ: &str = "ext_authz";
/// The results of verifications besides [`REASONS`].
const RESULTS: [&str; 5] = ["active", "active_stale", "denied", "inactive", "unknown"];

/// The counters, and the gauges that are set when the page is requested.
pub struct ProxyMetrics {
    registry: Registry,
    verifications: Family<VerificationLabels, Counter>,
    pub connections: ConnectionCounts,
    age: Gauge<f64, AtomicU64>,
    stale: Gauge,
    keys: Gauge,
    revocations: Gauge,
    clock: Gauge<f64, AtomicU64>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VerificationLabels {
    api: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

impl ProxyMetrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("tegata_verify_proxy");
        let build = Info::new(Build { version: env!("CARGO_PKG_VERSION") });
        registry.register("build", "The version of the running program", build);
        let verifications = Family::<VerificationLabels, Counter>::default();
        let help = "Tokens verified, by API and result";
        registry.register("verifications", help, Family::clone(&verifications));
        // From 0 on, or an alert on an increase would miss the first one.
        for api in APIS {
            for result in RESULTS.into_iter().chain(REASONS) {
                verifications.get_or_create_owned(&VerificationLabels { api, result });
            }
        }
        let connections = ConnectionCounts::register(&mut registry);
        let (age, stale, keys, revocations, clock) = Default::default();
        let new =
            Self { registry, verifications, connections, age, stale, keys, revocations, clock };
        new.with_gauges()
    }

    fn with_gauges(mut self) -> Self {
        let registry = &mut self.registry;
        let help = "Age of the view of the revocations; infinite without a view";
        registry.register_with_unit("view_age", help, Unit::Seconds, self.age.clone());
        let help = "1 if the view cannot be relied on, and /readyz answers 503";
        registry.register("view_stale", help, self.stale.clone());
        registry.register("view_signing_keys", "Signing keys in the view", self.keys.clone());
        registry.register("view_revocations", "Revocations in the view", self.revocations.clone());
        let help = "Seconds by which this machine's clock is ahead of the authority's";
        registry.register_with_unit("clock_skew", help, Unit::Seconds, self.clock.clone());
        self
    }

    /// Counts a verification.
    pub fn count(&self, api: &'static str, result: &'static str) {
        self.verifications.get_or_create(&VerificationLabels { api, result }).inc();
    }

    /// The page for a verifier of this health.
    pub fn text(&self, health: &VerifierHealth) -> String {
        let number = |it: usize| i64::try_from(it).unwrap_or(i64::MAX);
        self.age.set(health.age.map_or(f64::INFINITY, |age| age.as_secs_f64()));
        self.stale.set(health.stale.is_some().into());
        self.keys.set(number(health.keys));
        self.revocations.set(number(health.revocations));
        let skew = health.clock_difference_ms.unwrap_or_default();
        self.clock.set(
            std::time::Duration::from_millis(skew.unsigned_abs()).as_secs_f64()
                * skew.signum() as f64,
        );
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{HEAD, check};
    use std::{
        collections::{BTreeMap, BTreeSet},
        fmt::Write,
    };

    /// The labels of a sample, with their values.
    fn labels(sample: &str) -> impl Iterator<Item = (&str, &str)> {
        let inside = sample.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        let pairs = inside.map_or("", |it| it.0).split(',');
        pairs
            .filter_map(|it| it.split_once('='))
            .map(|(name, value)| (name, value.trim_matches('"')))
    }

    #[test]
    fn the_page_about_the_proxys_metrics_is_up_to_date() {
        let mut page = format!(
            "{HEAD}# Metrics of verify-proxy\n\n`tegata verify-proxy` has these at `/metrics` of the \
             address of `--listen`, in the form\nof [Tegata's own](metrics.md).\n\n\
             | metric | type | labels | meaning |\n|---|---|---|---|\n"
        );
        let mut text = String::new();
        encode(&mut text, &ProxyMetrics::new().registry).unwrap();
        let helps: Vec<_> = text.lines().filter_map(|it| it.strip_prefix("# HELP ")).collect();
        for (name, help) in helps.iter().filter_map(|it| it.split_once(' ')) {
            let kind = text.lines().find_map(|it| it.strip_prefix(&format!("# TYPE {name} ")));
            let kind = kind.unwrap();
            let shown = match kind {
                "counter" => format!("{name}_total"),
                "info" => format!("{name}_info"),
                _ => name.to_owned(),
            };
            let samples = text.lines().filter(|it| it.split(['{', ' ']).next() == Some(&shown));
            let mut values: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
            for (label, value) in samples.flat_map(labels).filter(|it| it.0 != "version") {
                values.entry(label).or_default().insert(format!("`{value}`"));
            }
            let labels = values.into_iter().map(|(label, values)| {
                format!("`{label}`: {}", values.into_iter().collect::<Vec<_>>().join(", "))
            });
            let (labels, help) =
                (labels.collect::<Vec<_>>().join("; "), help.trim_end_matches('.'));
            writeln!(page, "| `{shown}` | {kind} | {labels} | {help} |").unwrap();
        }
        check("verify-proxy-metrics.md", &page);
    }
}
