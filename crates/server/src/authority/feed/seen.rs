//! When an instance was last seen.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
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
}

impl Seen {
    /// It was seen now.
    pub fn new(now: Instant) -> Arc<Self> {
        Arc::new(Self { since: now, after: AtomicU64::new(0) })
    }

    /// It was seen then.
    pub fn note(&self, at: Instant) {
        let after = at.saturating_duration_since(self.since).as_nanos();
        self.after.fetch_max(u64::try_from(after).unwrap_or(u64::MAX), Relaxed);
    }

    /// When it was last seen.
    pub fn at(&self) -> Instant {
        self.since + Duration::from_nanos(self.after.load(Relaxed))
    }
}
