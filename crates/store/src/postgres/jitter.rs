//! Waiting before another attempt, a random time, so that many servers that lost the same
//! database do not come back at once.

use super::{failed::Failed, job::steady};
use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

/// The first and the longest wait.
const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

/// The waits of one kind of attempt.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    until: Option<(Instant, String)>,
}

impl Backoff {
    /// The next wait: between half of a time that doubles, and all of it.
    pub fn next(&mut self) -> Duration {
        let longest = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures += 1;
        longest.mul_f64(0.5 + share() / 2.0)
    }

    /// Notes a failure.
    pub fn failed(&mut self, why: &Failed) {
        let wait = self.next();
        self.until = Some((steady() + wait, why.to_string()));
    }

    /// Whether it is time for another attempt.
    ///
    /// # Errors
    /// It is not: the failure of the last one.
    pub fn ready(&self) -> Result<(), Failed> {
        match &self.until {
            Some((until, why)) if steady() < *until => Err(Failed::unavailable(why.as_str())),
            _ => Ok(()),
        }
    }

    /// Notes a success.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// A random number from 0 to 1. No secret depends on it.
fn share() -> f64 {
    let random = RandomState::new().hash_one(0_u8);
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
