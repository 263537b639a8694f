//! The metrics of `/metrics`. Every handle is a field, so that counting is one atomic
//! addition without a look-up; states are read when the page is requested.
//!
//! Names follow Prometheus's conventions: one prefix, base units, `_total` for counters.
//! Labels come from closed lists: no id, no name, nothing that a client chose. Metrics of
//! the process (memory, files, time) have the names that Prometheus's own clients use, so
//! that existing dashboards work.

mod connections;
mod feed;
mod issues;
mod process;
mod search;
mod shown;
mod states;
mod throttled;
mod verifications;

pub use connections::ConnectionCounts;
pub use feed::FeedRequests;
pub use issues::{IssuedToken, Issues, NotIssued};
pub use process::Process;
pub use search::{Deliveries, SearchCounts};
pub use states::{AuthorityState, FeedState, StoreSizes, Surroundings};
pub use throttled::Throttled;
pub use verifications::{REASONS, Verifications, reason};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, info::Info},
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
    /// Verifications of `/oauth2/v2.1/verify`.
    pub verifications_jws: Verifications,
    /// Verifications of `/v2/oauth/verify`.
    pub verifications_opaque: Verifications,
    /// Verifications of `/gateway/verify`.
    pub verifications_gateway: Verifications,
    /// Verifications of Envoy's ext_authz.
    pub verifications_ext_authz: Verifications,
    issues: [Issues; RULES.len()],
    /// Revocations, by target.
    pub revocations: Revocations,
    /// Requests that failed with an internal error.
    pub internal_errors: Counter,
    /// Requests rejected by a limit.
    pub throttled: Throttled,
    /// Requests of verifiers.
    pub feed: FeedRequests,
    /// Connections.
    pub connections: ConnectionCounts,
    /// Attempts to deliver warnings.
    pub deliveries: Deliveries,
    search: search::Gauges,
    states: States,
    process: process::Gauges,
}

/// Revocations, by target. One may revoke many tokens, or none that was active.
pub struct Revocations {
    /// One token: by LINE's two operations, and by administrators.
    pub token: Counter,
    /// A group's tokens.
    pub group: Counter,
    /// The tokens of a kind, in one channel.
    pub kind: Counter,
    /// The tokens issued for one assertion key.
    pub assertion_key: Counter,
    /// A channel's tokens.
    pub channel: Counter,
    /// The tokens of all channels of a provider.
    pub provider: Counter,
    /// The tokens signed by one signing key.
    pub signing_key: Counter,
    /// Leaked tokens, by reports: one per channel and report.
    pub leak: Counter,
    /// What an actor created.
    pub created_by: Counter,
    /// All tokens.
    pub everything: Counter,
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
    /// All counters at zero. `figures` are the store's own, exposed beside the server's.
    #[must_use]
    pub fn new(figures: Arc<Figures>) -> Self {
        let mut whole = Registry::default();
        let process = process::Gauges::register(&mut whole);
        let registry = whole.sub_registry_with_prefix("tegata");
        let build = Info::new(Build { version: env!("CARGO_PKG_VERSION") });
        registry.register("build", "The version of the running program", build);
        let internal_errors = Counter::default();
        registry.register(
            "internal_errors",
            "Requests that failed with an internal error",
            internal_errors.clone(),
        );
        let connections = ConnectionCounts::register(registry);
        let [
            verifications_jws,
            verifications_opaque,
            verifications_gateway,
            verifications_ext_authz,
        ] = verifications::register(registry);
        let issues = issues::register(registry);
        let revocations = revocations(registry);
        let throttled = Throttled::register(registry);
        let feed = FeedRequests::register(registry);
        commits(registry, figures);
        let deliveries = Deliveries::register(registry);
        let search = search::Gauges::register(registry);
        let states = States::register(registry);
        Self {
            deliveries,
            search,
            verifications_jws,
            verifications_opaque,
            verifications_gateway,
            verifications_ext_authz,
            issues,
            revocations,
            internal_errors,
            throttled,
            feed,
            connections,
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

    /// How many verifications found an active token, and how many did not, in all APIs.
    #[must_use]
    pub fn verified(&self) -> (u64, u64) {
        let all = [
            &self.verifications_jws,
            &self.verifications_opaque,
            &self.verifications_gateway,
            &self.verifications_ext_authz,
        ];
        let sums = all.map(Verifications::sums);
        sums.iter().fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1))
    }

    /// Shows what a search through all channels counted.
    pub fn searched(&self, found: &SearchCounts) {
        self.search.set(found);
    }

    /// All metrics in the OpenMetrics text format.
    #[must_use]
    pub fn text(&self, around: &Surroundings) -> String {
        self.states.read(around);
        self.process.set(&around.process);
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn revocations(registry: &mut Registry) -> Revocations {
    let counts = Family::<ScopeLabel, Counter>::default();
    let help = "Revocations carried out, by target";
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
        leak: count("leak"),
        created_by: count("created_by"),
        everything: count("everything"),
    }
}

fn commits(registry: &mut Registry, figures: Arc<Figures>) {
    let shown = |of, unit| ShownCommits { figures: figures.clone(), of, unit };
    registry.register(
        "commit_acts",
        "Acts per commit",
        shown(|figures| &figures.batches, Scale::COUNT),
    );
    registry.register_with_unit(
        "commit",
        "Time of a transaction of the store, including its commit to the disk",
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
        "Transactions rolled back because the disk or the database failed",
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
