//! What `/metrics` shows. Every handle is a field, so that counting is one atomic
//! addition and no look-up; what is a state rather than a count is read when asked.

use crate::{
    authority::{Authority, Token},
    limits::Throttled,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use std::time::Duration;
use tegata_token::law::{Kind, LAW};

/// The server's counters.
pub struct Metrics {
    registry: Registry,
    /// Checks of `/oauth2/v2.1/verify`.
    pub checks_jws: Checks,
    /// Checks of `/v2/oauth/verify`.
    pub checks_opaque: Checks,
    /// Checks of `/gateway/verify`.
    pub checks_gateway: Checks,
    issues: [Issues; LAW.len()],
    /// Revocations that were carried out: by LINE's two operations, and by
    /// administrators. One may end many tokens, or none that lived.
    pub revocations: Counter,
    /// Requests that met a bug of ours.
    pub bugs: Counter,
    /// What was turned away for being asked too fast.
    pub throttled: Throttled,
    /// Connections that are open.
    pub connections: Gauge,
    /// Connections cut off since their peers were too slow to send a request.
    pub cut_sending: Counter,
    /// Connections cut off since their peers did not read.
    pub cut_reading: Counter,
    position: Gauge,
    view_channels: Gauge,
    storm_resting: Gauge,
}

/// How checks went.
pub struct Checks {
    /// The token was good.
    pub active: Counter,
    /// It was not.
    pub refused: Counter,
}

/// How issues of a kind went.
pub struct Issues {
    /// A new token.
    pub issued: Counter,
    /// The same token again.
    pub again: Counter,
    /// None, by some rule.
    pub refused: Counter,
    /// None, for want of the store.
    pub unavailable: Counter,
    /// How long those that were issued took, in seconds.
    pub seconds: Histogram,
}

impl Issues {
    /// Counts an issue that took so long; an error says whether the store was
    /// what it wanted.
    pub fn count(&self, issued: Result<&Token, bool>, took: Duration) {
        match issued {
            Ok(token) if token.again => self.again.inc(),
            Ok(_) => {
                self.seconds.observe(took.as_secs_f64());
                self.issued.inc()
            }
            Err(true) => self.unavailable.inc(),
            Err(false) => self.refused.inc(),
        };
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CheckLabels {
    face: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct IssueLabels {
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CutLabel {
    slow_at: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("tegata");
        let checks = Family::<CheckLabels, Counter>::default();
        registry.register("checks", "Tokens checked", checks.clone());
        let check = |face| Checks {
            active: checks.get_or_create_owned(&CheckLabels { face, result: "active" }),
            refused: checks.get_or_create_owned(&CheckLabels { face, result: "refused" }),
        };
        let issues = Family::<IssueLabels, Counter>::default();
        registry.register(
            "issues",
            "Requests for a token, those of administrators among them",
            issues.clone(),
        );
        // From a tenth of a millisecond to three seconds.
        let buckets: fn() -> Histogram = || Histogram::new(exponential_buckets(0.000_1, 2.0, 16));
        let seconds = Family::<KindLabel, Histogram, _>::new_with_constructor(buckets);
        registry.register("issue_seconds", "Time that an issue took", seconds.clone());
        let issue = |kind: Kind| {
            let kind = kind.rule().name;
            let count = |result| issues.get_or_create_owned(&IssueLabels { kind, result });
            Issues {
                issued: count("issued"),
                again: count("again"),
                refused: count("refused"),
                unavailable: count("unavailable"),
                seconds: seconds.get_or_create_owned(&KindLabel { kind }),
            }
        };
        let (revocations, bugs) = (Counter::default(), Counter::default());
        registry.register("revocations", "Revocations carried out", revocations.clone());
        registry.register("bugs", "Requests that met a bug", bugs.clone());
        let (connections, position, view_channels) =
            (Gauge::default(), Gauge::default(), Gauge::default());
        registry.register("connections", "Open connections", connections.clone());
        let cut = Family::<CutLabel, Counter>::default();
        registry.register(
            "connections_cut",
            "Connections cut off since the peer was too slow",
            cut.clone(),
        );
        let cut = |slow_at| cut.get_or_create_owned(&CutLabel { slow_at });
        registry.register("log_position", "The number of the change log's end", position.clone());
        let storm_resting = Gauge::default();
        registry.register(
            "storm_resting",
            "Rests of the storm guard that last, of a channel, kind and group each",
            storm_resting.clone(),
        );
        let throttled = Throttled::register(&mut registry);
        registry.register(
            "view_channels",
            "Channels of which the view has something to say",
            view_channels.clone(),
        );
        Self {
            checks_jws: check("line-v2.1"),
            checks_opaque: check("line-v2"),
            checks_gateway: check("gateway"),
            issues: LAW.map(|rule| issue(rule.kind)),
            revocations,
            bugs,
            connections,
            cut_sending: cut("sending"),
            cut_reading: cut("reading"),
            position,
            view_channels,
            throttled,
            storm_resting,
            registry,
        }
    }

    /// The counters of one kind.
    #[must_use]
    pub fn issues(&self, kind: Kind) -> &Issues {
        match kind {
            Kind::V21 => &self.issues[0],
            Kind::Stateless => &self.issues[1],
            Kind::ShortLived => &self.issues[2],
            Kind::LongLived => &self.issues[3],
        }
    }

    /// Everything in the OpenMetrics text format.
    #[must_use]
    pub fn text(&self, authority: &Authority) -> String {
        let view = authority.view();
        self.position.set(i64::try_from(view.position().number).unwrap_or(i64::MAX));
        self.view_channels.set(i64::try_from(view.channels()).unwrap_or(i64::MAX));
        let resting = authority.limits().rests(authority.clock().steady());
        self.storm_resting.set(i64::try_from(resting).unwrap_or(i64::MAX));
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_counts_under_its_own_name() {
        let metrics = Metrics::new();
        for kind in Kind::all() {
            metrics.issues(kind).issued.inc();
        }
        let mut text = String::new();
        encode(&mut text, &metrics.registry).unwrap();
        for rule in &LAW {
            let line = format!("tegata_issues_total{{kind=\"{}\",result=\"issued\"}} 1", rule.name);
            assert!(text.contains(&line), "{text}");
        }
    }
}
