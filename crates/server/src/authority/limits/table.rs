//! A table whose size is bounded at its creation, whatever is written to it.
//!
//! A key belongs to one small set of entries, chosen by a hash that callers cannot
//! predict. When the set is full, expired entries are dropped, and else the one of the
//! least weight. So a flood of unauthenticated requests only pushes out entries of such
//! requests: pushing an entry out costs as much as creating a set's worth of entries of
//! more weight. The table does not depend on what it holds.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// An entry of a table.
pub trait TableEntry {
    /// Whether dropping it at `now`, in nanoseconds, changes nothing.
    fn is_expired(&self, now: u64) -> bool;
    /// Its weight; of equal ones the older one is dropped first.
    fn weight(&self) -> u64;
    /// Whether it stays until it is over, even if the table exceeds its size.
    fn is_pinned(&self, _now: u64) -> bool {
        false
    }
}

/// Entries per set.
const WAYS: usize = 16;

/// The keys of one set, the oldest first.
type Set<K, V> = Vec<(K, V)>;

/// The table.
pub struct Table<K, V> {
    sets: Box<[Mutex<Set<K, V>>]>,
    hasher: RandomState,
}

impl<K: Hash + Eq, V: TableEntry> Table<K, V> {
    /// A table of `most` entries, or up to 15 more.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let sets = (0..most.div_ceil(WAYS)).map(|_| Mutex::default()).collect();
        Self { sets, hasher: RandomState::new() }
    }

    /// Runs `work` on the entry of `key`, on a `fresh` one if there is none.
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
            set.retain(|(_, entry)| !entry.is_expired(now));
        }
        if set.len() >= WAYS {
            let loose = set.iter().enumerate().filter(|(_, (_, it))| !it.is_pinned(now));
            if let Some((least, _)) = loose.min_by_key(|(_, (_, it))| it.weight()) {
                // Keeps the order, so that the oldest stays first.
                set.remove(least);
            }
        }
        let mut entry = fresh();
        let done = work(&mut entry);
        set.push((key, entry));
        done
    }

    /// Runs `work` on the entry of `key`, if there is one.
    pub fn with_existing<R>(&self, key: &K, work: impl FnOnce(&mut V) -> R) -> Option<R> {
        let mut set = self.set(key);
        set.iter_mut().find(|(it, _)| it == key).map(|(_, entry)| work(entry))
    }

    /// Drops the entry of `key`, if there is one.
    pub fn remove(&self, key: &K) {
        self.set(key).retain(|(it, _)| it != key);
    }

    /// Drops the entries that are over, and frees their memory.
    pub fn tidy(&self, now: u64) {
        for set in &self.sets {
            let mut set = lock(set);
            set.retain(|(_, entry)| !entry.is_expired(now));
            if set.is_empty() {
                *set = Vec::new();
            }
        }
    }

    /// The number of entries.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.sets.iter().map(|set| lock(set).len()).sum()
    }

    /// The sum of `count` over all entries.
    pub fn sum(&self, count: impl Fn(&V) -> usize) -> usize {
        let of_set =
            |set: &Mutex<Set<K, V>>| lock(set).iter().map(|(_, entry)| count(entry)).sum::<usize>();
        self.sets.iter().map(of_set).sum()
    }

    fn set(&self, key: &K) -> MutexGuard<'_, Set<K, V>> {
        let sets = self.sets.len() as u64;
        let index = usize::try_from(self.hasher.hash_one(key) % sets).unwrap_or(0);
        lock(&self.sets[index])
    }
}

fn lock<T>(set: &Mutex<T>) -> MutexGuard<'_, T> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}
