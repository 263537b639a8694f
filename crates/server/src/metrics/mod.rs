//! What `/metrics` shows. Every handle is a field, so that counting is one atomic
//! addition and no look-up; what is a state rather than a count is read when asked.
//!
//! Names are the field's: one prefix, base units, `_total` for what only grows.
//! Labels come from closed lists: no id, no name, nothing that a caller chose. What
//! every process has (memory, files, time) bears the names that Prometheus's own
//! clients give it, so that dashboards made for those work here.

mod checks;
mod issues;
mod process;
mod shown;
mod states;
mod throttled;

pub use checks::Checks;
pub use issues::{IssuedToken, Issues, NotIssued};
pub use process::Process;
pub use states::{AuthorityState, StoreSizes, Surroundings};
pub use throttled::Throttled;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};
use shown::{Scale, ShownCommits};
use states::States;
use std::sync::{Arc, atomic::AtomicU64};
use tegata_policy::rules::RULES;
use tegata_store::figures::Figures;
use tegata_token::kind::Kind;

/// The server's counters.
pub struct Metrics {
    registry: Registry,
    /// Checks of `/oauth2/v2.1/verify`.
    pub checks_jws: Checks,
    /// Checks of `/v2/oauth/verify`.
    pub checks_opaque: Checks,
    /// Checks of `/gateway/verify`.
    pub checks_gateway: Checks,
    issues: [Issues; RULES.len()],
    /// Revocations that were carried out, by what they were to end.
    pub revocations: Revocations,
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
    states: States,
    process: process::Gauges,
}

/// Revocations, by what they were to end. One may end many tokens, or none that
/// lived.
pub struct Revocations {
    /// One token: by LINE's two operations, and by administrators.
    pub token: Counter,
    /// A group's.
    pub group: Counter,
    /// A kind's, in one channel.
    pub kind: Counter,
    /// What was asked for with one assertion key.
    pub assertion_key: Counter,
    /// A channel's.
    pub channel: Counter,
    /// Those of all channels of a provider.
    pub provider: Counter,
    /// What one signing key signed.
    pub signing_key: Counter,
    /// Everything.
    pub everything: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CutLabel {
    slow_at: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ScopeLabel {
    scope: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

impl Metrics {
    /// All at zero. `figures` are the store's own, shown beside the server's.
    #[must_use]
    pub fn new(figures: Arc<Figures>) -> Self {
        let mut whole = Registry::default();
        let process = process::Gauges::register(&mut whole);
        let registry = whole.sub_registry_with_prefix("tegata");
        let build = Info::new(Build { version: env!("CARGO_PKG_VERSION") });
        registry.register("build", "The version that runs", build);
        let (bugs, connections) = (Counter::default(), Gauge::default());
        registry.register("internal_errors", "Requests that met a bug", bugs.clone());
        registry.register("connections", "Open connections", connections.clone());
        let cut = Family::<CutLabel, Counter>::default();
        let help = "Connections cut off since the peer was too slow";
        registry.register("connections_cut", help, cut.clone());
        let cut = |slow_at| cut.get_or_create_owned(&CutLabel { slow_at });
        let [checks_jws, checks_opaque, checks_gateway] = checks::register(registry);
        let issues = issues::register(registry);
        let revocations = revocations(registry);
        let throttled = Throttled::register(registry);
        commits(registry, figures);
        let states = States::register(registry);
        Self {
            checks_jws,
            checks_opaque,
            checks_gateway,
            issues,
            revocations,
            bugs,
            throttled,
            connections,
            cut_sending: cut("sending"),
            cut_reading: cut("reading"),
            states,
            process,
            registry: whole,
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
    pub fn text(&self, around: &Surroundings) -> String {
        self.states.read(around);
        self.process.set(&around.process);
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn revocations(registry: &mut Registry) -> Revocations {
    let counts = Family::<ScopeLabel, Counter>::default();
    let help = "Revocations carried out, by what they were to end";
    registry.register("revocations", help, counts.clone());
    let count = |scope| counts.get_or_create_owned(&ScopeLabel { scope });
    Revocations {
        token: count("token"),
        group: count("group"),
        kind: count("kind"),
        assertion_key: count("assertion_key"),
        channel: count("channel"),
        provider: count("provider"),
        signing_key: count("signing_key"),
        everything: count("everything"),
    }
}

fn commits(registry: &mut Registry, figures: Arc<Figures>) {
    let shown = |of, unit| ShownCommits { figures: figures.clone(), of, unit };
    registry.register(
        "commit_acts",
        "Acts that shared a commit",
        shown(|figures| &figures.batches, Scale::COUNT),
    );
    registry.register_with_unit(
        "commit",
        "Time that a transaction of the store took, its commit to the disk included",
        Unit::Seconds,
        shown(|figures| &figures.commits, Scale::NANOSECONDS),
    );
    registry.register_with_unit(
        "commit_wait",
        "Time that an act waited for its transaction to begin",
        Unit::Seconds,
        shown(|figures| &figures.waits, Scale::NANOSECONDS),
    );
    let count: fn(&Figures) -> &AtomicU64 = |figures| &figures.rolled_back;
    registry.register(
        "rollbacks",
        "Transactions that were rolled back for want of the disk or the database",
        shown::ShownCount { figures, of: count },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_counts_under_its_own_name() {
        let metrics = Metrics::new(Arc::default());
        for kind in Kind::all() {
            metrics.issues(kind).issued.inc();
        }
        let mut text = String::new();
        encode(&mut text, &metrics.registry).unwrap();
        for rule in &RULES {
            let line = format!("tegata_issues_total{{kind=\"{}\",result=\"issued\"}} 1", rule.name);
            assert!(text.contains(&line), "{text}");
        }
    }
}
