//! What `/metrics` shows. Every handle is a field, so that counting is one atomic
//! addition and no look-up; what is a state rather than a count is read when asked.
//!
//! Names are the field's: one prefix, base units, `_total` for what only grows.
//! Labels come from closed lists: no id, no name, nothing that a caller chose. What
//! every process has (memory, files, time) bears the names that Prometheus's own
//! clients give it, so that dashboards made for those work here.

mod process;
mod shown;
mod throttled;

pub use process::Process;
pub use throttled::Throttled;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};
use shown::{OnceKnown, Scale, ShownCommits, Times};
use std::{
    cell::Cell,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};
use tegata_policy::law::LAW;
use tegata_store::figures::{DISK_TIMES, Figures, doubling};
use tegata_token::{
    decide::{Active, Refused},
    id::Position,
    kind::Kind,
};

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

/// How checks went.
pub struct Checks {
    active: Counter,
    refused: [Counter; REFUSALS.len()],
    /// Good tokens that the gateway's own conditions did not let through.
    pub denied: Counter,
    seconds: Times,
}

/// Why a token is not good, in the order of [`place_of`].
const REFUSALS: [&str; 7] =
    ["malformed", "bad_signature", "unknown_key", "foreign", "expired", "ended", "suspended"];

fn place_of(refused: Refused) -> usize {
    match refused {
        Refused::Malformed(_) => 0,
        Refused::BadSignature => 1,
        Refused::UnknownKey => 2,
        Refused::Foreign => 3,
        Refused::Expired => 4,
        Refused::Ended(_) => 5,
        Refused::Suspended => 6,
    }
}

/// One check in so many is timed: reading the clock twice would cost a good part
/// of a check.
const SAMPLE: u8 = 16;

impl Checks {
    /// Counts a check.
    pub fn count(&self, checked: &Result<Active, Refused>) {
        match checked {
            Ok(_) => self.active.inc(),
            Err(refused) => self.refused[place_of(*refused)].inc(),
        };
    }

    /// Does a check, and times one in sixteen of them by `clock`.
    pub fn timed<T>(&self, clock: impl Fn() -> Instant, check: impl FnOnce() -> T) -> T {
        thread_local! {
            static TURN: Cell<u8> = const { Cell::new(0) };
        }
        let turn = TURN.get();
        TURN.set((turn + 1) % SAMPLE);
        if turn != 0 {
            return check();
        }
        let began = clock();
        let checked = check();
        self.seconds.observe(clock().duration_since(began));
        checked
    }
}

/// How issues of a kind went.
pub struct Issues {
    /// A new token.
    pub issued: Counter,
    again: Counter,
    /// None, by some rule.
    pub refused: Counter,
    limited: Counter,
    unavailable: Counter,
    evicted: Counter,
    seconds: Times,
}

/// What is counted of a token that was issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssuedToken {
    /// Whether it was issued before, under the same `Idempotency-Key`.
    pub again: bool,
    /// The number of tokens evicted for it.
    pub evicted: usize,
}

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotIssued {
    /// Some rule forbids it.
    Refused,
    /// Asked for too fast.
    Limited,
    /// For want of the store.
    Unavailable,
}

impl Issues {
    /// Counts an issue that took so long.
    pub fn count(&self, issued: Result<IssuedToken, NotIssued>, took: Duration) {
        match issued {
            Ok(IssuedToken { again: true, .. }) => self.again.inc(),
            Ok(IssuedToken { evicted, .. }) => {
                self.seconds.observe(took);
                self.evicted.inc_by(evicted as u64);
                self.issued.inc()
            }
            Err(NotIssued::Refused) => self.refused.inc(),
            Err(NotIssued::Limited) => self.limited.inc(),
            Err(NotIssued::Unavailable) => self.unavailable.inc(),
        };
    }
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

/// What is read when somebody asks.
struct States {
    position: Gauge,
    epoch: Gauge,
    view_channels: Gauge,
    view_facts: Gauge,
    waiting: Gauge,
    rotation_due: Gauge,
    store: Gauge,
    wal: Gauge,
    disk_free: Gauge,
    jumped: Gauge,
    audit_broken: Gauge,
    storm_resting: Gauge,
    /// Empty without a certificate: a number would be one that somebody alerts on.
    certificate_ends: OnceKnown,
    ready: Family<CheckLabel, Gauge>,
}

/// What the server knows of its surroundings when somebody asks.
pub struct Surroundings {
    /// The state of the authority.
    pub authority: AuthorityState,
    /// The process.
    pub process: Process,
    /// Bytes of the store's file, of its write-ahead log, and free on its disk.
    pub store: Option<StoreSizes>,
    /// Seconds until the active signing key should be replaced; negative from then on.
    pub rotation_due: i64,
    /// Seconds until the certificate in force ends, where TLS is spoken; negative then.
    pub certificate_ends: Option<i64>,
    /// What `/readyz` found: each check's name, and whether it holds.
    pub ready: Vec<(&'static str, bool)>,
}

/// The state of the authority when `/metrics` is read.
#[derive(Debug, Clone, Copy)]
pub struct AuthorityState {
    /// The end of the change log.
    pub position: Position,
    /// Channels of which the view holds something.
    pub view_channels: usize,
    /// Facts in the view.
    pub view_facts: usize,
    /// Acts that wait for the store's writer.
    pub waiting: usize,
    /// Whether the wall clock jumped within a day.
    pub jumped: bool,
    /// Whether the audit was found altered.
    pub audit_broken: bool,
    /// Rests of the storm guard that last.
    pub resting: usize,
}

/// How much room the store takes, and has, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreSizes {
    /// The file.
    pub file: u64,
    /// The write-ahead log beside it.
    pub wal: u64,
    /// What is free for it on its disk.
    pub free: u64,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CheckLabels {
    face: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FaceLabel {
    face: &'static str,
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

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ScopeLabel {
    scope: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CheckLabel {
    check: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

/// From a quarter of a microsecond to eight milliseconds, in nanoseconds.
const CHECK_TIMES: &[u64] = &doubling::<16>(250);

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
        registry.register("bugs", "Requests that met a bug", bugs.clone());
        registry.register("connections", "Open connections", connections.clone());
        let cut = Family::<CutLabel, Counter>::default();
        let help = "Connections cut off since the peer was too slow";
        registry.register("connections_cut", help, cut.clone());
        let cut = |slow_at| cut.get_or_create_owned(&CutLabel { slow_at });
        let [checks_jws, checks_opaque, checks_gateway] = checks(registry);
        let issues = issues(registry);
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

fn checks(registry: &mut Registry) -> [Checks; 3] {
    let counts = Family::<CheckLabels, Counter>::default();
    registry.register("checks", "Tokens checked, by face and result", counts.clone());
    let seconds = Family::<FaceLabel, Times, _>::new_with_constructor(
        (|| Times::new(CHECK_TIMES)) as fn() -> Times,
    );
    registry.register_with_unit(
        "check",
        "Time that the check of a token took, without reading and writing the request: one in sixteen is timed",
        Unit::Seconds,
        seconds.clone(),
    );
    ["line-v2.1", "line-v2", "gateway"].map(|face| {
        let count = |result| counts.get_or_create_owned(&CheckLabels { face, result });
        Checks {
            active: count("active"),
            refused: REFUSALS.map(count),
            denied: if face == "gateway" { count("denied") } else { Counter::default() },
            seconds: seconds.get_or_create_owned(&FaceLabel { face }),
        }
    })
}

fn issues(registry: &mut Registry) -> [Issues; LAW.len()] {
    let counts = Family::<IssueLabels, Counter>::default();
    let help = "Requests for a token, those of administrators among them, by kind and result";
    registry.register("issues", help, counts.clone());
    let evictions = Family::<KindLabel, Counter>::default();
    let help = "Tokens that ended to make room for a new one, by kind";
    registry.register("evictions", help, evictions.clone());
    let seconds = Family::<KindLabel, Times, _>::new_with_constructor(
        (|| Times::new(DISK_TIMES)) as fn() -> Times,
    );
    let help = "Time that an issue took, from the request read to the token ready";
    registry.register_with_unit("issue", help, Unit::Seconds, seconds.clone());
    LAW.map(|rule| {
        let kind = rule.name;
        let count = |result| counts.get_or_create_owned(&IssueLabels { kind, result });
        Issues {
            issued: count("issued"),
            again: count("again"),
            refused: count("refused"),
            limited: count("limited"),
            unavailable: count("unavailable"),
            evicted: evictions.get_or_create_owned(&KindLabel { kind }),
            seconds: seconds.get_or_create_owned(&KindLabel { kind }),
        }
    })
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

impl States {
    fn register(registry: &mut Registry) -> Self {
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let position = gauge("log_position", "The number of the change log's end");
        let epoch = gauge("log_epoch", "The epoch of the change log; a recovery begins a new one");
        let view_channels =
            gauge("view_channels", "Channels of which the view has something to say");
        let view_facts = gauge("view_facts", "Floors and single endings in the view");
        let waiting = gauge("writer_queue", "Acts that wait for the store's writer");
        let storm_resting = gauge(
            "storm_resting",
            "Rests of the storm guard that last, of a channel, kind and group each",
        );
        let jumped = gauge(
            "clock_distrusted",
            "1 for a day after the wall clock jumped: nothing is forgotten then",
        );
        let audit_broken = gauge(
            "audit_broken",
            "1 once the audit was found not to be what was sealed: somebody changed it",
        );
        let mut gauge = |name: &str, help: &str, unit| {
            let gauge = Gauge::default();
            registry.register_with_unit(name, help, unit, gauge.clone());
            gauge
        };
        let rotation_due = gauge(
            "signing_key_rotation_due",
            "Time until the active signing key should be replaced; negative once it is overdue",
            Unit::Seconds,
        );
        let store = gauge("store", "Size of the store's file", Unit::Bytes);
        let wal = gauge("store_wal", "Size of the store's write-ahead log", Unit::Bytes);
        let disk_free = gauge("store_disk_free", "Free on the store's disk", Unit::Bytes);
        let certificate_ends = OnceKnown::default();
        let help =
            "Time until the certificate in force ends, if there is one; negative once it has";
        let ends = certificate_ends.clone();
        registry.register_with_unit("tls_certificate_expiry", help, Unit::Seconds, ends);
        let ready = Family::<CheckLabel, Gauge>::default();
        registry.register("ready", "Whether each check of /readyz holds (1) or not (0)", {
            ready.clone()
        });
        Self {
            position,
            epoch,
            view_channels,
            view_facts,
            waiting,
            rotation_due,
            store,
            wal,
            disk_free,
            jumped,
            audit_broken,
            storm_resting,
            certificate_ends,
            ready,
        }
    }

    fn read(&self, around: &Surroundings) {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let it = &around.authority;
        self.position.set(whole(it.position.number));
        self.epoch.set(whole(it.position.epoch));
        self.view_channels.set(whole(it.view_channels as u64));
        self.view_facts.set(whole(it.view_facts as u64));
        self.waiting.set(whole(it.waiting as u64));
        self.jumped.set(it.jumped.into());
        self.audit_broken.set(it.audit_broken.into());
        self.storm_resting.set(whole(it.resting as u64));
        self.rotation_due.set(around.rotation_due);
        if let Some(ends) = around.certificate_ends {
            self.certificate_ends.set(ends);
        }
        if let Some(sizes) = around.store {
            self.store.set(whole(sizes.file));
            self.wal.set(whole(sizes.wal));
            self.disk_free.set(whole(sizes.free));
        }
        for &(check, holds) in &around.ready {
            self.ready.get_or_create(&CheckLabel { check }).set(holds.into());
        }
    }
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
        for rule in &LAW {
            let line = format!("tegata_issues_total{{kind=\"{}\",result=\"issued\"}} 1", rule.name);
            assert!(text.contains(&line), "{text}");
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a base for moments that the test chooses")]
    fn one_check_in_sixteen_is_timed() {
        let metrics = Metrics::new(Arc::default());
        let moment = Instant::now();
        for _ in 0..33 {
            metrics.checks_gateway.timed(|| moment, || ());
        }
        let mut text = String::new();
        encode(&mut text, &metrics.registry).unwrap();
        assert!(text.contains("tegata_check_seconds_count{face=\"gateway\"} 3"), "{text}");
    }
}
