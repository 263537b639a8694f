//! The two clocks of a follower, as values.

use std::time::Duration;

/// A moment of the steady clock, which counts suspension of the machine: nanoseconds since
/// its boot. Moments before the boot are negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Steady(pub i64);

impl Steady {
    /// The moment after this one by `time`.
    #[must_use]
    pub fn plus(self, time: Duration) -> Self {
        Self(self.0.saturating_add(nanos(time)))
    }

    /// The moment before this one by `time`.
    #[must_use]
    pub fn minus(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(time)))
    }

    /// The time from an earlier moment to this one; zero if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0).try_into().unwrap_or(0))
    }
}

fn nanos(time: Duration) -> i64 {
    time.as_nanos().try_into().unwrap_or(i64::MAX)
}

/// The change of the difference of the clocks that shows that one of them was set or stood still.
const JUMP: u64 = 100_000_000;

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// The steady clock.
    pub steady: Steady,
    /// The wall clock: nanoseconds since the UNIX epoch.
    pub wall: i64,
}

impl Clocks {
    /// Wall clock minus steady clock. A change shows that the wall clock was set, or that
    /// the steady clock stood still.
    #[must_use]
    pub fn gap(self) -> i64 {
        self.wall.saturating_sub(self.steady.0)
    }

    /// Whether the wall clock was set, or the steady clock stood still, since the difference was
    /// this.
    #[must_use]
    pub fn jumped_since(self, gap: i64) -> bool {
        self.gap().abs_diff(gap) >= JUMP
    }
}
