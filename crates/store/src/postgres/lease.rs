//! Until when this server may answer from memory. Compared with one atomic load.

use super::job::steady;
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// How long a renewal is valid from before it was sent, on this server's own steady clock.
/// Shorter than an act that takes something away waits for servers that do not answer.
pub(super) const LEASE: Duration = Duration::from_secs(2);

/// A server's lease.
#[derive(Debug)]
pub(super) struct Lease {
    base: Instant,
    /// When the last renewal was sent, in nanoseconds since `base`; 0: there is none.
    sent: AtomicU64,
    /// How often the lease had run out when it was renewed.
    lapses: AtomicU64,
    /// Until when this server does the jobs.
    jobs: AtomicU64,
    ended: AtomicBool,
}

impl Lease {
    /// A lease that is not valid yet.
    pub fn new() -> Self {
        // Before every moment at which a renewal is sent, so that none is 0.
        let base = steady();
        Self {
            base,
            sent: AtomicU64::new(0),
            lapses: AtomicU64::new(0),
            jobs: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        }
    }

    fn since(&self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.base).as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX).max(1)
    }

    fn is_valid(&self, sent: u64) -> bool {
        let lease = u64::try_from(LEASE.as_nanos()).unwrap_or(u64::MAX);
        sent != 0
            && !self.ended.load(Ordering::SeqCst)
            && self.since(steady()) < sent.saturating_add(lease)
    }

    /// Whether the lease is valid now.
    pub fn holds(&self) -> bool {
        self.is_valid(self.sent.load(Ordering::SeqCst))
    }

    /// How often it had run out when it was renewed. What was decided from memory counts if the
    /// lease is valid afterwards and this number is the one from before: else memory may have been
    /// read while there was no lease, and a renewal came before the comparison.
    pub fn lapses(&self) -> u64 {
        self.lapses.load(Ordering::SeqCst)
    }

    /// Whether this server does the jobs now.
    pub fn has_jobs(&self) -> bool {
        self.is_valid(self.jobs.load(Ordering::SeqCst))
    }

    /// When the last renewal was sent.
    pub fn sent(&self) -> Instant {
        self.base + Duration::from_nanos(self.sent.load(Ordering::SeqCst))
    }

    /// Renews the lease by a renewal that was sent then. Memory already has all that was committed
    /// before it was sent.
    pub fn renew(&self, sent: Instant, jobs: bool) {
        if self.ended.load(Ordering::SeqCst) {
            return;
        }
        if !self.holds() {
            // Before the renewal: who sees that sees this as well.
            self.lapses.fetch_add(1, Ordering::SeqCst);
        }
        let sent = self.since(sent);
        self.sent.fetch_max(sent, Ordering::SeqCst);
        self.jobs.store(if jobs { sent } else { 0 }, Ordering::SeqCst);
    }

    /// Ends the lease for ever: memory is not known to be right any more.
    pub fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_without_a_lease_does_not_count_after_a_renewal() {
        let lease = Lease::new();
        let counts = |before| lease.holds() && lease.lapses() == before;
        let read = lease.lapses();
        lease.renew(steady(), false);
        assert!(!counts(read), "it began after the read");
        let read = lease.lapses();
        lease.renew(steady(), false);
        assert!(counts(read), "it was valid all the time");
        // The last renewal was sent so long ago that the lease has run out.
        lease.sent.store(1, Ordering::SeqCst);
        let later = Lease { base: lease.base - 2 * LEASE, ..lease };
        let read = later.lapses();
        assert!(!later.holds());
        later.renew(steady(), false);
        assert!(later.holds() && later.lapses() != read, "it had run out when that was read");
    }
}
