//! The acts that wait, and the workers that run them: each worker takes acts whose locks no
//! other worker holds, so that one busy channel holds up no other.

use super::{
    commit::Undone,
    connect::{Address, Conn},
    failed::Failed,
    jitter::Backoff,
    job::{Job, steady},
    locks::Key,
    own_changes::Committed,
    transaction::{self, Ground},
};
use crate::{Error, Result, figures::Figures};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// Maximum number of acts that wait.
const ROOM: usize = 4096;
/// Maximum number of acts in one transaction.
const BATCH: usize = 256;
/// Maximum number of acts on one channel in one transaction.
const WAVES: usize = 32;
/// The same if one of the acts is likely to make a change: then the authority's row is locked from
/// the first of them to the COMMIT, and the changes of all servers wait for each round trip between.
const CHANGING_WAVES: usize = 8;
/// So many acts that wait begin a transaction, whatever others are open.
const FULL: usize = 64;
/// So long an act waits at most for an open transaction to send its COMMIT.
const HOLD: Duration = Duration::from_millis(20);
/// How often an act that met another transaction, or whose connection is gone, is run again.
const AGAIN: usize = 8;
/// Maximum time to roll back; then the connection is closed, which does the same.
const ROLLBACK: Duration = Duration::from_secs(2);

/// The acts of a store that wait or run.
pub(super) struct Queue {
    inner: Mutex<Inner>,
    more: Notify,
    closed: AtomicBool,
    pub figures: Arc<Figures>,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Box<dyn Job>>,
    /// What the running transactions lock.
    busy: BTreeSet<Key>,
    /// How many transactions have not sent their COMMIT.
    open: usize,
}

impl Queue {
    pub fn new() -> Arc<Self> {
        let (inner, more) = (Mutex::default(), Notify::new());
        Arc::new(Self { inner, more, closed: AtomicBool::new(false), figures: Arc::default() })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an act.
    ///
    /// # Errors
    /// Too many wait.
    pub fn push(&self, job: Box<dyn Job>) -> Result<()> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::NotNow("this server is stopping. Nothing was changed".into()));
        }
        let mut inner = self.inner();
        if inner.waiting.len() >= ROOM {
            let why = "more acts wait for the database than this server takes. Nothing was \
                       changed; repeat the request in some seconds";
            return Err(Error::NotNow(why.into()));
        }
        inner.waiting.push_back(job);
        drop(inner);
        self.more.notify_one();
        Ok(())
    }

    /// How many acts wait.
    pub fn waiting(&self) -> usize {
        self.inner().waiting.len()
    }

    /// Takes no more acts, and drops those that wait.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.inner().waiting.clear();
    }

    /// Takes acts that can run now; waits until there are some. While a transaction is open, a
    /// few acts wait until it has sent its COMMIT: so they share one transaction with those that
    /// come meanwhile.
    async fn take(&self) -> (Vec<Box<dyn Job>>, Turn<'_>) {
        loop {
            let hold = {
                let mut inner = self.inner();
                let hold = inner.hold(steady());
                if hold.is_none() {
                    let batch = inner.take();
                    if !batch.is_empty() {
                        inner.open += 1;
                        drop(inner);
                        // Another worker looks at what is left.
                        self.more.notify_one();
                        return (batch, Turn(self));
                    }
                }
                hold
            };
            match hold {
                Some(left) => drop(tokio::time::timeout(left, self.more.notified()).await),
                None => self.more.notified().await,
            }
        }
    }

    /// Frees what a transaction has locked.
    fn free(&self, keys: &BTreeSet<Key>) {
        self.inner().busy.retain(|it| !keys.contains(it));
        self.more.notify_one();
    }
}

/// A transaction that has not sent its COMMIT, until this is dropped.
pub(super) struct Turn<'a>(&'a Queue);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.inner();
        inner.open = inner.open.saturating_sub(1);
        drop(inner);
        self.0.more.notify_one();
    }
}

impl Inner {
    /// How long the acts that wait may be held back for an open transaction.
    fn hold(&self, now: Instant) -> Option<Duration> {
        if self.open == 0 || self.waiting.len() >= FULL {
            return None;
        }
        let free = |it: &dyn Job| it.locks().keys().all(|key| !self.busy.contains(&key));
        let first = self.waiting.iter().find(|it| free(&***it))?;
        let left = HOLD.saturating_sub(now.saturating_duration_since(first.queued()));
        Some(left).filter(|it| !it.is_zero())
    }

    /// Takes the first act that can run now, and others that may share a transaction with it, so
    /// that no transaction on channels waits for a row by name.
    fn take(&mut self) -> Vec<Box<dyn Job>> {
        let mut batch: Vec<Box<dyn Job>> = Vec::new();
        let mut left = VecDeque::with_capacity(self.waiting.len());
        let mut held: BTreeMap<Key, usize> = BTreeMap::new();
        let mut passed = BTreeSet::new();
        let (mut changes, mut deepest) = (false, 0);
        while batch.len() < BATCH
            && let Some(job) = self.waiting.pop_front()
        {
            if job.is_abandoned() {
                continue;
            }
            let keys: Vec<_> = job.locks().keys().collect();
            let kin = batch.first().is_none_or(|it| it.locks().may_share(job.locks()));
            let will_change = changes || job.locks().expect_change();
            let most = if will_change { CHANGING_WAVES } else { WAVES };
            let free = |it: &Key| {
                let crowded = held.get(it).is_some_and(|&acts| acts >= most);
                !crowded && !self.busy.contains(it) && !passed.contains(it)
            };
            if kin && deepest <= most && keys.iter().all(free) {
                for it in keys {
                    let acts = held.entry(it).or_default();
                    *acts += 1;
                    deepest = deepest.max(*acts);
                }
                changes = will_change;
                batch.push(job);
            } else {
                // No later act on the same overtakes it.
                passed.extend(keys);
                left.push_back(job);
            }
        }
        left.append(&mut self.waiting);
        self.waiting = left;
        self.busy.extend(held.into_keys());
        batch
    }
}

/// Runs acts on a connection of its own.
pub(super) struct Worker {
    pub queue: Arc<Queue>,
    pub address: Address,
    pub ground: Arc<Ground>,
    /// Called after each commit; returns how many rounds of the follower had begun.
    pub committed: Arc<dyn Fn(Committed) -> u64 + Send + Sync>,
}

impl Worker {
    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut conn = None;
        let mut backoff = Backoff::default();
        loop {
            let (batch, turn) = self.queue.take().await;
            let keys: BTreeSet<_> = batch.iter().flat_map(|it| it.locks().keys()).collect();
            let _free = Free { queue: &self.queue, keys };
            if let Err(why) = connect(&mut conn, &self.address, &mut backoff).await {
                let why = Error::from(why);
                batch.into_iter().for_each(|job| job.answer(Err(why.clone())));
                continue;
            }
            self.serve(&mut conn, &mut backoff, batch, turn).await;
        }
    }

    /// Runs a batch; if it fails, each of its acts by itself.
    async fn serve(
        &self,
        conn: &mut Option<Conn>,
        backoff: &mut Backoff,
        mut batch: Vec<Box<dyn Job>>,
        turn: Turn<'_>,
    ) {
        let began = steady();
        for job in &batch {
            self.queue.figures.waits.observe_time(began.duration_since(job.queued()));
        }
        match self.attempt(conn, &mut batch, Some(turn)).await {
            Ok(()) => {}
            Err(why) if batch.len() == 1 && !matches!(why, Failed::Retry(_)) => {
                let why = Error::from(why);
                batch.into_iter().for_each(|job| job.answer(Err(why.clone())));
            }
            // Because of one act among others, of another transaction, or of a connection.
            Err(_) => {
                for job in batch {
                    self.alone(conn, backoff, job).await;
                }
            }
        }
    }

    /// Runs one act, again if it met another transaction or its connection is gone.
    async fn alone(&self, conn: &mut Option<Conn>, backoff: &mut Backoff, job: Box<dyn Job>) {
        let mut pauses = Backoff::default();
        let mut jobs = vec![job];
        for n in 0.. {
            if jobs.iter().any(|job| job.is_abandoned()) {
                return;
            }
            let result = match connect(conn, &self.address, backoff).await {
                Ok(()) => self.attempt(conn, &mut jobs, None).await,
                Err(why) => Err(why),
            };
            match result {
                Ok(()) => return,
                Err(Failed::Retry(_)) if n < AGAIN => {
                    tokio::time::sleep(pauses.next() / 8).await;
                }
                Err(why) => {
                    let why = Error::from(why);
                    jobs.drain(..).for_each(|job| job.answer(Err(why.clone())));
                    return;
                }
            }
        }
    }

    /// Runs acts in one transaction, and answers them if it is committed or unknown. An
    /// error: nothing was committed, and no act was answered.
    async fn attempt(
        &self,
        conn: &mut Option<Conn>,
        jobs: &mut Vec<Box<dyn Job>>,
        turn: Option<Turn<'_>>,
    ) -> std::result::Result<(), Failed> {
        let Some(open) = conn else { return Err(Failed::unavailable("there is no connection")) };
        let began = steady();
        let waves = waves(jobs);
        match transaction::run(open, &self.ground, jobs, &waves, turn).await {
            Ok((mut places, committed)) => {
                if places.iter().any(|it| it.wrote) {
                    self.queue.figures.commits.observe_time(steady().duration_since(began));
                    self.queue.figures.batches.observe(jobs.len() as u64);
                }
                let rounds = (self.committed)(committed);
                places.iter_mut().for_each(|it| it.rounds = rounds);
                jobs.drain(..).zip(places).for_each(|(job, place)| job.answer(Ok(place)));
                Ok(())
            }
            Err(Undone::Unknown(why)) => {
                tracing::error!(%why, acts = jobs.len(), "the outcome of a commit is unknown");
                *conn = None;
                (self.committed)(Committed::Unread);
                let why = Error::Unavailable(why);
                jobs.drain(..).for_each(|job| job.answer(Err(why.clone())));
                Ok(())
            }
            Err(Undone::NotCommitted(why)) => {
                self.queue.figures.rolled_back.fetch_add(1, Ordering::Relaxed);
                let rollback = open.batch_execute("ROLLBACK");
                let rolled_back = tokio::time::timeout(ROLLBACK, rollback).await;
                if !matches!(rolled_back, Ok(Ok(()))) || open.is_closed() {
                    *conn = None;
                }
                if let Failed::Unavailable(why) = &why {
                    tracing::warn!(%why, acts = jobs.len(), "a transaction was rolled back");
                }
                // Nothing refuses it but a connection that is gone. The acts are as good as before.
                let why = match (rolled_back, why) {
                    (Ok(Err(_)), Failed::Unavailable(why)) => Failed::Retry(why),
                    (_, why) => why,
                };
                Err(why)
            }
        }
    }
}

/// Makes sure that there is a connection. After a failure no other is attempted for a
/// moment: what comes meanwhile fails at once.
pub(super) async fn connect(
    conn: &mut Option<Conn>,
    address: &Address,
    backoff: &mut Backoff,
) -> std::result::Result<(), Failed> {
    if conn.as_ref().is_some_and(|it| !it.is_closed()) {
        return Ok(());
    }
    *conn = None;
    backoff.ready()?;
    match address.connect(None).await {
        Ok(opened) => {
            backoff.reset();
            *conn = Some(opened);
            Ok(())
        }
        Err(why) => {
            backoff.failed(&why);
            Err(why)
        }
    }
}

/// Divides acts into waves: no two of one wave have a key in common, and those that have are
/// in the order in which they came.
fn waves(jobs: &[Box<dyn Job>]) -> Vec<Vec<usize>> {
    let mut waves: Vec<(Vec<usize>, BTreeSet<Key>)> = Vec::new();
    for (n, job) in jobs.iter().enumerate() {
        let keys: Vec<_> = job.locks().keys().collect();
        let meets = |wave: &(Vec<usize>, BTreeSet<Key>)| keys.iter().any(|it| wave.1.contains(it));
        let at = waves.iter().rposition(meets).map_or(0, |last| last + 1);
        if at == waves.len() {
            waves.push(<_>::default());
        }
        waves[at].0.push(n);
        waves[at].1.extend(keys);
    }
    waves.into_iter().map(|it| it.0).collect()
}

/// Frees the locks' keys, also if the worker ends.
struct Free<'a> {
    queue: &'a Queue,
    keys: BTreeSet<Key>,
}

impl Drop for Free<'_> {
    fn drop(&mut self) {
        self.queue.free(&self.keys);
    }
}

#[cfg(test)]
mod tests;
