//! The one place of this crate that reads the machine's clocks and draws chance;
//! everything else takes both as arguments.

#![expect(clippy::disallowed_methods, reason = "this is the source of time and chance")]

use crate::renewal::Jitter;
use std::{
    sync::{Mutex, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};
use tegata_token::time::UnixTime;

/// Time by which lives are counted: the wall clock, but it never runs backwards or
/// stands still within a process. A token that was got by a clock that is later set
/// back is so not taken to live longer than it does.
#[derive(Debug)]
pub struct MonotonicClock {
    started: Instant,
    /// What the wall clock showed, at most, more than the steady one.
    ahead: Mutex<i64>,
}

impl MonotonicClock {
    /// A clock that shows the machine's time.
    #[must_use]
    pub fn new() -> Self {
        Self { started: Instant::now(), ahead: Mutex::new(wall()) }
    }

    /// The time by which lives are counted.
    pub fn now(&self) -> UnixTime {
        let running = i64::try_from(self.started.elapsed().as_secs()).unwrap_or(i64::MAX);
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        *ahead = (*ahead).max(wall().saturating_sub(running));
        UnixTime(running.saturating_add(*ahead))
    }

    /// What the wall clock shows: the time that goes into assertions, and that is
    /// held against the authority's.
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

/// A random number: where the count of a holder's tokens begins.
#[must_use]
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    // Without chance two holders might share a number, and the authority would tell
    // them apart by their proof; nothing secret hangs on it.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// A number from 0 to below 1.
#[must_use]
pub fn jitter() -> Jitter {
    #[expect(clippy::cast_precision_loss, reason = "of 32 bits nothing is lost")]
    let part = (random() >> 32) as f64;
    part / 4_294_967_296.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_runs_backwards_and_chance_is_below_one() {
        let clock = MonotonicClock::new();
        *clock.ahead.lock().unwrap() += 600;
        let before = clock.now();
        assert!(before.since(clock.wall()) >= 599);
        assert!(clock.now() >= before);
        assert!((0..1_000).all(|_| (0.0..1.0).contains(&jitter())));
        assert_ne!(random(), random(), "two holders do not begin alike");
    }
}
