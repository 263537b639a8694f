//! The steady clock of leases and of the database's time: unlike that of [`Instant`] it goes on
//! while the machine is suspended. Neither goes on while a hypervisor has stopped the whole guest.
//!
//! [`Instant`]: std::time::Instant

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// A moment: nanoseconds since the machine was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(pub u64);

impl Moment {
    /// The moment of this call.
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        let (seconds, nanos) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
        Self(seconds.unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(nanos.unwrap_or(0)))
    }

    /// The time since an earlier moment.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Tells the moment; a test lets it go on without the clock of [`std::time::Instant`].
#[derive(Debug, Default)]
pub(super) struct BootClock {
    #[cfg(test)]
    suspended: std::sync::atomic::AtomicU64,
}

impl BootClock {
    /// The moment of this call.
    #[cfg(not(test))]
    pub fn now(&self) -> Moment {
        Moment::now()
    }

    /// The moment of this call.
    #[cfg(test)]
    pub fn now(&self) -> Moment {
        Moment(Moment::now().0 + self.suspended.load(std::sync::atomic::Ordering::SeqCst))
    }

    /// Lets the machine be suspended for that long.
    #[cfg(test)]
    pub fn suspend(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.suspended.fetch_add(nanos, std::sync::atomic::Ordering::SeqCst);
    }
}
