//! What the tasks of a store know together.

use super::{
    clock::DatabaseClock,
    failed::{Failed, within},
    job::steady,
    lease::Lease,
    own_changes::{Committed, OwnChanges},
    queue::Queue,
    seen::Seen,
    waits::Waits,
    went_back::WentBack,
};
use crate::{ReceiptRow, ReplicaRow, RootTokenHash};
use std::{
    mem::take,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tegata_token::id::Position;
use tokio::sync::{Notify, watch};

/// Maximum time of a round of the follower.
pub(super) const ROUND: Duration = Duration::from_secs(2);

/// What the tasks of a store know together.
pub(super) struct Shared {
    /// This start's id.
    pub id: [u8; 16],
    pub lease: Lease,
    /// How often this server has renewed its lease in the database, as far as it knows: whatever has
    /// fewer renewals is a standby that is behind. 0: it has signed off.
    pub renewals: AtomicU64,
    pub clock: DatabaseClock,
    /// Notified, the follower reads the log, and how far the others are.
    wanted: Notify,
    /// Notified, the follower reads the log.
    grown: Notify,
    /// Notified, the follower gives memory what this server has committed.
    made: Notify,
    /// Whether the log is known to have grown since the last round began.
    news: AtomicBool,
    /// The changes of this server's own acts.
    pub own: OwnChanges,
    /// Whether this server receives the notifications of the others.
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
            lease: Lease::default(),
            renewals: AtomicU64::new(1),
            clock: DatabaseClock::default(),
            wanted: Notify::new(),
            grown: Notify::new(),
            made: Notify::new(),
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

    /// Up to where memory has the log.
    pub fn has(&self) -> Position {
        self.seen.borrow().applied
    }

    /// The number of the last change that is known to be committed: memory has it, or it is handed
    /// over.
    pub fn known(&self) -> u64 {
        self.own.last().max(self.has().number)
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
        self.grown.notify_one();
    }

    /// Lets the follower read how far the others are.
    pub fn look(&self) {
        self.wanted.notify_one();
    }

    /// Lets the follower look once all other servers say that they have the log up to
    /// `position`.
    pub fn look_if_all_have(&self, position: Position) {
        if self.waits.all_have(position, &self.seen.borrow().replicas) {
            self.look();
        }
    }

    /// Lets the follower take in what a transaction of this server has committed; returns how
    /// many rounds had begun by then.
    pub fn committed(&self, what: Committed) -> u64 {
        let rounds = self.rounds();
        match what {
            Committed::Nothing => {}
            Committed::Made(made) => {
                self.own.add(made);
                self.made.notify_one();
            }
            Committed::Unread => self.grew(),
        }
        rounds
    }

    /// What a round has read that began after this call.
    pub async fn after_now(&self) -> Result<Seen, Failed> {
        let before = self.rounds();
        if let Some(why) = self.why_stopped() {
            return Err(Failed::Unavailable(why));
        }
        let mut seen = self.seen.subscribe();
        if self.rounds() <= before {
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

/// What the follower does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A round.
    Round,
    /// It reads the log alone, for which no task waits.
    Log,
    /// It takes in what this server has committed.
    Own,
}

/// What the follower alone calls.
impl Shared {
    /// Waits until the follower has something to do, at most for `most`: then it is a round.
    pub async fn next(&self, most: Duration) -> Next {
        tokio::select! {
            biased;
            () = self.wanted.notified() => Next::Round,
            () = tokio::time::sleep(most) => Next::Round,
            () = self.grown.notified() => Next::Log,
            () = self.made.notified() => Next::Own,
        }
    }

    /// Lets the follower go on with what this server has committed.
    pub fn has_more_own(&self) {
        self.made.notify_one();
    }

    /// Begins a round; returns its number.
    pub fn begin_round(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Whether the log is known to have grown since this was asked last.
    pub fn take_news(&self) -> bool {
        self.news.swap(false, Ordering::SeqCst)
    }

    /// Notes what the round of that number has read, or why it has read nothing.
    pub fn end_round(&self, round: u64, read: Result<Arc<[ReplicaRow]>, Failed>) {
        self.seen.send_modify(|seen| {
            seen.round = round;
            match read {
                Ok(replicas) => (seen.failed, seen.replicas) = (None, replicas),
                Err(why) => seen.failed = Some(why),
            }
        });
    }

    /// Notes that memory has the log up to `position`.
    pub fn learned(&self, position: Position) {
        self.seen.send_modify(|seen| seen.apply(position, steady()));
    }

    /// Notes which root administrator's token is in force.
    pub fn in_force(&self, root_token: Option<RootTokenHash>) {
        self.seen.send_if_modified(|seen| {
            // Acts that wait need not look at each round twice.
            std::mem::replace(&mut seen.root_token, root_token) != root_token
        });
    }

    /// The receipts that memory gets without a change of the log.
    pub fn take_announced(&self) -> Vec<ReceiptRow> {
        take(&mut *self.announced.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What shows that the database went back, if it did.
    pub fn back(&self) -> Option<WentBack> {
        self.went_back.borrow().clone()
    }
}
