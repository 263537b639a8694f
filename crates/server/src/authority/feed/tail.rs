//! The newest changes of the log in memory, and the notification of followers.
//!
//! Each change has a slot by its number. A commit writes its slots and then installs the
//! view, so a follower that reads the view finds every change up to the view's position,
//! unless newer ones have taken its slot meanwhile.

use arc_swap::{ArcSwap, ArcSwapOption};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};
use tegata_token::{
    feed::LoggedChange,
    id::{ChannelId, Position, ProviderId},
    view::FeedChange,
};
use tokio::sync::watch;

/// Number of changes that are held. A follower that lacks more takes a snapshot.
pub(super) const SLOTS: u64 = 16_384;
/// Maximum number of changes in one response. A follower that lacks more takes a snapshot, which
/// all of them share.
const MOST: usize = 4_096;
/// After this many changes even a follower that none of them concerns is answered: at the end of
/// a long hold they would not be held any more.
pub(super) const STRETCH: u64 = SLOTS / 4;

/// How the followers of one provider, or of all (`None`), are notified.
type Audiences = HashMap<Option<ProviderId>, watch::Sender<()>>;

pub(super) struct Tail {
    slots: Box<[ArcSwapOption<LoggedChange>]>,
    audiences: ArcSwap<Audiences>,
    /// The epoch of the slots, and the number before the first of them.
    epoch: AtomicU64,
    first: AtomicU64,
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

    /// The changes after `after` up to `head`, the position of a view in memory, that concern
    /// this provider's verifiers, and the first of all, which shows that none is missing before
    /// it; `None` if they are not all held or are too many. `after` must be of its epoch and not
    /// beyond it.
    ///
    /// All of them or none: with a part, a follower would be as old as its last change and take
    /// itself for fresh.
    pub fn after(
        &self,
        after: Position,
        head: Position,
        provider: Option<ProviderId>,
    ) -> Option<Vec<Arc<LoggedChange>>> {
        if after.number < self.first.load(SeqCst) || head.epoch != self.epoch.load(SeqCst) {
            return (after == head).then(Vec::new);
        }
        // Of more, some have lost their slot.
        if head.number.saturating_sub(after.number) > SLOTS {
            return None;
        }
        let mut changes = Vec::new();
        for number in after.number + 1..=head.number {
            let change = self.slot(number).load();
            let change = change.as_ref()?;
            if change.position != (Position { epoch: head.epoch, number }) {
                return None;
            }
            if changes.is_empty() || change.concerns(provider) {
                changes.push(change.clone());
            }
        }
        (changes.len() <= MOST).then_some(changes)
    }

    /// For each channel the position of its newest change up to `head`, or a later one: every
    /// revocation of its tokens that a view at `head` has is at or before it. A signing key is
    /// of all channels.
    pub fn newest_of(
        &self,
        channels: &HashSet<ChannelId>,
        head: Position,
    ) -> HashMap<ChannelId, Position> {
        let mut found = HashMap::new();
        let is_held = head.epoch == self.epoch.load(SeqCst);
        let first = if is_held { self.first.load(SeqCst).min(head.number) } else { head.number };
        let mut number = head.number;
        while number > first && found.len() < channels.len() {
            let at = Position { number, ..head };
            let change = self.slot(number).load();
            match change.as_ref().filter(|it| it.position == at).map(|it| &it.change) {
                Some(Some(FeedChange::Channel { channel, .. })) => {
                    if channels.contains(channel) {
                        found.entry(*channel).or_insert(at);
                    }
                }
                Some(None) => {}
                Some(Some(FeedChange::SigningKey(_))) | None => break,
            }
            number -= 1;
        }
        for channel in channels {
            found.entry(*channel).or_insert(Position { number, ..head });
        }
        found
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
        if after.number / STRETCH != through.number / STRETCH {
            return self.notify_all();
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
    use tegata_token::view::{ChannelChange, ChannelState};

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

    fn numbers(changes: Option<Vec<Arc<LoggedChange>>>) -> Option<Vec<u64>> {
        changes.map(|it| it.iter().map(|it| it.position.number).collect())
    }

    impl Tail {
        fn all_after(&self, after: u64, head: u64) -> Option<Vec<u64>> {
            numbers(self.after(at(after), at(head), None))
        }
    }

    #[test]
    fn the_changes_after_a_position_are_complete_or_there_are_none() {
        let tail = tail(10, 13);
        assert_eq!(tail.all_after(10, 13), Some(vec![11, 12, 13]));
        assert_eq!(tail.all_after(13, 13), Some(vec![]));
        assert_eq!(tail.all_after(9, 13), None, "the one at 10 is not held");
        assert_eq!(tail.all_after(12, 14), None, "14 is not there");
    }

    #[test]
    fn a_change_whose_slot_was_taken_by_a_newer_one_is_missed_by_the_one_who_needs_it() {
        let tail = tail(10, 13);
        tail.add(change(11 + SLOTS, Some(1)));
        assert_eq!(tail.all_after(10, 13), None, "at the asked position itself");
        assert_eq!(tail.all_after(11, 13), Some(vec![12, 13]));
    }

    #[test]
    fn the_newest_change_of_a_channel_is_never_taken_for_an_older_one() {
        let (known, other) =
            (ChannelId::from_number(7).unwrap(), ChannelId::from_number(8).unwrap());
        let newest = |tail: &Tail, head| {
            let found = tail.newest_of(&HashSet::from([known, other]), at(head));
            [found[&known].number, found[&other].number]
        };
        let tail = tail(10, 12);
        tail.add(change(13, None));
        assert_eq!(newest(&tail, 13), [12, 10], "of the other one, what is held begins there");
        assert_eq!(newest(&tail, 14), [14, 14], "14 is not there, and can be of any channel");
        tail.add(change(11 + SLOTS, Some(1)));
        assert_eq!(newest(&tail, 13), [12, 11], "the slot of 11 was taken");
        let later = Position { epoch: 4, number: 2 };
        assert_eq!(tail.newest_of(&HashSet::from([known]), later)[&known], later);
    }

    #[test]
    fn a_long_way_is_gone_at_once_or_not_at_all() {
        let most = u64::try_from(MOST).unwrap();
        let tail = tail(0, most + 1);
        assert_eq!(tail.all_after(1, most + 1).map(|it| it.len()), Some(MOST));
        assert_eq!(tail.all_after(0, most + 1), None, "a part of them would look new");
        let others = tail.after(at(0), at(most + 1), Some(provider(2)));
        assert_eq!(numbers(others), Some(vec![1]), "what concerns others does not count");
        assert_eq!(tail.all_after(0, SLOTS + 1), None);
    }

    #[test]
    fn those_whom_nothing_concerns_are_notified_before_the_changes_have_lost_their_slots() {
        let tail = tail(0, 0);
        let mut one = tail.subscribe(Some(provider(1)));
        let mut notified = Vec::new();
        for number in 1..=2 * STRETCH {
            tail.add(change(number, Some(2)));
            tail.notify(at(number - 1), at(number));
            if one.has_changed().unwrap() {
                one.mark_unchanged();
                notified.push(number);
            }
        }
        assert_eq!(notified, [STRETCH, 2 * STRETCH]);
    }

    #[test]
    fn older_changes_are_added_without_a_gap() {
        let tail = tail(10, 13);
        tail.add_before(vec![change(9, None), change(10, None)]);
        assert_eq!(tail.all_after(8, 13), Some(vec![9, 11, 12, 13]), "10 concerns no verifier");
        assert_eq!(tail.all_after(7, 13), None);
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
