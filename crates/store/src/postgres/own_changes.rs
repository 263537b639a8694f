//! The changes that this server's own acts have made. No other server waits until this one has
//! applied them, so they need not be acknowledged at once.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Maximum number of transactions that are kept until the follower has read their changes.
const MOST: usize = 4096;

/// The changes of this server's transactions that the follower has not read.
#[derive(Debug, Default)]
pub(super) struct OwnChanges(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Those after the first number and up to the second, of each transaction.
    ranges: VecDeque<(u64, u64)>,
    /// The last one of all.
    last: u64,
}

impl OwnChanges {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds those of a transaction, after the first number and up to the second.
    pub fn add(&self, (after, last): (u64, u64)) {
        let mut inner = self.inner();
        if inner.ranges.len() >= MOST {
            // They are taken for changes of others, which is always right.
            inner.ranges.clear();
        }
        inner.ranges.push_back((after, last));
        inner.last = last.max(inner.last);
    }

    /// The last one of all.
    pub fn last(&self) -> u64 {
        self.inner().last
    }

    /// Whether all changes after the first number and up to the second are this server's own.
    /// Forgets them.
    pub fn take(&self, after: u64, last: u64) -> bool {
        let mut inner = self.inner();
        let of = |range: &(u64, u64)| range.1.min(last).saturating_sub(range.0.max(after));
        let own: u64 = inner.ranges.iter().map(of).sum();
        inner.ranges.retain(|range| range.1 > last);
        own == last - after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_that_are_all_known_to_be_own_are_taken_for_own() {
        let own = OwnChanges::default();
        own.add((10, 12));
        own.add((15, 16));
        assert_eq!(own.last(), 16);
        assert!(own.take(10, 11), "a part of a transaction's");
        assert!(own.take(11, 12));
        assert!(!own.take(12, 16), "the first three are another server's");
        assert!(!own.take(16, 17), "nothing is known of it");
        own.add((17, 18));
        own.add((18, 20));
        assert!(own.take(17, 20));
    }
}
