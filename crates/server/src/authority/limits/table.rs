//! A table whose size is bounded by its making, whoever writes to it.
//!
//! A key has one small set of places, chosen by a hash that nobody outside can
//! foresee. When the set is full, what is over goes, and else what is worth
//! least. So a flood of strangers' keys pushes out strangers' keys: what it costs
//! to push an entry out is what it costs to make a set's worth of entries that
//! are worth more. It knows nothing of what it keeps.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What a table keeps.
pub trait TableEntry {
    /// Whether forgetting it changes nothing at `now`, in nanoseconds.
    fn is_over(&self, now: u64) -> bool;
    /// How much it would be missed; of equals the older one goes.
    fn worth(&self) -> u64;
    /// Whether it stays until it is over, even if the table grows by it.
    fn is_pinned(&self, _now: u64) -> bool {
        false
    }
}

/// Places in a set.
const WAYS: usize = 16;

/// The keys of one set, the oldest first.
type Set<K, V> = Vec<(K, V)>;

/// The table.
pub struct Table<K, V> {
    sets: Box<[Mutex<Set<K, V>>]>,
    hasher: RandomState,
}

impl<K: Hash + Eq, V: TableEntry> Table<K, V> {
    /// Room for `most` entries, or up to 15 more.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let sets = (0..most.div_ceil(WAYS)).map(|_| Mutex::default()).collect();
        Self { sets, hasher: RandomState::new() }
    }

    /// Does `work` on the entry of `key`, on a `fresh` one if there is none.
    pub fn with<R>(
        &self,
        key: K,
        now: u64,
        fresh: impl FnOnce() -> V,
        work: impl FnOnce(&mut V) -> R,
    ) -> R {
        let mut set = self.set(&key);
        if let Some((_, entry)) = set.iter_mut().find(|(it, _)| *it == key) {
            return work(entry);
        }
        if set.len() >= WAYS {
            set.retain(|(_, entry)| !entry.is_over(now));
        }
        if set.len() >= WAYS {
            let loose = set.iter().enumerate().filter(|(_, (_, it))| !it.is_pinned(now));
            if let Some((least, _)) = loose.min_by_key(|(_, (_, it))| it.worth()) {
                // In order, so that the oldest stands first.
                set.remove(least);
            }
        }
        let mut entry = fresh();
        let done = work(&mut entry);
        set.push((key, entry));
        done
    }

    /// Does `work` on the entry of `key`, if there is one.
    pub fn with_existing<R>(&self, key: &K, work: impl FnOnce(&mut V) -> R) -> Option<R> {
        let mut set = self.set(key);
        set.iter_mut().find(|(it, _)| it == key).map(|(_, entry)| work(entry))
    }

    /// Lets go of what is over, and of the room that it took.
    pub fn tidy(&self, now: u64) {
        for set in &self.sets {
            let mut set = lock(set);
            set.retain(|(_, entry)| !entry.is_over(now));
            if set.is_empty() {
                *set = Vec::new();
            }
        }
    }

    /// How many entries there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.sets.iter().map(|set| lock(set).len()).sum()
    }

    /// Adds up what `count` says of each entry.
    pub fn sum(&self, count: impl Fn(&V) -> usize) -> usize {
        let of_set =
            |set: &Mutex<Set<K, V>>| lock(set).iter().map(|(_, entry)| count(entry)).sum::<usize>();
        self.sets.iter().map(of_set).sum()
    }

    fn set(&self, key: &K) -> MutexGuard<'_, Set<K, V>> {
        let sets = self.sets.len() as u64;
        let place = usize::try_from(self.hasher.hash_one(key) % sets).unwrap_or(0);
        lock(&self.sets[place])
    }
}

fn lock<T>(set: &Mutex<T>) -> MutexGuard<'_, T> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}
