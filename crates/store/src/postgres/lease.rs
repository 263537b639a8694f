//! Until when this server may answer from memory. Compared with one atomic load.

use super::{
    boot_clock::{BootClock, Moment},
    job::steady,
};
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// How long a renewal is valid from before it was sent, on this server's own steady clock, which
/// counts the time in which its machine was suspended.
/// Shorter than an act that takes something away waits for servers that do not answer.
pub(super) const LEASE: Duration = Duration::from_secs(2);

/// How long a server that has left the jobs does not take them: another one has taken them by then,
/// and if no other can do them, this one tries again.
const WITHOUT_JOBS: Duration = Duration::from_secs(20);

/// A server's lease.
#[derive(Debug, Default)]
pub(super) struct Lease {
    clock: BootClock,
    /// When the last renewal was sent; 0: there is none.
    sent: AtomicU64,
    /// How often the lease had run out when it was renewed.
    lapses: AtomicU64,
    /// Until when this server does the jobs.
    jobs: AtomicU64,
    /// When this server has left the jobs to another one; 0: it has not.
    left_jobs: AtomicU64,
    ended: AtomicBool,
}

impl Lease {
    fn is_valid(&self, sent: u64) -> bool {
        sent != 0
            && !self.ended.load(Ordering::SeqCst)
            && self.clock.now().since(Moment(sent)) < LEASE
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

    /// Leaves the jobs to another server, from the next renewal on.
    pub fn leave_jobs(&self) {
        self.left_jobs.store(self.clock.now().0, Ordering::SeqCst);
    }

    /// Whether this server leaves the jobs to another one now. Then it does none any more, before the
    /// other one can take them.
    pub fn leaves_jobs(&self) -> bool {
        let left = self.left_jobs.load(Ordering::SeqCst);
        let leaves = left != 0 && self.clock.now().since(Moment(left)) < WITHOUT_JOBS;
        if leaves {
            self.jobs.store(0, Ordering::SeqCst);
        }
        leaves
    }

    /// The moment of this call: before a renewal is sent.
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// When the last renewal was sent, on the clock of [`Instant`]: as long ago as it is on the one
    /// that counts suspension.
    pub fn sent(&self) -> Instant {
        let now = steady();
        let ago = self.clock.now().since(Moment(self.sent.load(Ordering::SeqCst)));
        now.checked_sub(ago).unwrap_or(now)
    }

    /// Renews the lease by a renewal that was sent then. Memory already has all that was committed
    /// before it was sent.
    pub fn renew(&self, sent: Moment, jobs: bool) {
        if self.ended.load(Ordering::SeqCst) {
            return;
        }
        if !self.holds() {
            // Before the renewal: who sees that sees this as well.
            self.lapses.fetch_add(1, Ordering::SeqCst);
        }
        self.sent.fetch_max(sent.0, Ordering::SeqCst);
        self.jobs.store(if jobs { sent.0 } else { 0 }, Ordering::SeqCst);
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
        let lease = Lease::default();
        let counts = |before| lease.holds() && lease.lapses() == before;
        let read = lease.lapses();
        lease.renew(lease.now(), false);
        assert!(!counts(read), "it began after the read");
        let read = lease.lapses();
        lease.renew(lease.now(), false);
        assert!(counts(read), "it was valid all the time");
        // The last renewal was sent so long ago that the lease has run out.
        lease.sent.fetch_sub(nanos(2 * LEASE), Ordering::SeqCst);
        assert!(!lease.holds());
        lease.renew(lease.now(), false);
        assert!(lease.holds() && !counts(read), "it had run out when that was read");
    }

    #[test]
    fn a_lease_runs_out_while_the_machine_is_suspended() {
        let lease = Lease::default();
        lease.renew(lease.now(), true);
        let (read, before) = (lease.lapses(), steady());
        assert!(lease.holds() && lease.has_jobs());
        let late = lease.now();
        lease.clock.suspend(Duration::from_secs(3_600));
        assert!(!lease.holds() && !lease.has_jobs(), "its answers may be an hour old");
        assert!(before.duration_since(lease.sent()) >= Duration::from_secs(3_599));
        lease.renew(late, true);
        assert!(!lease.holds(), "this renewal was sent before the machine was suspended");
        lease.renew(lease.now(), true);
        assert!(lease.holds() && lease.lapses() > read, "what was read before does not count");
    }

    #[test]
    fn a_server_that_leaves_the_jobs_does_none_at_once_and_may_take_them_again_later() {
        let lease = Lease::default();
        lease.renew(lease.now(), true);
        assert!(lease.has_jobs() && !lease.leaves_jobs());
        lease.leave_jobs();
        assert!(lease.leaves_jobs() && !lease.has_jobs() && lease.holds());
        lease.clock.suspend(WITHOUT_JOBS);
        assert!(!lease.leaves_jobs());
    }

    fn nanos(time: Duration) -> u64 {
        u64::try_from(time.as_nanos()).unwrap()
    }
}
