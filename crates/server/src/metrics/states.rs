//! Metrics that are states, not counts: they are read when `/metrics` is requested.

use super::{Process, shown::OnceKnown};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use std::sync::atomic::AtomicU64;
use tegata_token::id::Position;

/// The metrics that are states.
pub(super) struct States {
    log: LogStates,
    waiting: Gauge,
    rotation_due: Gauge,
    room: RoomStates,
    jumped: Gauge,
    audit_broken: Gauge,
    cooldowns: Gauge,
    feed: FeedStates,
    shared: SharedStates,
    /// Without a certificate it has no value: any number would raise an operator's alert.
    certificate_ends: OnceKnown,
    backup_age: OnceKnown,
    ready: Family<CheckLabel, Gauge>,
}

/// The change log and the view.
struct LogStates {
    position: Gauge,
    epoch: Gauge,
    view_channels: Gauge,
    view_revocations: Gauge,
}

/// The instances of verifiers.
struct FeedStates {
    instances: Family<StateLabel, Gauge>,
    oldest: Gauge<f64, AtomicU64>,
    held: Gauge,
    receipts: Gauge,
}

/// The store's files.
struct RoomStates {
    store: Gauge,
    wal: Gauge,
    disk_free: Gauge,
}

/// The state of the server when `/metrics` is requested.
pub struct Surroundings {
    /// The state of the authority.
    pub authority: AuthorityState,
    /// The process.
    pub process: Process,
    /// The size of the store's file and of its write-ahead log, and the free space on its
    /// disk, in bytes.
    pub store: Option<StoreSizes>,
    /// Seconds until the active signing key should be replaced; negative once it is
    /// overdue.
    pub rotation_due: i64,
    /// Seconds until the certificate in force expires, if TLS is used; negative once it
    /// has.
    pub certificate_ends: Option<i64>,
    /// Seconds since `tegata backup` last copied the store, if it ever did.
    pub backup_age: Option<i64>,
    /// The results of `/readyz`: each check's name, and whether it passed.
    pub ready: Vec<(&'static str, bool)>,
}

/// The state of the authority when `/metrics` is requested.
#[derive(Debug, Clone, Copy)]
pub struct AuthorityState {
    /// The end of the change log.
    pub position: Position,
    /// The number of channels with entries in the revocation view.
    pub view_channels: usize,
    /// The number of cutoffs and single revocations in the view.
    pub view_revocations: usize,
    /// Acts that wait for the store's writer.
    pub waiting: usize,
    /// Whether the wall clock jumped within the last day.
    pub jumped: bool,
    /// Whether a mismatch was found in the audit.
    pub audit_broken: bool,
    /// The number of active issuance cooldowns.
    pub cooldowns: usize,
    /// The instances of verifiers.
    pub feed: FeedState,
    /// How many servers share the store, as far as this one knows.
    pub servers: u32,
    /// Seconds since the lease was last renewed, where servers share the store.
    pub lease_age: Option<f64>,
}

/// The instances of verifiers when `/metrics` is requested.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FeedState {
    /// How many have asked within their leases.
    pub fresh: usize,
    /// How many have not, and accept nothing.
    pub stale: usize,
    /// How many have not, and may accept tokens by a stale view.
    pub may_still_accept: usize,
    /// How many have reported that they cannot apply what they received.
    pub cannot_apply: usize,
    /// For how long the one has been silent that has not asked for the longest time, in
    /// seconds.
    pub oldest: f64,
    /// Requests for changes that are held.
    pub held: usize,
    /// Receipts that are not complete.
    pub pending_receipts: usize,
}

/// The store's size and free space, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreSizes {
    /// The file.
    pub file: u64,
    /// The write-ahead log beside it.
    pub wal: u64,
    /// The free space on its disk.
    pub free: u64,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CheckLabel {
    check: &'static str,
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

fn gauge_of(registry: &mut Registry, name: &str, help: &str, unit: Unit) -> Gauge {
    let gauge = Gauge::default();
    registry.register_with_unit(name, help, unit, gauge.clone());
    gauge
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl LogStates {
    fn register(registry: &mut Registry) -> Self {
        let mut gauge = |name, help| gauge(registry, name, help);
        Self {
            position: gauge("log_position", "The newest position of the change log"),
            epoch: gauge("log_epoch", "The epoch of the change log; a recovery begins a new one"),
            view_channels: gauge("view_channels", "Channels with entries in the revocation view"),
            view_revocations: gauge(
                "view_revocations",
                "Cutoffs and single revocations in the revocation view",
            ),
        }
    }

    fn read(&self, it: &AuthorityState) {
        self.position.set(whole(it.position.number));
        self.epoch.set(whole(it.position.epoch));
        self.view_channels.set(whole(it.view_channels as u64));
        self.view_revocations.set(whole(it.view_revocations as u64));
    }
}

impl FeedStates {
    fn register(registry: &mut Registry) -> Self {
        let instances = Family::<StateLabel, Gauge>::default();
        let help = "Instances of verifiers, by state";
        registry.register("feed_instances", help, instances.clone());
        let oldest = Gauge::<f64, AtomicU64>::default();
        let help = "Time for which the most silent instance of a verifier has not asked";
        registry.register_with_unit("feed_oldest_instance", help, Unit::Seconds, oldest.clone());
        let held = gauge(registry, "feed_held_requests", "Requests for changes that are held");
        let receipts =
            gauge(registry, "feed_receipts_pending", "Receipts that are not complete or written");
        Self { instances, oldest, held, receipts }
    }

    fn read(&self, it: FeedState) {
        for (state, count) in [
            ("fresh", it.fresh),
            ("stale", it.stale),
            ("may-still-accept", it.may_still_accept),
            ("cannot-apply", it.cannot_apply),
        ] {
            self.instances.get_or_create(&StateLabel { state }).set(whole(count as u64));
        }
        self.oldest.set(it.oldest);
        self.held.set(whole(it.held as u64));
        self.receipts.set(whole(it.pending_receipts as u64));
    }
}

/// What servers that share a store know of each other.
struct SharedStates {
    servers: Gauge,
    lease_age: Gauge<f64, AtomicU64>,
}

impl SharedStates {
    fn register(registry: &mut Registry) -> Self {
        let servers = gauge(registry, "servers", "Servers that share the store, this one included");
        let lease_age = Gauge::<f64, AtomicU64>::default();
        let help = "Time since the lease was last renewed, where servers share the store; after 2 s this server answers 503";
        registry.register_with_unit("lease_age", help, Unit::Seconds, lease_age.clone());
        Self { servers, lease_age }
    }

    fn read(&self, it: &AuthorityState) {
        self.servers.set(it.servers.into());
        self.lease_age.set(it.lease_age.unwrap_or(0.0));
    }
}

impl RoomStates {
    fn register(registry: &mut Registry) -> Self {
        let mut gauge = |name, help| gauge_of(registry, name, help, Unit::Bytes);
        Self {
            store: gauge("store", "Size of the store's file"),
            wal: gauge("store_wal", "Size of the store's write-ahead log"),
            disk_free: gauge("store_disk_free", "Free space on the store's disk"),
        }
    }

    fn read(&self, sizes: StoreSizes) {
        self.store.set(whole(sizes.file));
        self.wal.set(whole(sizes.wal));
        self.disk_free.set(whole(sizes.free));
    }
}

impl States {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let log = LogStates::register(registry);
        let waiting = gauge(registry, "writer_queue", "Acts that wait for the store's writer");
        let cooldowns = gauge(
            registry,
            "cooldowns_active",
            "Active issuance cooldowns, each of one channel, kind and group",
        );
        let feed = FeedStates::register(registry);
        let shared = SharedStates::register(registry);
        let jumped = gauge(
            registry,
            "clock_distrusted",
            "1 for a day after the wall clock jumped, or a start a day or more after the last write: expired data is not deleted then",
        );
        let audit_broken = gauge(
            registry,
            "audit_broken",
            "1 if the audit does not match its checkpoints, or its end cannot be confirmed",
        );
        let rotation_due = gauge_of(
            registry,
            "signing_key_rotation_due",
            "Time until the active signing key should be replaced; negative once it is overdue",
            Unit::Seconds,
        );
        let room = RoomStates::register(registry);
        let certificate_ends = OnceKnown::default();
        let help =
            "Time until the certificate in force expires, if there is one; negative once it has";
        let ends = certificate_ends.clone();
        registry.register_with_unit("tls_certificate_expiry", help, Unit::Seconds, ends);
        let backup_age = OnceKnown::default();
        let help = "Time since the newest `tegata backup` of this store, if there is one";
        registry.register_with_unit("backup_age", help, Unit::Seconds, backup_age.clone());
        let ready = Family::<CheckLabel, Gauge>::default();
        let help = "Whether each check of /readyz passes (1) or not (0)";
        registry.register("ready", help, ready.clone());
        Self {
            log,
            waiting,
            rotation_due,
            room,
            jumped,
            audit_broken,
            cooldowns,
            feed,
            shared,
            certificate_ends,
            backup_age,
            ready,
        }
    }

    pub(super) fn read(&self, around: &Surroundings) {
        let it = &around.authority;
        self.log.read(it);
        self.waiting.set(whole(it.waiting as u64));
        self.jumped.set(it.jumped.into());
        self.audit_broken.set(it.audit_broken.into());
        self.cooldowns.set(whole(it.cooldowns as u64));
        self.feed.read(it.feed);
        self.shared.read(it);
        self.rotation_due.set(around.rotation_due);
        if let Some(ends) = around.certificate_ends {
            self.certificate_ends.set(ends);
        }
        if let Some(age) = around.backup_age {
            self.backup_age.set(age);
        }
        if let Some(sizes) = around.store {
            self.room.read(sizes);
        }
        for &(check, holds) in &around.ready {
            self.ready.get_or_create(&CheckLabel { check }).set(holds.into());
        }
    }
}
