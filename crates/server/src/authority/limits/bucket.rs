//! Token buckets: how often per second each operation may be used for a channel.

use super::{
    table,
    wait::{LimitExceeded, SECOND},
};
use std::num::NonZeroU32;

/// A bucket. Its level is stored as the time at which it will be full again (GCRA: one
/// number, no refilling).
#[derive(Debug, Default)]
pub struct Bucket {
    full_at: u64,
}

impl Bucket {
    /// Takes one from a bucket that holds `rate` and refills at `rate` per second. At
    /// most `rate` + `rate` × t pass in any time t: the time that one takes to refill is
    /// rounded up.
    pub fn take(&mut self, rate: NonZeroU32, now: u64) -> Result<(), LimitExceeded> {
        let rate = u64::from(rate.get());
        let each = SECOND.div_ceil(rate);
        let next = self.full_at.max(now) + each;
        if next - now > each * rate {
            return Err(LimitExceeded(1));
        }
        self.full_at = next;
        Ok(())
    }
}

impl table::TableEntry for Bucket {
    /// A full bucket is the same as a new one.
    fn is_expired(&self, now: u64) -> bool {
        self.full_at <= now
    }

    fn weight(&self) -> u64 {
        self.full_at
    }
}
