//! What a server holds in memory of its store: the view, the channels, the time. It
//! learns from commits alone, and answers nobody.

use crate::authority::{channels::Channels, clock::Clock};
use arc_swap::ArcSwap;
use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
};
use tegata_store::{Committed, OnCommit};
use tegata_token::{
    id::ChannelId,
    view::{Providers, View},
};

/// What a server holds in memory of its store. Made before the store is opened,
/// since the store must have somebody to tell of its commits.
pub struct Memory {
    pub(super) view: ArcSwap<View>,
    pub(super) channels: Channels,
    /// Of the channels that have set one.
    pub(super) check_rates: ArcSwap<HashMap<ChannelId, NonZeroU32>>,
    pub(super) clock: Clock,
    /// Commits come one by one; should they ever not, no entry may be lost.
    learning: Mutex<()>,
}

/// Room for so many channel snapshots.
const CHANNELS: usize = 100_000;

impl Memory {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            view: ArcSwap::from_pointee(View::new(Providers::All)),
            channels: Channels::new(CHANNELS),
            check_rates: ArcSwap::default(),
            clock: Clock::new(),
            learning: Mutex::new(()),
        })
    }

    /// What the store is to call with each commit.
    #[must_use]
    pub fn on_commit(self: &Arc<Self>) -> OnCommit {
        let memory = self.clone();
        Box::new(move |committed| memory.learn(committed))
    }

    /// Takes in what a commit changed. The store calls it after the commit and
    /// before any of the commit's answers.
    fn learn(&self, committed: &Committed) {
        let _one_at_a_time = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(time) = committed.written_at {
            self.clock.has_seen(time);
        }
        if !committed.entries.is_empty() {
            let next = self.view.load().after(&committed.entries, committed.position);
            self.view.store(Arc::new(next));
        }
        if !committed.channels.is_empty() {
            self.channels.know(&committed.channels);
        }
        committed.channels.iter().for_each(|&channel| self.channels.drop(channel));
        if !committed.check_rates.is_empty() {
            let mut rates = HashMap::clone(&self.check_rates.load());
            for &(channel, rate) in &committed.check_rates {
                match rate {
                    Some(rate) => rates.insert(channel, rate),
                    None => rates.remove(&channel),
                };
            }
            self.check_rates.store(Arc::new(rates));
        }
    }
}
