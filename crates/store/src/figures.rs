//! The store's metrics of its own work: how long acts wait, how many share a commit, how
//! long a commit takes.
//!
//! Counting is a few atomic additions, never a lock. The names of the metrics are defined
//! by the server.

use crate::coming::Coming;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// A histogram of whole numbers.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One per bucket, and one for numbers above the last bound.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// An empty histogram; `bounds` are the upper bounds of its buckets, in rising order.
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// Counts a number.
    pub fn observe(&self, number: u64) {
        let bucket = self.bounds.partition_point(|&bound| bound < number);
        self.counts[bucket].fetch_add(1, Relaxed);
        self.sum.fetch_add(number, Relaxed);
    }

    /// Counts a time, in nanoseconds.
    pub fn observe_time(&self, time: Duration) {
        self.observe(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Each bucket's upper bound and count; the last bucket has no bound.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        bounds.zip(self.counts.iter().map(|count| count.load(Relaxed)))
    }

    /// The sum of all numbers.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum.load(Relaxed)
    }
}

/// Bounds that start with `first` and double.
#[must_use]
pub const fn doubling<const N: usize>(first: u64) -> [u64; N] {
    let mut bounds = [first; N];
    let mut n = 1;
    while n < N {
        bounds[n] = bounds[n - 1] * 2;
        n += 1;
    }
    bounds
}

/// From 0.1 ms to 6.5 s, in nanoseconds: bounds for times that include disk writes.
pub const DISK_TIMES: &[u64] = &doubling::<17>(100_000);

/// From one act to 256.
const BATCH_SIZES: &[u64] = &doubling::<9>(1);

/// The metrics of a store.
#[derive(Debug)]
pub struct Figures {
    /// How many acts each commit held.
    pub batches: Histogram,
    /// How long each act waited for its transaction, in nanoseconds.
    pub waits: Histogram,
    /// How long each transaction took, commit included, in nanoseconds.
    pub commits: Histogram,
    /// Transactions that were rolled back for a reason that concerned the whole batch,
    /// such as a full disk.
    pub rolled_back: AtomicU64,
    pub(crate) coming: Coming,
}

/// An act that a request will bring to the writer, from before the request is
/// authenticated until it is answered: what a commit waits for a moment. Dropped, it is
/// not expected any more.
#[derive(Debug)]
pub struct Expected(Arc<Figures>);

impl Drop for Expected {
    fn drop(&mut self) {
        self.0.coming.forget();
    }
}

impl Figures {
    /// Announces an act to the writer.
    #[must_use]
    pub fn expect(self: Arc<Self>) -> Expected {
        self.coming.announce();
        Expected(self)
    }
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            batches: Histogram::new(BATCH_SIZES),
            waits: Histogram::new(DISK_TIMES),
            commits: Histogram::new(DISK_TIMES),
            rolled_back: AtomicU64::new(0),
            coming: Coming::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_falls_into_the_first_bucket_that_holds_it() {
        let histogram = Histogram::new(&[1, 2, 4]);
        for number in [0, 1, 2, 3, 4, 5, 1_000] {
            histogram.observe(number);
        }
        let counts: Vec<_> = histogram.buckets().collect();
        assert_eq!(counts, [(Some(1), 2), (Some(2), 1), (Some(4), 2), (None, 2)]);
        assert_eq!(histogram.sum(), 1_015);
    }

    #[test]
    fn bounds_double() {
        assert_eq!(doubling::<4>(3), [3, 6, 12, 24]);
    }
}
