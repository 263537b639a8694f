//! The feed: how verifiers on other machines learn what was revoked, and how the authority
//! learns that they have applied it. `docs/feed.md` has the rules for both sides.
//!
//! A commit adds its changes to a tail in memory and notifies the followers that they
//! concern. It takes no lock that a follower holds, and there is no queue per follower: a
//! waiting follower costs one connection and one row.

mod accepted;
mod acknowledgements;
mod exchange;
mod follow;
mod foreign;
mod gzip;
mod instances;
mod judge;
mod listed;
mod receipts;
mod renewals;
mod seen;
mod shared;
mod snapshots;
mod tail;
mod upkeep;
mod usage;
mod used_revoked;
mod waiting;

pub use accepted::AcceptedRevoked;
pub use follow::{FeedResponse, Refused, logged};
pub use gzip::Encoding;
pub use listed::ListedInstance;
pub use usage::Introspector;

use instances::Instances;
use receipts::Receipts;
use renewals::DueRows;
use shared::Rests;
use snapshots::Snapshots;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError, atomic::AtomicUsize},
    time::{Duration, Instant},
};
use tail::Tail;
use tegata_store::{ReceiptRow, State};
use tegata_token::{
    feed::{InstanceId, LoggedChange},
    id::{Position, VerifierId},
    time::UnixTime,
};
use tokio_util::sync::CancellationToken;
use usage::ReportLocks;

/// The rate of new instances: at most [`follow::NEW_PER_SECOND`] at once, and per second, in equal
/// parts for the verifiers that have new ones. One that has none takes nothing from the others.
///
/// It holds when the part of each of these verifiers will be whole again; the others have theirs.
#[derive(Default)]
struct NewInstances(Mutex<HashMap<VerifierId, Instant>>);

impl NewInstances {
    /// Takes a place of a verifier's part, if there is one.
    fn take(&self, of: VerifierId, now: Instant) -> bool {
        let second = Duration::from_secs(1);
        let mut whole_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        whole_at.retain(|_, at| *at > now);
        let others = whole_at.len() - usize::from(whole_at.contains_key(&of));
        let parts = u32::try_from(others + 1).unwrap_or(u32::MAX);
        let each = second.saturating_mul(parts) / follow::NEW_PER_SECOND;
        let next = whole_at.get(&of).map_or(now, |at| *at) + each;
        // Of however many, each gets one from time to time.
        let is_free = next <= now + second.max(each);
        if is_free {
            whole_at.insert(of, next);
        }
        is_free
    }
}

/// The state of the feed in memory.
pub struct Feed {
    began: Instant,
    tail: Tail,
    pub(super) instances: Instances,
    pub(super) receipts: Receipts,
    snapshots: Snapshots,
    shared: Rests,
    due: DueRows,
    report_locks: ReportLocks,
    new_instances: NewInstances,
    /// When a position beyond the end of the log was last reported in the server's log.
    beyond_head: Mutex<Option<(Instant, UnixTime)>>,
    /// Number of requests for changes that are held.
    held: AtomicUsize,
    /// Cancelled when the server is asked to stop: held requests are answered at once.
    pub(super) draining: CancellationToken,
}

impl Feed {
    /// An empty feed of a process that starts `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            began: now,
            tail: Tail::new(),
            instances: Instances::default(),
            receipts: Receipts::new(now),
            snapshots: Snapshots::default(),
            shared: Rests::default(),
            due: DueRows::default(),
            report_locks: ReportLocks::default(),
            new_instances: NewInstances::default(),
            beyond_head: Mutex::default(),
            held: AtomicUsize::new(0),
            draining: CancellationToken::new(),
        }
    }

    /// Adds the changes of a commit, before the view that has them is installed.
    pub fn add(&self, changes: Vec<LoggedChange>) {
        changes.into_iter().for_each(|it| self.tail.add(it));
    }

    /// Begins the receipts of a commit, which this process learns of `now`.
    pub fn begin_receipts(&self, rows: &[ReceiptRow], now: Instant) {
        self.receipts.begin(rows, now);
    }

    /// Drops instances that an operator removed, after the receipts have noted what is known
    /// of them.
    pub fn removed(&self, names: &[(VerifierId, InstanceId)]) {
        self.receipts.update(&self.instances);
        self.instances.remove(names);
        // Their requests that are held are answered at once.
        self.tail.notify_all();
    }

    /// Notifies the followers that changes after that position concern, after the view that
    /// has them was installed.
    pub fn notify(&self, after: Position, through: Position) {
        self.tail.notify(after, through);
    }

    /// Notifies every follower: what its verifier may do has changed.
    pub fn notify_all(&self) {
        self.tail.notify_all();
    }

    /// Whether to report a position beyond the end of the log: once a minute, since each
    /// request of each verifier can have one.
    fn reports_beyond_head(&self, now: Instant, time: UnixTime) -> bool {
        let mut last = self.beyond_head.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|(at, _)| now.saturating_duration_since(at).as_secs() >= 60);
        if is_due {
            *last = Some((now, time));
        }
        is_due
    }

    /// When a position beyond the end of the log was last reported.
    pub fn beyond_head(&self) -> Option<UnixTime> {
        self.beyond_head.lock().unwrap_or_else(PoisonError::into_inner).map(|(_, time)| time)
    }

    /// When a hold of that length ends that begins `now`: a 32nd earlier at most, when others of
    /// this length end as well. So thousands of idle followers are answered in few wake-ups.
    fn end_of_hold(&self, now: Instant, hold: Duration) -> Instant {
        let end = now + hold;
        let (since, step) = (end.saturating_duration_since(self.began), hold / 32);
        let over = since.as_nanos().checked_rem(step.as_nanos()).unwrap_or(0);
        end - Duration::from_nanos(u64::try_from(over).unwrap_or(0))
    }

    /// Forgets what is of another store's state.
    pub fn fill(&self, state: &State) {
        self.tail.begin_at(state.view.position());
        self.shared.forget();
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a moment to count from, never compared with the clock"
)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_alone_takes_all_places_and_several_share_them() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let verifier = |number| VerifierId::from_number(number).unwrap();
        let (busy, other, third) = (verifier(1), verifier(2), verifier(3));
        let new = NewInstances::default();
        let takes = |of, ms, tries| (0..tries).filter(|_| new.take(of, at(ms))).count();
        assert_eq!(takes(busy, 0, 100), 50);
        assert_eq!(takes(busy, 1_000, 100), 50, "alone, it has all of them again");
        // The others need not wait for what it has taken.
        assert_eq!(takes(other, 1_000, 100), 25);
        assert_eq!(takes(third, 1_000, 100), 16);

        // From then on each of three has a third, however often it tries.
        let mut taken = [0; 3];
        for ms in 2_001..=5_000 {
            for (of, taken) in [busy, other, third].into_iter().zip(&mut taken) {
                *taken += takes(of, ms, 3);
            }
        }
        assert!(taken.iter().all(|it| (48..=70).contains(it)), "{taken:?} in three seconds");
        assert_eq!(takes(busy, 10_000, 100), 50, "and again all when the others have none");
        let many = (4..104).filter(|it| new.take(verifier(*it), at(10_000))).count();
        assert_eq!(many, 100, "each of very many gets one");
        assert_eq!(takes(verifier(103), 10_001, 1), 0);
    }

    #[test]
    fn holds_of_one_length_end_together_and_a_32nd_earlier_at_most() {
        let began = Instant::now();
        let feed = Feed::new(began);
        let (hold, step) = (Duration::from_millis(640), Duration::from_millis(20));
        let end = |ms| feed.end_of_hold(began + Duration::from_millis(ms), hold) - began;
        assert_eq!(end(0), hold);
        assert_eq!(end(19), hold);
        assert_eq!(end(20), hold + step);
        for hold in [Duration::ZERO, Duration::from_nanos(31)] {
            assert_eq!(feed.end_of_hold(began, hold), began + hold);
        }
    }
}
