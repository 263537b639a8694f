//! When an instance was last seen.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// When an instance last asked, or when its last answer was read; at first, when this process
/// learned of it. A request that is held notes its answer without looking the instance up again.
#[derive(Debug)]
pub(super) struct Seen {
    since: Instant,
    /// Nanoseconds since then.
    after: AtomicU64,
    /// Whether the instance is not known any more.
    gone: AtomicBool,
    /// Number of its requests that are held.
    pub held: AtomicUsize,
}

impl Seen {
    /// It was seen now.
    pub fn new(now: Instant) -> Arc<Self> {
        let (after, gone, held) = (AtomicU64::new(0), AtomicBool::new(false), AtomicUsize::new(0));
        Arc::new(Self { since: now, after, gone, held })
    }

    /// It was seen then.
    pub fn note(&self, at: Instant) {
        let after = at.saturating_duration_since(self.since).as_nanos();
        self.after.fetch_max(u64::try_from(after).unwrap_or(u64::MAX), Relaxed);
    }

    /// Notes that the instance is not known any more: an operator removed it, or it was silent for long.
    pub fn end(&self) {
        self.gone.store(true, Relaxed);
    }

    /// Whether the instance is not known any more.
    pub fn has_ended(&self) -> bool {
        self.gone.load(Relaxed)
    }

    /// When it was last seen.
    pub fn at(&self) -> Instant {
        self.since + Duration::from_nanos(self.after.load(Relaxed))
    }
}
