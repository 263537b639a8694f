//! Follows the change log: what any server commits reaches this server's memory here, in
//! the order of its positions, and nowhere else.
//!
//! A round reads the head, the changes after those that memory has, their receipts and the
//! rows of the other servers, in one round trip. A task that needs what was committed before a
//! moment waits for a round that began after it; all who wait share the next one.

use super::{
    clock::DatabaseClock,
    connect::{Address, Client, Conn},
    failed::{Failed, within},
    guard::{self, GuardFile, Reached},
    jitter::Backoff,
    job::steady,
    journal::Journal,
    lease::Lease,
    memory::Memory,
    own_changes::OwnChanges,
    queue::{self, Committed, Queue},
    replicas,
    round::{MOST, Read, read},
    seen::Seen,
    waits::Waits,
    went_back::{self, WentBack},
};
use crate::{ReceiptRow, ReplicaRow};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tegata_token::id::Position;
use tokio::sync::{Notify, watch};

/// How often the log is read if nothing says that it grew.
const POLL: Duration = Duration::from_millis(250);
/// Maximum time of a round.
const ROUND: Duration = Duration::from_secs(2);
/// After how long, as this server measures it, the row of a server that has not renewed its
/// lease is dropped.
const SILENT: Duration = Duration::from_secs(10);
/// How often the guard's file is renewed, if there is anything new.
const GUARD: Duration = Duration::from_secs(1);

/// What the tasks of a store know together.
pub(super) struct Shared {
    /// This start's id.
    pub id: [u8; 16],
    pub lease: Lease,
    pub clock: DatabaseClock,
    /// Notified, the follower reads.
    wanted: Notify,
    /// Whether the log is known to have grown since the last round began.
    news: AtomicBool,
    /// The changes of this server's own acts.
    pub own: OwnChanges,
    /// Whether this server hears what the others say.
    pub hears: AtomicBool,
    /// Notified, this server acknowledges what was applied.
    pub applied: Notify,
    /// The acts that wait for other servers.
    pub waits: Waits,
    pub queue: Arc<Queue>,
    begun: AtomicU64,
    seen: watch::Sender<Seen>,
    stopped: watch::Sender<Option<Arc<str>>>,
    went_back: watch::Sender<Option<WentBack>>,
    /// Receipts that began without a change of the log.
    announced: Mutex<Vec<ReceiptRow>>,
}

impl Shared {
    pub fn new(id: [u8; 16], at: Position, queue: Arc<Queue>) -> Arc<Self> {
        let seen = Seen::at(at, steady());
        Arc::new(Self {
            id,
            lease: Lease::new(),
            clock: DatabaseClock::default(),
            wanted: Notify::new(),
            news: AtomicBool::new(true),
            own: OwnChanges::default(),
            hears: AtomicBool::new(false),
            applied: Notify::new(),
            waits: Waits::default(),
            queue,
            begun: AtomicU64::new(0),
            seen: watch::Sender::new(seen),
            stopped: watch::Sender::new(None),
            went_back: watch::Sender::new(None),
            announced: Mutex::default(),
        })
    }

    /// What the last round has read.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// How many rounds have begun.
    pub fn rounds(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// Whether memory has had every change up to `position` for that long.
    pub fn has_had(&self, position: Position, long: Duration) -> bool {
        self.seen.borrow().has_had(position, long, steady())
    }

    /// Lets the follower read, since the log has grown.
    pub fn grew(&self) {
        self.news.store(true, Ordering::SeqCst);
        self.wanted.notify_one();
    }

    /// Lets the follower read how far the others are.
    pub fn look(&self) {
        self.wanted.notify_one();
    }

    /// Lets the follower read what a transaction of this server has committed; returns how many
    /// rounds had begun by then.
    pub fn committed(&self, what: Committed) -> u64 {
        let rounds = self.begun.load(Ordering::SeqCst);
        match what {
            Committed::Known(None) => return rounds,
            Committed::Known(Some(numbers)) => self.own.add(numbers),
            Committed::Unknown => {}
        }
        self.grew();
        rounds
    }

    /// What a round has read that began after this call.
    pub async fn after_now(&self) -> Result<Seen, Failed> {
        self.after(self.begun.load(Ordering::SeqCst)).await
    }

    /// What a round has read that began when so many others had begun.
    pub async fn after(&self, before: u64) -> Result<Seen, Failed> {
        if let Some(why) = self.why_stopped() {
            return Err(Failed::Unavailable(why));
        }
        let mut seen = self.seen.subscribe();
        if self.begun.load(Ordering::SeqCst) <= before {
            self.wanted.notify_one();
        }
        let after = async {
            let found = seen.wait_for(|it| it.round > before).await;
            found.map(|it| it.clone()).map_err(|_| Failed::unavailable("the store is closed"))
        };
        let seen = within(ROUND, after).await?;
        match seen.failed {
            Some(why) => Err(why),
            None => Ok(seen),
        }
    }

    /// Waits until memory has every change up to `position`, which this server has committed.
    pub async fn applied(&self, position: Position) {
        let mut seen = self.seen.subscribe();
        // It fails when the store is closed, and then no answer comes from its memory.
        let _ = seen.wait_for(|it| it.applied >= position).await;
    }

    /// What rounds read, as each of them ends.
    pub fn watch(&self) -> watch::Receiver<Seen> {
        self.seen.subscribe()
    }

    /// Gives memory a receipt that began without a change of the log.
    pub fn announce(&self, receipt: ReceiptRow) {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner).push(receipt);
    }

    /// Serves nothing any more, since the database is older than this server has seen, but stays
    /// up: to start again would not help.
    pub fn go_back(&self, back: WentBack) {
        self.lease.end();
        self.queue.close();
        tracing::error!(why = %back.why, "this server answers 503 until the database is mended");
        self.went_back.send_replace(Some(back));
        self.wanted.notify_one();
    }

    /// Gives up: memory cannot be kept right, or the store is not the one that was opened.
    pub fn stop(&self, why: impl Into<Arc<str>>) {
        let why = why.into();
        self.lease.end();
        self.queue.close();
        tracing::error!(%why, "this server stops using the store");
        self.stopped.send_replace(Some(why));
    }

    /// Why the store is not used any more.
    pub fn why_stopped(&self) -> Option<Arc<str>> {
        let back = || self.went_back.borrow().as_ref().map(|it| it.why.clone());
        self.stopped.borrow().clone().or_else(back)
    }

    /// Completes when the store is not used any more.
    pub async fn stopped(&self) {
        let _ = self.stopped.subscribe().wait_for(Option::is_some).await;
    }
}

/// Why a round has failed.
enum Broken {
    /// The database did not answer: there is another round.
    Silent(Failed),
    /// The database is not what it was: there is none, and a start reads it anew.
    Lost(String),
    /// The database is older than this server has seen: there is none, and no start succeeds.
    Back(String),
}

impl From<Failed> for Broken {
    fn from(why: Failed) -> Self {
        Self::Silent(why)
    }
}

/// The follower's task.
pub(super) struct Follower {
    pub shared: Arc<Shared>,
    pub address: Address,
    pub memory: Memory,
    pub guard: Option<GuardFile>,
    /// How far this server has seen the database come.
    pub reached: Reached,
    pub journal: Option<Journal>,
    pub watched: BTreeMap<[u8; 16], (u64, Instant)>,
}

impl Follower {
    /// Runs until it is dropped.
    pub async fn run(mut self) {
        let (mut conn, mut backoff) = (None, Backoff::default());
        let mut guarded = steady();
        loop {
            // A timeout is the poll.
            let _ = tokio::time::timeout(POLL, self.shared.wanted.notified()).await;
            let round = self.shared.begun.fetch_add(1, Ordering::SeqCst) + 1;
            match self.attempt(&mut conn, &mut backoff).await {
                Ok(replicas) => {
                    self.shared.seen.send_modify(|seen| {
                        seen.round = round;
                        seen.failed = None;
                        seen.replicas = replicas;
                    });
                }
                Err(Broken::Silent(why)) => {
                    if self.shared.seen().failed.is_none() {
                        tracing::warn!(%why, "the log cannot be followed");
                    }
                    conn = None;
                    self.shared.seen.send_modify(|seen| {
                        seen.round = round;
                        seen.failed = Some(why);
                    });
                    tokio::time::sleep(Backoff::default().next()).await;
                }
                Err(Broken::Lost(why)) => return self.shared.stop(why),
                Err(Broken::Back(why)) => {
                    let why: Arc<str> = why.into();
                    self.shared.seen.send_modify(|seen| {
                        seen.round = round;
                        seen.failed = Some(Failed::Unavailable(why.clone()));
                    });
                    self.shared.go_back(WentBack { why, beat: None });
                }
            }
            let back = self.shared.went_back.borrow().clone();
            if let Some(back) = back {
                went_back::wait(&self.address, self.shared.id, self.reached, back.beat).await;
                return self.shared.stop(
                    "the database has what it lacked, or was recovered: this server starts again",
                );
            }
            if guarded.elapsed() >= GUARD {
                guarded = steady();
                self.guard = guard::renewed(self.guard).await;
            }
        }
    }

    async fn attempt(
        &mut self,
        conn: &mut Option<Conn>,
        backoff: &mut Backoff,
    ) -> Result<Arc<[ReplicaRow]>, Broken> {
        queue::connect(conn, &self.address, backoff).await?;
        let Some(open) = conn else { return Err(Failed::unavailable("no connection").into()) };
        let mut news = self.shared.news.swap(false, Ordering::SeqCst);
        loop {
            let applied = self.shared.seen.borrow().applied;
            let read = read(open, applied, self.journal.is_some(), news);
            let mut read = within(ROUND, read).await?;
            let more = read.changes.len() >= MOST;
            self.shared.clock.read(read.clock)?;
            self.write_journal(applied, &mut read).await?;
            let replicas = self.take_in(read).await?;
            news = true;
            if !more {
                self.take_announced().await?;
                self.drop_silent(open, &replicas).await?;
                return Ok(replicas);
            }
        }
    }

    /// Writes the lines of what memory gets next. Without them memory gets nothing, and the
    /// lease ends.
    async fn write_journal(&self, applied: Position, read: &mut Read) -> Result<(), Failed> {
        let (Some(journal), Some(last)) = (&self.journal, read.changes.last()) else {
            return Ok(());
        };
        let mut lines = std::mem::take(&mut read.lines);
        lines.retain(|it| it.commit.epoch == applied.epoch && it.commit.commit <= last.0);
        journal.write(lines).await.map_err(|why| {
            tracing::error!(%why, "the revocation journal cannot be written");
            Failed::unavailable(why.to_string())
        })
    }

    /// Checks what was read, and gives it to memory.
    async fn take_in(&mut self, read: Read) -> Result<Arc<[ReplicaRow]>, Broken> {
        let Read { head, log_from, audit, written_at, root_token, .. } = read;
        let Read { changes, receipts, mut replicas, .. } = read;
        let applied = self.shared.seen.borrow().applied;
        if head.epoch != applied.epoch {
            return Err(if head.epoch > applied.epoch {
                Broken::Lost("the store was recovered; start this server again".into())
            } else {
                Broken::Back(
                    "the database went back: it is from before a recovery that this server has \
                     seen. Nothing is served from it: name the newest database, or run tegata \
                     recover"
                        .into(),
                )
            });
        }
        if head.number < applied.number {
            let why = format!(
                "the database went back: its log ends at {}, and this server has seen {}. Nothing is \
                 served from it, since revocations may be lost: run tegata recover",
                head.number, applied.number
            );
            return Err(Broken::Back(why));
        }
        if audit < self.reached.audit {
            let why = format!(
                "the database went back: its audit ends at {audit}, and this server has seen {}. \
                 Nothing is served from it, since acts were lost: run tegata recover",
                self.reached.audit
            );
            return Err(Broken::Back(why));
        }
        if log_from > applied.number {
            let why = "the log does not reach back to what this server knows; start it again";
            return Err(Broken::Lost(why.into()));
        }
        let expected = applied.number + 1..;
        if !expected.zip(&changes).all(|(number, change)| change.0 == number) {
            return Err(Broken::Lost("the log has a gap; start this server again".into()));
        }
        // The head was read before the log, so the log reaches at least to it.
        let end = changes.last().map_or(applied.number, |it| it.0);
        if end < head.number && changes.len() < MOST {
            let why = "changes were dropped before this server had them; start it again";
            return Err(Broken::Lost(why.into()));
        }
        self.shared.seen.send_if_modified(|seen| {
            // Acts that wait need not look at each round twice.
            std::mem::replace(&mut seen.root_token, root_token) != root_token
        });
        for it in &mut replicas {
            it.own = it.id == self.shared.id;
        }
        let last = changes.last().map(|it| (it.0, it.1));
        let position = last.map_or(applied, |(number, _)| Position { number, ..applied });
        self.reached = Reached { position, audit };
        if let Some(guard) = &mut self.guard {
            guard.reached(self.reached);
        }
        let Some((_, at)) = last else { return Ok(replicas.into()) };
        let receipts = receipts.into_iter().filter(|it| it.position <= position).collect();
        let changes = changes.into_iter().map(|it| it.2).collect();
        let written_at = Some(written_at.max(at));
        let committed = crate::Committed { position, changes, receipts, written_at };
        self.memory.learn(committed).await.map_err(|why| Broken::Lost(why.into()))?;
        self.shared.seen.send_modify(|seen| seen.apply(position, steady()));
        let own = self.shared.own.take(applied.number, position.number);
        if replicas.len() > 1 && !own {
            self.shared.applied.notify_one();
        }
        Ok(replicas.into())
    }

    async fn take_announced(&self) -> Result<(), Broken> {
        let receipts = {
            let announced = self.shared.announced.lock();
            std::mem::take(&mut *announced.unwrap_or_else(PoisonError::into_inner))
        };
        if receipts.is_empty() {
            return Ok(());
        }
        let position = self.shared.seen().applied;
        let committed = crate::Committed { position, receipts, ..<_>::default() };
        self.memory.learn(committed).await.map_err(|why| Broken::Lost(why.into()))
    }

    /// Drops the rows of servers that have not renewed their leases for long.
    async fn drop_silent(&mut self, db: &Client, all: &[ReplicaRow]) -> Result<(), Failed> {
        let now = steady();
        self.watched.retain(|id, _| all.iter().any(|it| it.id == *id));
        for it in all.iter().filter(|it| !it.own) {
            let (beat, since) = self.watched.entry(it.id).or_insert((it.beat, now));
            if *beat != it.beat {
                (*beat, *since) = (it.beat, now);
            } else if now.duration_since(*since) >= SILENT {
                tracing::warn!(
                    address = it.address,
                    "a server has not renewed its lease; it is dropped"
                );
                within(ROUND, replicas::drop_at(db, it.id, it.beat)).await?;
            }
        }
        Ok(())
    }
}
