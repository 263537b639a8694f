//! The receipts that are not complete, in memory.

use super::{
    instances::{Instances, Name},
    judge::{self, Fate, Line},
};
use crate::authority::receipt::{InstanceReceipt, InstanceState, Receipt, ReceiptState};
use std::{
    collections::BTreeMap,
    mem::replace,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tegata_store::{ReceiptFor, ReceiptRow};
use tegata_token::{
    id::{Position, SigningKeyId},
    time::UnixTime,
};
use tokio::sync::watch;

mod listing;

/// Maximum number of receipts in memory. An instance that may use a stale view and is gone
/// keeps every receipt pending; the oldest of more are read from the store when asked for.
const MOST: usize = 2_000;

/// The receipts that are not complete.
pub struct Receipts {
    /// Followers never hold this lock.
    begun: Mutex<Begun>,
    /// Whether one of several servers lists each: see `exchange`.
    shared: AtomicBool,
    /// Changes when a commit has begun one.
    new: watch::Sender<()>,
    open: Mutex<Open>,
    /// Changes when an instance that a receipt waits for has acknowledged something, or is gone.
    news: watch::Sender<()>,
}

/// What commits have begun.
#[derive(Default)]
struct Begun {
    /// Not listed yet.
    rows: Vec<(ReceiptRow, Instant)>,
    /// The newest position with a receipt that this process has learned of.
    through: Option<Position>,
}

impl Begun {
    fn note(&mut self, rows: &[ReceiptRow]) {
        self.through = rows.iter().map(|it| it.position).max().max(self.through);
    }
}

struct Open {
    all: BTreeMap<Position, OpenReceipt>,
    /// By when this process has learned of every receipt that is not in memory, up to the newest
    /// that it has learned of.
    learned: Instant,
    /// Which instances know the pending signing key. No act waits for it, and it has no row.
    rollout: Option<(SigningKeyId, OpenReceipt)>,
}

impl Open {
    /// By when this process had learned of the receipt at a position.
    fn learned(&self, begun: &Begun, at: Position, now: Instant) -> Instant {
        let known = begun.rows.iter().find(|(row, _)| row.position == at).map(|(_, it)| *it);
        let known = known.or_else(|| self.all.get(&at).map(|it| it.learned));
        // Another server can have stored what this one has not applied yet.
        known.unwrap_or(if begun.through < Some(at) { now } else { self.learned })
    }
}

/// A receipt that is not complete, or not written yet.
#[derive(Clone)]
pub(super) struct OpenReceipt {
    row: ReceiptRow,
    /// When this process learned that the position was committed.
    learned: Instant,
    lines: Vec<Line>,
    /// Number of lines at the beginning that are settled, and stay so.
    settled: usize,
    /// Whether other servers must still learn the list.
    unstored: bool,
}

/// What became of a receipt.
pub(super) enum Judged {
    /// It is complete, or shown as it is.
    Shown(Receipt),
    /// It is not complete before an instance asks, is gone, or this time has passed.
    Waits(Option<Duration>),
}

impl OpenReceipt {
    /// A receipt of the store, whose position this process learned of by `learned`.
    pub fn new(row: ReceiptRow, learned: Instant, instances: &Instances) -> Self {
        let stored = row.list.as_deref().and_then(judge::read);
        let lines = stored.unwrap_or_else(|| instances.lines(row.about.provider));
        Self { row, learned, lines, settled: 0, unstored: false }
    }

    /// Whether no instance is left that could accept, by what is known now. It looks no further
    /// than at the first instance that could.
    fn is_complete(&mut self, instances: &Instances, now: Instant) -> bool {
        if self.row.complete {
            return true;
        }
        let since = now.saturating_duration_since(self.learned);
        let rest = self.lines.get_mut(self.settled..).unwrap_or_default();
        self.settled += instances.settle(rest, self.row.position, since);
        self.settled == self.lines.len()
    }

    /// Notes what is known of all instances by now.
    fn update(&mut self, instances: &Instances) {
        if !self.row.complete {
            instances.update(&mut self.lines, self.row.position);
        }
    }

    /// Shows the receipt if it is complete, or if `is_over`.
    pub fn judge(&mut self, instances: &Instances, now: Instant, is_over: bool) -> Judged {
        let is_complete = self.is_complete(instances, now);
        let since = now.saturating_duration_since(self.learned);
        if !is_complete && !is_over {
            let first = self.lines.get(self.settled);
            let left = first.and_then(|it| it.lease().checked_sub(since));
            return Judged::Waits(left.filter(|left| !left.is_zero()));
        }
        Judged::Shown(Receipt {
            state: if is_complete { ReceiptState::Complete } else { ReceiptState::Pending },
            position: self.row.position,
            effective_at: self.row.about.effective_at,
            provider: self.row.about.provider,
            verifiers: self.shown(instances, now),
        })
    }

    /// What is known of each instance by now.
    fn shown(&mut self, instances: &Instances, now: Instant) -> Vec<InstanceReceipt> {
        self.update(instances);
        let since = now.saturating_duration_since(self.learned);
        self.lines.iter().map(|line| line.shown(since)).collect()
    }

    /// The row to store, with what is known by now.
    fn row(&mut self, complete: bool, instances: &Instances, now: Instant) -> ReceiptRow {
        self.update(instances);
        let since = now.saturating_duration_since(self.learned);
        let mut lines = self.lines.clone();
        for line in &mut lines {
            // This process has measured it; another one would begin anew.
            if line.state(since) == InstanceState::LeaseExpired {
                line.fate = Fate::LeaseExpired;
            }
        }
        let list = judge::write(&lines);
        ReceiptRow { complete, list, ..self.row.clone() }
    }
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receipts {
    pub fn new(now: Instant) -> Self {
        let open = Open { all: BTreeMap::new(), learned: now, rollout: None };
        let (news, new) = (watch::Sender::new(()), watch::Sender::new(()));
        let shared = AtomicBool::new(false);
        Self { begun: Mutex::default(), shared, new, open: Mutex::new(open), news }
    }

    /// Begins the receipts of a commit.
    pub fn begin(&self, rows: &[ReceiptRow], now: Instant) {
        let pending = rows.iter().filter(|it| !it.complete).map(|it| (it.clone(), now));
        let mut begun = lock(&self.begun);
        begun.note(rows);
        begun.rows.extend(pending);
        drop(begun);
        if self.shared.load(Relaxed) {
            self.new.send_replace(());
        }
    }

    /// Takes in the receipts that the store knows as not complete.
    pub fn fill(
        &self,
        rows: Vec<ReceiptRow>,
        instances: &Instances,
        now: Instant,
        is_shared: bool,
    ) {
        self.shared.store(is_shared, Relaxed);
        let mut open = lock(&self.open);
        open.learned = now;
        let mut begun = lock(&self.begun);
        begun.note(&rows);
        // Those without a list may be about to be listed by another server.
        let (rows, unlisted): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|it| !is_shared || it.list.is_some());
        begun.rows.extend(unlisted.into_iter().map(|row| (row, now)));
        drop(begun);
        for row in rows {
            let position = row.position;
            open.all.entry(position).or_insert_with(|| OpenReceipt::new(row, now, instances));
        }
    }

    /// Lists the receipts that commits have begun.
    fn list(&self, instances: &Instances) -> MutexGuard<'_, Open> {
        let mut open = lock(&self.open);
        if self.shared.load(Relaxed) {
            return open;
        }
        let begun = std::mem::take(&mut lock(&self.begun).rows);
        for (row, learned) in begun {
            let receipt = OpenReceipt::new(row, learned, instances);
            open.all.insert(receipt.row.position, receipt);
        }
        open
    }

    /// The receipt at a position, if it is in memory.
    pub(super) fn judge(
        &self,
        at: Position,
        instances: &Instances,
        now: Instant,
        is_over: bool,
    ) -> Option<Judged> {
        let mut open = self.list(instances);
        open.all.get_mut(&at).map(|it| it.judge(instances, now, is_over))
    }

    /// Notes in every open receipt what is known of the instances, before some are dropped.
    pub fn update(&self, instances: &Instances) {
        self.list(instances).all.values_mut().for_each(|it| it.update(instances));
    }

    /// By when this process had learned of the receipt at a position: `now` if it has not yet.
    pub fn learned(&self, at: Position, now: Instant) -> Instant {
        lock(&self.open).learned(&lock(&self.begun), at, now)
    }

    /// The rows to store: of the receipts that are complete now, and of the oldest, if there
    /// are too many.
    pub fn to_store(&self, instances: &Instances, now: Instant) -> Vec<ReceiptRow> {
        let mut open = self.list(instances);
        let mut rows = Vec::new();
        for it in open.all.values_mut() {
            if it.is_complete(instances, now) {
                rows.push(it.row(true, instances, now));
            } else if it.unstored {
                rows.push(it.row(false, instances, now));
            }
        }
        let left = open.all.len() - rows.iter().filter(|it| it.complete).count();
        let complete: Vec<_> = rows.iter().map(|it| it.position).collect();
        let oldest = open.all.iter_mut().filter(|(at, _)| complete.binary_search(at).is_err());
        let too_many = oldest.take(left.saturating_sub(MOST));
        let too_many: Vec<_> = too_many.map(|(_, it)| it.row(false, instances, now)).collect();
        rows.extend(too_many);
        rows
    }

    /// Drops receipts whose rows were stored.
    pub fn stored(&self, rows: &[ReceiptRow], now: Instant) {
        let mut open = lock(&self.open);
        for row in rows {
            // One that other servers had to learn stays in memory.
            let was_new =
                open.all.get_mut(&row.position).map(|it| replace(&mut it.unstored, false));
            if row.complete || was_new != Some(true) {
                open.all.remove(&row.position);
            }
            if !row.complete && was_new != Some(true) {
                open.learned = now;
            }
        }
    }

    /// Notes in every open receipt what became of instances.
    pub(super) fn gone(&self, names: &[Name], fate: &Fate, instances: &Instances) {
        let mut open = self.list(instances);
        let Open { all, rollout, .. } = &mut *open;
        for receipt in all.values_mut().chain(rollout.iter_mut().map(|(_, it)| it)) {
            for line in &mut receipt.lines {
                let named = |(verifier, instance): &Name| {
                    line.verifier == *verifier && line.instance == *instance
                };
                let known = matches!(line.fate, Fate::Acknowledged { .. } | Fate::LeaseExpired);
                if !known && names.iter().any(named) {
                    line.fate = fate.clone();
                }
            }
        }
        drop(open);
        self.tell();
    }

    /// The instances that could still be fresh without the pending signing key, which the
    /// view at `position` has. The first call lists the instances: one that registers later
    /// gets a view with the key. A stale instance gives no answer about a token of an unknown
    /// key, whatever its `on_stale`, so its lease is enough.
    pub(super) fn without_key(
        &self,
        key: SigningKeyId,
        position: Position,
        instances: &Instances,
        now: Instant,
    ) -> Vec<InstanceReceipt> {
        let mut open = self.list(instances);
        let known = open.rollout.take().filter(|(of, _)| *of == key);
        let (_, receipt) = open.rollout.insert(known.unwrap_or_else(|| {
            let about = ReceiptFor { provider: None, effective_at: UnixTime(0) };
            let row = ReceiptRow { position, about, complete: false, list: None };
            (key, OpenReceipt::new(row, now, instances))
        }));
        let waits = |it: &InstanceReceipt| {
            matches!(it.state, InstanceState::Waiting | InstanceState::CannotApply)
        };
        receipt.shown(instances, now).into_iter().filter(waits).collect()
    }

    /// Lets those that wait for a receipt judge it again.
    pub fn tell(&self) {
        if self.news.receiver_count() > 0 {
            self.news.send_replace(());
        }
    }

    /// Completes when a receipt may have changed.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// The number of receipts that are not complete, as far as they are in memory.
    pub fn pending(&self) -> usize {
        lock(&self.open).all.len() + lock(&self.begun).rows.len()
    }
}
