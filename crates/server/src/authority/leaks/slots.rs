//! How many reports are read at once.

use crate::authority::{limits::network_of, source::Source};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Reports of one sort that are read at once, of up to 1 MiB each.
const AT_ONCE: usize = 32;

/// Those of them from one network: a client that sends its reports slowly keeps out no other.
const OF_A_NETWORK: usize = 8;

/// The networks whose reports are read, with the number of them.
#[derive(Debug, Default)]
pub struct Slots(Mutex<HashMap<IpAddr, usize>>);

impl Slots {
    /// Takes a slot; `None`: all are taken, or all that one network may take.
    pub fn take(self: &Arc<Self>, source: Source) -> Option<Slot> {
        let network = network_of(source.0);
        let mut taken = self.lock();
        let own = taken.get(&network).copied().unwrap_or(0);
        if own >= OF_A_NETWORK || taken.values().sum::<usize>() >= AT_ONCE {
            return None;
        }
        taken.insert(network, own + 1);
        drop(taken);
        Some(Slot { of: self.clone(), network })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One report that is read. It is free when this is dropped.
#[derive(Debug)]
pub struct Slot {
    of: Arc<Slots>,
    network: IpAddr,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.of.lock();
        if let Some(own) = taken.get_mut(&self.network) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(last: u8) -> Source {
        Source(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn one_network_leaves_slots_to_others_and_gets_its_own_back() {
        let slots = Arc::new(Slots::default());
        let mut own: Vec<_> = (0..OF_A_NETWORK).map(|_| slots.take(from(1)).unwrap()).collect();
        assert!(slots.take(from(1)).is_none());
        assert!(slots.take(from(2)).is_some());
        own.pop();
        assert!(slots.take(from(1)).is_some());
    }

    #[test]
    fn the_slots_of_all_networks_are_bounded_and_nothing_is_kept_of_them() {
        let slots = Arc::new(Slots::default());
        let all: Vec<_> = (0..40).map_while(|last| slots.take(from(last))).collect();
        assert_eq!(all.len(), AT_ONCE);
        drop(all);
        assert!(slots.lock().is_empty());
    }
}
