//! Which channels have changed since a walk through all of them began: what the walk found
//! about them may be out of date.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};
use tegata_token::id::ChannelId;

/// Maximum number of channels that are noted; if there are more, all count as changed.
const MOST: usize = 1_000;

/// The channels that changed.
#[derive(Default)]
pub struct Changes(Mutex<Both>);

#[derive(Default)]
struct Both {
    /// Since the walk that is under way began.
    under_way: BTreeSet<ChannelId>,
    /// Since the last walk that was completed began.
    completed: BTreeSet<ChannelId>,
}

impl Changes {
    fn both(&self) -> std::sync::MutexGuard<'_, Both> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a channel changed.
    pub fn note(&self, id: ChannelId) {
        let mut both = self.both();
        let Both { under_way, completed } = &mut *both;
        for all in [under_way, completed] {
            if all.len() < MOST {
                all.insert(id);
            }
        }
    }

    /// A walk begins.
    pub fn begin_walk(&self) {
        self.both().under_way.clear();
    }

    /// The walk that began last is complete.
    pub fn end_walk(&self) {
        let mut both = self.both();
        both.completed = std::mem::take(&mut both.under_way);
    }

    /// Whether the last complete walk may not have seen the last change of a channel.
    pub fn since_walk(&self, id: ChannelId) -> bool {
        let both = self.both();
        both.completed.len() == MOST || both.completed.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_during_a_walk_counts_until_the_next_walk_is_complete() {
        let changes = Changes::default();
        let [before, during, after] = [1, 2, 3].map(|it| ChannelId::from_number(it).unwrap());
        changes.note(before);
        changes.begin_walk();
        changes.note(during);
        changes.end_walk();
        changes.note(after);
        let changed = || [before, during, after].map(|it| changes.since_walk(it));
        assert_eq!(changed(), [false, true, true]);
        changes.begin_walk();
        assert_eq!(changed(), [false, true, true]);
        changes.end_walk();
        assert_eq!(changed(), [false; 3]);
        (0..MOST as u64).for_each(|it| changes.note(ChannelId::from_number(100 + it).unwrap()));
        assert_eq!(changed(), [true; 3], "too many to tell");
    }
}
