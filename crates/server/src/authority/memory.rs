//! What a server holds in memory of its store: the view, the channels, the time. It
//! learns from commits alone, and answers nobody.

use crate::{channels::Channels, clock::Clock};
use arc_swap::ArcSwap;
use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
};
use tegata_store::{Change, OnCommit};
use tegata_token::{
    id::{ChannelId, Position},
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
        Box::new(move |committed| {
            if let Some(time) = committed.written_at {
                memory.clock.has_seen(time);
            }
            memory.apply(committed.position, &committed.changes);
        })
    }

    /// Takes in changes of the log, the last of which stands at `position`. This is the
    /// only way in which memory changes: the store calls it after each commit and before
    /// any of the commit's answers.
    fn apply(&self, position: Position, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        let _one_at_a_time = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        // A public half that is none cannot have been written.
        let entries: Vec<_> = changes.iter().filter_map(|it| it.entry().ok().flatten()).collect();
        self.view.store(Arc::new(self.view.load().after(&entries, position)));
        for change in changes {
            if let Change::Clock { offset } = change {
                self.clock.set_offset(*offset);
            }
        }
        let touched = changes.iter().filter_map(|change| match change {
            Change::Channel { channel, check_rate, .. } => Some((*channel, *check_rate)),
            Change::Tokens { .. } | Change::SigningKey(_) | Change::Clock { .. } => None,
        });
        let touched: Vec<_> = touched.collect();
        if touched.is_empty() {
            return;
        }
        let channels: Vec<_> = touched.iter().map(|(channel, _)| *channel).collect();
        self.channels.know(&channels);
        channels.iter().for_each(|&channel| self.channels.drop(channel));
        let known = self.check_rates.load();
        if touched.iter().any(|(channel, rate)| known.get(channel) != rate.as_ref()) {
            let mut rates = HashMap::clone(&known);
            for (channel, rate) in touched {
                match rate {
                    Some(rate) => rates.insert(channel, rate),
                    None => rates.remove(&channel),
                };
            }
            self.check_rates.store(Arc::new(rates));
        }
    }
}
