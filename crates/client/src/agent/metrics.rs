//! The response of `/metrics`: the state of the agent at the time of the request, in the
//! OpenMetrics text format. Labels are names from the settings, never secrets.

use super::{
    core::Core,
    health::{AgentHealth, Colour},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tegata_token::time::UnixTime;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfToken {
    token: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfRenewal {
    token: String,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfSink {
    sink: String,
}

/// The metrics of `core` at `now`.
#[must_use]
pub fn text(core: &Core, now: UnixTime) -> String {
    let report = AgentHealth::of(core, now);
    let mut registry = Registry::with_prefix("tegata_agent");
    let health: Gauge = Gauge::default();
    health.set(number(report.status));
    registry.register("health", "0 green, 1 yellow, 2 red, as in /healthz", health);
    let left = Family::<OfToken, Gauge>::default();
    for token in report.tokens.iter().chain(&report.watched) {
        let labels = OfToken { token: token.name.clone() };
        left.get_or_create(&labels).set(token.seconds_to_expiry.unwrap_or(0));
    }
    let help = "Seconds until the token expires; 0 if none is active";
    registry.register("seconds_to_expiry", help, left);
    renewals(core, &mut registry);
    let good = Family::<OfSink, Gauge>::default();
    for sink in &report.sinks {
        let is_good = sink.status != Colour::Red;
        good.get_or_create(&OfSink { sink: sink.name.clone() }).set(is_good.into());
    }
    registry.register("sink_active", "1 if every token in the sink is active", good);
    if let Some(seconds) = core.skew() {
        let skew: Gauge = Gauge::default();
        skew.set(seconds);
        let help = "Seconds by which this machine's clock is ahead of the authority's";
        registry.register("clock_skew_seconds", help, skew);
    }
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, &registry);
    text
}

fn renewals(core: &Core, registry: &mut Registry) {
    let renewals = Family::<OfRenewal, Counter>::default();
    let success = Family::<OfToken, Gauge>::default();
    for target in core.targets() {
        let token = target.name.to_string();
        let counts = target.counts;
        for (result, count) in [
            ("issued", counts.issued),
            ("denied", counts.denied),
            ("limited", counts.limited),
            ("unavailable", counts.unavailable),
            ("not_asked", counts.not_asked),
        ] {
            let labels = OfRenewal { token: token.clone(), result };
            renewals.get_or_create(&labels).inc_by(count);
        }
        if let Some(at) = target.last_success {
            success.get_or_create(&OfToken { token }).set(at.0);
        }
    }
    registry.register("renewals", "Requests for a new token, by result", renewals);
    let help = "Time when a token was last issued, in seconds since 1970";
    registry.register("last_success_timestamp_seconds", help, success);
}

fn number(colour: Colour) -> i64 {
    match colour {
        Colour::Green => 0,
        Colour::Yellow => 1,
        Colour::Red => 2,
    }
}
