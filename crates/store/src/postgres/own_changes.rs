//! What this server's own acts have written into the log. Memory need not read it back. It is
//! acknowledged with the next renewal of the lease: the act itself waits for the others only. A
//! request at another server that finds the act done waits for that renewal.

use crate::{Change, ReceiptRow};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tegata_token::time::UnixTime;

/// Maximum number of changes that are kept until the follower has taken them.
const MOST: usize = 10_000;

/// What a transaction of this server has written into the log, as one who reads it there finds
/// it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Made {
    /// The last position before it. Its own ones follow it without a gap, since the transaction
    /// has locked the row that gives them until its commit.
    pub after: u64,
    /// The last audit number by then.
    pub audit: i64,
    /// The highest time written by then.
    pub written_at: UnixTime,
    /// The changes, one for each position.
    pub changes: Vec<Change>,
    /// The receipts that began with them.
    pub receipts: Vec<ReceiptRow>,
}

impl Made {
    /// Nothing yet, after a position.
    pub fn after(after: u64) -> Self {
        let (changes, receipts) = (Vec::new(), Vec::new());
        Self { after, audit: 0, written_at: UnixTime(0), changes, receipts }
    }

    /// The position of the last change.
    pub fn last(&self) -> u64 {
        self.after + self.changes.len() as u64
    }
}

/// What a transaction has committed.
#[derive(Debug)]
pub(super) enum Committed {
    /// No change.
    Nothing,
    /// These changes.
    Made(Made),
    /// Changes that must be read, or that are not known to be committed.
    Unread,
}

/// What this server's transactions have written and the follower has not taken.
#[derive(Debug, Default)]
pub(super) struct OwnChanges(Mutex<VecDeque<Made>>);

impl OwnChanges {
    fn inner(&self) -> MutexGuard<'_, VecDeque<Made>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what a transaction has committed.
    pub fn add(&self, made: Made) {
        let mut all = self.inner();
        let kept: usize = all.iter().map(|it| it.changes.len()).sum();
        if kept >= MOST {
            // They are taken for changes of others and read, which is always right.
            all.clear();
        }
        all.push_back(made);
    }

    /// Takes what a transaction has written right after that position, if there is one. Forgets
    /// what is before.
    pub fn next(&self, after: u64) -> Option<Made> {
        let mut all = self.inner();
        all.retain(|it| it.last() > after);
        let at = all.iter().position(|it| it.after == after)?;
        all.remove(at)
    }

    /// The last number of all that were not taken; 0: there is none.
    pub fn last(&self) -> u64 {
        self.inner().iter().map(Made::last).max().unwrap_or(0)
    }

    /// Whether a transaction has written anything after that position.
    pub fn is_beyond(&self, position: u64) -> bool {
        self.inner().iter().any(|it| it.last() > position)
    }

    /// Whether all changes after the first number and up to the second are this server's own.
    /// Forgets them.
    pub fn take(&self, after: u64, last: u64) -> bool {
        let mut all = self.inner();
        let of = |it: &Made| it.last().min(last).saturating_sub(it.after.max(after));
        let own: u64 = all.iter().map(of).sum();
        all.retain(|it| it.last() > last);
        own == last - after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(after: u64, last: u64) -> Made {
        let change = Change::Empty { provider: None };
        Made { changes: (after..last).map(|_| change.clone()).collect(), ..Made::after(after) }
    }

    #[test]
    fn only_changes_that_are_all_known_to_be_own_are_taken_for_own() {
        let own = OwnChanges::default();
        own.add(made(10, 12));
        own.add(made(15, 16));
        assert!(own.take(10, 11), "a part of a transaction's");
        assert!(own.take(11, 12));
        assert!(!own.take(12, 16), "the first three are another server's");
        assert!(!own.take(16, 17), "nothing is known of it");
        own.add(made(17, 18));
        own.add(made(18, 20));
        assert!(own.take(17, 20));
    }

    #[test]
    fn what_follows_the_log_without_a_gap_is_handed_over_in_its_order() {
        let own = OwnChanges::default();
        // Committed in this order, and known in another one.
        own.add(made(13, 14));
        own.add(made(10, 12));
        assert_eq!(own.last(), 14);
        assert_eq!(own.next(10), Some(made(10, 12)));
        assert!(own.next(12).is_none() && own.is_beyond(12), "13 is another server's");
        assert_eq!(own.next(13), Some(made(13, 14)));
        assert!(!own.is_beyond(14));
        own.add(made(14, 15));
        assert!(own.next(15).is_none(), "it was read meanwhile");
        assert!(!own.is_beyond(14));
    }
}
