//! A server's memory of its store: the view, the channels, the time. Commits alone change
//! it; it answers no requests.

use crate::authority::{
    channels::Channels,
    clock::Clock,
    feed::{Feed, logged},
    people::People,
    verifiers::Verifiers,
};
use arc_swap::ArcSwap;
use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tegata_store::{Change, Committed, OnCommit, SigningKeyRow, State};
use tegata_token::{
    id::{ChannelId, Position, SigningKeyId},
    view::{Providers, View},
};

#[cfg(test)]
mod tests;

/// A server's memory of its store. It exists before the store is opened, since the store
/// reports its commits to it.
pub struct Memory {
    pub(super) view: ArcSwap<View>,
    pub(super) channels: Channels,
    /// The verification rates of the channels that have set one.
    pub(super) verify_rates: ArcSwap<HashMap<ChannelId, NonZeroU32>>,
    /// The signing keys as stored, revoked ones included.
    pub(super) signing_keys: ArcSwap<SigningKeys>,
    /// The verifiers, by their tokens.
    pub(super) verifiers: Verifiers,
    /// The people, by their ids and tokens.
    pub(super) people: People,
    pub(super) feed: Feed,
    pub(super) clock: Clock,
    /// Commits come one at a time; if they ever do not, this prevents a lost update.
    applying: Mutex<()>,
    /// How many commits wrote something.
    commits: AtomicU64,
    /// Commits that came before the state was read, which may have them; `None`: it was read.
    early: Mutex<Option<Vec<Committed>>>,
}

/// Signing keys by their ids.
pub(super) type SigningKeys = HashMap<SigningKeyId, SigningKeyRow>;

/// Maximum number of channel snapshots.
const CHANNELS: usize = 100_000;

impl Memory {
    /// An empty memory.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let clock = Clock::new();
        Arc::new(Self {
            feed: Feed::new(clock.steady()),
            view: ArcSwap::from_pointee(View::new(Providers::All)),
            channels: Channels::new(CHANNELS),
            verify_rates: ArcSwap::default(),
            signing_keys: ArcSwap::default(),
            verifiers: Verifiers::default(),
            people: People::default(),
            clock,
            applying: Mutex::new(()),
            commits: AtomicU64::new(0),
            early: Mutex::new(Some(Vec::new())),
        })
    }

    /// The function that the store calls with each commit.
    #[must_use]
    pub fn on_commit(self: &Arc<Self>) -> OnCommit {
        let memory = self.clone();
        Box::new(move |committed| {
            let mut early = memory.early.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *early {
                Some(early) => early.push(committed.clone()),
                None => {
                    drop(early);
                    memory.learn(committed);
                }
            }
        })
    }

    /// How many commits have written something, also those that the change log does not have.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Acquire)
    }

    /// Takes in a commit.
    fn learn(&self, committed: &Committed) {
        if let Some(time) = committed.written_at {
            self.clock.not_before(time);
        }
        self.apply(committed.position, &committed.changes);
        if !committed.receipts.is_empty() {
            self.feed.begin_receipts(&committed.receipts, self.clock.steady());
        }
        // Last: what is read after this number is at least as new as the commit.
        if committed.written_at.is_some() {
            self.commits.fetch_add(1, Ordering::Release);
        }
    }

    /// Loads the state of a store that was opened, and then the commits since, which other
    /// servers may have made while it was read.
    pub(super) fn fill(&self, state: &State) {
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        self.fill_with(state);
        for committed in early.take().into_iter().flatten() {
            self.learn(&committed);
        }
    }

    fn fill_with(&self, state: &State) {
        self.clock.set_offset(state.clock_offset);
        self.clock.begin_after(state.written_at);
        self.feed.fill(state);
        self.view.store(Arc::new(state.view.clone()));
        self.verifiers.fill(&state.verifiers);
        self.people.fill(&state.people);
        self.channels.add_known(&state.channels);
        self.verify_rates.store(Arc::new(state.verify_rates.iter().copied().collect()));
        let keys = state.signing_keys.iter().map(|it| (it.id, it.clone()));
        self.signing_keys.store(Arc::new(keys.collect()));
    }

    /// Applies changes of the log, the last of which is at `position`. This is the only
    /// way in which memory changes: the store calls it after each commit and before it
    /// confirms any act of that commit.
    fn apply(&self, position: Position, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        let _one_at_a_time = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that the state had when it was read are applied already.
        let known = self.view.load().position();
        let before = position.number.saturating_sub(changes.len() as u64);
        let ahead = if known.epoch == position.epoch { known.number } else { 0 };
        let (before, changes) = match usize::try_from(ahead.saturating_sub(before)) {
            Ok(again) if again < changes.len() => (before + again as u64, &changes[again..]),
            _ => return,
        };
        let before = Position { number: before, ..position };
        let place =
            |(n, change)| logged(Position { number: before.number + 1 + n, ..position }, change);
        let logged: Vec<_> = (0..).zip(changes).map(place).collect();
        let entries: Vec<_> = logged.iter().filter_map(|it| it.change.clone()).collect();
        self.feed.add(logged);
        self.view.store(Arc::new(self.view.load().after(&entries, position)));
        let mut touched = Vec::new();
        for change in changes {
            match change {
                Change::Channel { channel, verify_rate, .. } => {
                    touched.push((*channel, *verify_rate));
                }
                Change::SigningKey(key) => self.apply_key(key),
                Change::Empty { .. } => {}
                Change::Clock { offset } => self.clock.set_offset(*offset),
                Change::Verifier { verifier } => self.verifiers.insert(verifier),
                Change::VerifierDeleted { verifier } => self.verifiers.remove(*verifier),
                Change::InstanceRemoved { verifier, instance } => {
                    self.feed.removed(&[(*verifier, instance.clone())]);
                }
                Change::Person { .. }
                | Change::PersonDeleted { .. }
                | Change::Session { .. }
                | Change::SessionEnded { .. }
                | Change::AdminToken { .. }
                | Change::AdminTokenDeleted { .. } => {}
                Change::Tokens { channel, .. } => self.channels.changes().note(*channel),
            }
        }
        self.people.apply(changes);
        self.discard(touched);
        let of_verifiers =
            |it: &Change| matches!(it, Change::Verifier { .. } | Change::VerifierDeleted { .. });
        match changes.iter().any(of_verifiers) {
            true => self.feed.notify_all(),
            false => self.feed.notify(before, position),
        }
    }

    fn apply_key(&self, key: &SigningKeyRow) {
        let mut all = HashMap::clone(&self.signing_keys.load());
        all.insert(key.id, key.clone());
        self.signing_keys.store(Arc::new(all));
    }

    /// Drops the snapshots of channels that changed, and applies their verification
    /// rates.
    fn discard(&self, touched: Vec<(ChannelId, Option<NonZeroU32>)>) {
        if touched.is_empty() {
            return;
        }
        let channels: Vec<_> = touched.iter().map(|(channel, _)| *channel).collect();
        self.channels.add_known(&channels);
        channels.iter().for_each(|&channel| self.channels.drop(channel));
        let known = self.verify_rates.load();
        if touched.iter().any(|(channel, rate)| known.get(channel) != rate.as_ref()) {
            let mut rates = HashMap::clone(&known);
            for (channel, rate) in touched {
                match rate {
                    Some(rate) => rates.insert(channel, rate),
                    None => rates.remove(&channel),
                };
            }
            self.verify_rates.store(Arc::new(rates));
        }
    }
}
