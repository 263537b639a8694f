//! The newest changes of the log in memory, and the notification of followers.
//!
//! Each change has a slot by its number. A commit writes its slots and then installs the
//! view, so a follower that reads the view finds every change up to the view's position,
//! unless newer ones have taken its slot meanwhile.

use arc_swap::{ArcSwap, ArcSwapOption};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};
use tegata_token::{
    feed::LoggedChange,
    id::{Position, ProviderId},
};
use tokio::sync::watch;

/// Number of changes that are held. A follower that lacks more takes a snapshot.
pub(super) const SLOTS: u64 = 16_384;
/// Maximum number of changes that one response scans.
const SCANNED: u64 = 4_096;

/// How the followers of one provider, or of all (`None`), are notified.
type Audiences = HashMap<Option<ProviderId>, watch::Sender<()>>;

pub(super) struct Tail {
    slots: Box<[ArcSwapOption<LoggedChange>]>,
    audiences: ArcSwap<Audiences>,
    /// The epoch of the slots, and the number before the first of them.
    epoch: AtomicU64,
    first: AtomicU64,
}

/// The changes after a position.
pub(super) struct After {
    /// The changes, in order.
    pub changes: Vec<Arc<LoggedChange>>,
    /// The position up to which they are complete.
    pub through: Position,
}

impl Tail {
    pub fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| ArcSwapOption::empty()).collect(),
            audiences: ArcSwap::default(),
            epoch: AtomicU64::new(0),
            first: AtomicU64::new(0),
        }
    }

    /// Holds nothing before that position.
    pub fn begin_at(&self, at: Position) {
        self.epoch.store(at.epoch, SeqCst);
        self.first.store(at.number, SeqCst);
    }

    /// Adds changes before those that are held: `changes` ends at the first of them.
    pub fn add_before(&self, changes: Vec<LoggedChange>) {
        let Some(first) = changes.first().map(|it| it.position.number) else { return };
        for change in changes {
            let slot = self.slot(change.position.number);
            // A newer change may have taken the slot since the log was read.
            if slot.load().is_none() {
                self.add(change);
            }
        }
        self.first.fetch_min(first - 1, SeqCst);
    }

    pub fn add(&self, change: LoggedChange) {
        self.slot(change.position.number).store(Some(Arc::new(change)));
    }

    fn slot(&self, number: u64) -> &ArcSwapOption<LoggedChange> {
        // Below the number of slots, which fits.
        &self.slots[usize::try_from(number % SLOTS).unwrap_or(0)]
    }

    /// The changes after `after` up to `head`, the position of a view in memory; `None` if
    /// they are not all held. `after` must be of its epoch and not beyond it.
    pub fn after(&self, after: Position, head: Position) -> Option<After> {
        if after.number < self.first.load(SeqCst) || head.epoch != self.epoch.load(SeqCst) {
            return (after == head).then(|| After { changes: Vec::new(), through: head });
        }
        let through = head.number.min(after.number + SCANNED);
        let mut changes = Vec::new();
        for number in after.number + 1..=through {
            let change = self.slot(number).load_full()?;
            if change.position != (Position { epoch: head.epoch, number }) {
                return None;
            }
            changes.push(change);
        }
        Some(After { changes, through: Position { number: through, ..head } })
    }

    /// What completes when a change concerns this provider's verifiers.
    pub fn subscribe(&self, provider: Option<ProviderId>) -> watch::Receiver<()> {
        if let Some(known) = self.audiences.load().get(&provider) {
            return known.subscribe();
        }
        self.audiences.rcu(|all| {
            let mut all = Audiences::clone(all);
            all.entry(provider).or_default();
            all
        });
        // It was added just now, and none is ever removed.
        self.audiences
            .load()
            .get(&provider)
            .map_or_else(|| watch::Sender::new(()).subscribe(), watch::Sender::subscribe)
    }

    pub fn notify(&self, after: Position, through: Position) {
        let audiences = self.audiences.load();
        if audiences.is_empty() {
            return;
        }
        let concerned = |provider: Option<ProviderId>| {
            (after.number + 1..=through.number).any(|number| {
                self.slot(number).load().as_ref().is_some_and(|it| it.concerns(provider))
            })
        };
        for (provider, audience) in audiences.iter() {
            if concerned(*provider) {
                audience.send_replace(());
            }
        }
    }

    pub fn notify_all(&self) {
        self.audiences.load().values().for_each(|audience| audience.send_replace(()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tegata_token::view::{ChannelChange, ChannelState, FeedChange};

    fn at(number: u64) -> Position {
        Position { epoch: 3, number }
    }

    fn provider(number: u64) -> ProviderId {
        ProviderId::from_number(number).unwrap()
    }

    fn change(number: u64, of: Option<u64>) -> LoggedChange {
        let of = of.map(|of| FeedChange::Channel {
            provider: provider(of),
            channel: tegata_token::id::ChannelId::from_number(7).unwrap(),
            change: ChannelChange::State { state: ChannelState::Suspended },
        });
        LoggedChange { position: at(number), change: of }
    }

    fn tail(from: u64, to: u64) -> Tail {
        let tail = Tail::new();
        tail.begin_at(at(from));
        (from + 1..=to).for_each(|number| tail.add(change(number, Some(1))));
        tail
    }

    fn numbers(after: Option<After>) -> Option<Vec<u64>> {
        after.map(|it| it.changes.iter().map(|it| it.position.number).collect())
    }

    #[test]
    fn the_changes_after_a_position_are_complete_or_there_are_none() {
        let tail = tail(10, 13);
        assert_eq!(numbers(tail.after(at(10), at(13))), Some(vec![11, 12, 13]));
        assert_eq!(numbers(tail.after(at(13), at(13))), Some(vec![]));
        assert_eq!(numbers(tail.after(at(9), at(13))), None, "the one at 10 is not held");
        assert_eq!(numbers(tail.after(at(12), at(14))), None, "14 is not there");
    }

    #[test]
    fn a_change_whose_slot_was_taken_by_a_newer_one_is_missed_by_the_one_who_needs_it() {
        let tail = tail(10, 13);
        tail.add(change(11 + SLOTS, Some(1)));
        assert_eq!(numbers(tail.after(at(10), at(13))), None, "at the asked position itself");
        assert_eq!(numbers(tail.after(at(11), at(13))), Some(vec![12, 13]));
    }

    #[test]
    fn a_long_way_is_gone_in_parts() {
        let tail = tail(0, SCANNED + 5);
        let first = tail.after(at(0), at(SCANNED + 5)).unwrap();
        assert_eq!(first.through, at(SCANNED));
        let rest = tail.after(first.through, at(SCANNED + 5)).unwrap();
        assert_eq!((rest.changes.len(), rest.through), (5, at(SCANNED + 5)));
    }

    #[test]
    fn older_changes_are_added_without_a_gap() {
        let tail = tail(10, 13);
        tail.add_before(vec![change(9, None), change(10, None)]);
        assert_eq!(numbers(tail.after(at(8), at(13))), Some(vec![9, 10, 11, 12, 13]));
        assert_eq!(numbers(tail.after(at(7), at(13))), None);
    }

    #[test]
    fn only_followers_that_a_change_concerns_are_notified() {
        let tail = tail(10, 10);
        let (mut one, mut two, mut all) = (
            tail.subscribe(Some(provider(1))),
            tail.subscribe(Some(provider(2))),
            tail.subscribe(None),
        );
        tail.add(change(11, Some(1)));
        tail.notify(at(10), at(11));
        assert!(one.has_changed().unwrap() && all.has_changed().unwrap());
        assert!(!two.has_changed().unwrap());
        all.mark_unchanged();
        tail.add(change(12, None));
        tail.notify(at(11), at(12));
        assert!(!all.has_changed().unwrap(), "nothing for verifiers");
        one.mark_unchanged();
        two.mark_unchanged();
        tail.notify_all();
        assert!(one.has_changed().unwrap() && two.has_changed().unwrap());
    }
}
