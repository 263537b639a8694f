//! The only module of this crate that reads the machine's clocks and its RNG; the others
//! take time and random numbers as arguments.

#![expect(clippy::disallowed_methods, reason = "this is the source of time and random numbers")]

use crate::renewal::Jitter;
use std::{
    sync::{Mutex, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};
use tegata_token::time::UnixTime;

/// The wall clock, except that it never runs backwards or stands still within a process.
/// So a token does not seem to be active for longer after the wall clock was set back.
#[derive(Debug)]
pub struct MonotonicClock {
    started: Instant,
    /// The maximum difference seen between the wall clock and the monotonic one.
    ahead: Mutex<i64>,
}

impl MonotonicClock {
    /// A clock that shows the machine's time.
    #[must_use]
    pub fn new() -> Self {
        Self { started: Instant::now(), ahead: Mutex::new(wall()) }
    }

    /// The time that validities are compared with.
    pub fn now(&self) -> UnixTime {
        let running = i64::try_from(self.started.elapsed().as_secs()).unwrap_or(i64::MAX);
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        *ahead = (*ahead).max(wall().saturating_sub(running));
        UnixTime(running.saturating_add(*ahead))
    }

    /// The wall clock's time, for assertions and for the comparison with the authority's.
    #[must_use]
    pub fn wall(&self) -> UnixTime {
        UnixTime(wall())
    }
}

impl Default for MonotonicClock {
    fn default() -> Self {
        Self::new()
    }
}

fn wall() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A random number, where the count of a holder's tokens begins.
#[must_use]
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    // If the RNG fails, two holders can share a number; the authority then distinguishes
    // them by their credentials. The number is no secret.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// A number from 0 to below 1.
#[must_use]
pub fn jitter() -> Jitter {
    #[expect(clippy::cast_precision_loss, reason = "32 bits fit without loss")]
    let part = (random() >> 32) as f64;
    part / 4_294_967_296.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_runs_backwards_and_jitter_is_below_one() {
        let clock = MonotonicClock::new();
        *clock.ahead.lock().unwrap() += 600;
        let before = clock.now();
        assert!(before.since(clock.wall()) >= 599);
        assert!(clock.now() >= before);
        assert!((0..1_000).all(|_| (0.0..1.0).contains(&jitter())));
        assert_ne!(random(), random(), "two holders begin with different numbers");
    }
}
