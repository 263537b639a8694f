//! The one writer: a thread that puts many acts into one commit.
//!
//! While a commit waits for the disk, requests queue up behind it and share the
//! next one. Every answer, a refusal too, waits for the commit, since it was read
//! from rows that the commit may not keep. An act that refuses has written
//! nothing; should one fail halfway, the whole batch is rolled back and its acts
//! are run again, each in a commit of its own, so that only that one fails. (A
//! savepoint around each act would do it too, at the price of copying every page
//! that any act touches.)
//!
//! When SQLite has ended the transaction by itself, or a commit's outcome is
//! unknown, nobody in the batch is told anything but "unknown". After an unknown
//! outcome nothing more is written: a log whose last write may or may not be on
//! the disk is only read again by a fresh start.

use super::{PATIENCE, guard::Reached, lock::Fence, rows::unavailable};
use crate::{
    Change, Committed, Error, OnCommit, Result, TRACES,
    figures::Figures,
    journal::{Commit, Failed, JournalEntry, JournalLine, RevocationJournal},
};
use rusqlite::{Connection, ErrorCode};
use std::{
    ops::ControlFlow,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::JoinHandle,
    time::Instant,
};
use tegata_policy::acts::StoredKey;
use tegata_token::{
    id::{ChannelId, Position, ProviderId},
    time::UnixTime,
};
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::timeout,
};
use tracing::Instrument;

/// Acts that may wait for the writer; more are refused at once.
const QUEUE: usize = 8192;
/// Acts in one commit at the most, so that none waits long behind the others.
const BATCH: usize = 256;

/// The way to the writer's thread.
pub(super) struct Writer {
    pub figures: Arc<Figures>,
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

/// What an act sees and does inside the batch's transaction.
pub(super) struct Tx<'a> {
    pub conn: &'a Connection,
    /// The later of the act's own time and the highest ever written.
    pub now: UnixTime,
    /// How many changes the acts before it in the batch appended.
    before: usize,
    memory: &'a mut Memory,
    journal: Option<&'a mut RevocationJournal>,
    /// Whether the last attempt to write came to nothing.
    failing: bool,
}

/// What the writer knows without asking. All of it is read from the database at
/// the start, and again after a transaction that did not come to its end.
struct Memory {
    head: Position,
    written_at: UnixTime,
    keys: Arc<[StoredKey]>,
    changes: Vec<Change>,
    commits: u64,
    last_revocation: u64,
    /// What the endings log is to hold of the batch.
    journal: Vec<JournalEntry>,
    /// The endings log holds this commit already.
    logged: bool,
    /// The start number that the batch drew.
    drew: Option<Vec<u8>>,
    wrote: bool,
}

/// What was logged for a commit that the store does not have, and the act that does it
/// once more, before any other.
pub(super) struct Redo {
    pub lines: Vec<JournalLine>,
    pub act: fn(&mut Tx<'_>, &[JournalLine]) -> Result<()>,
}

/// Who keeps the mark of how far the store has come.
pub(super) type Tell = Box<dyn Fn(Reached) + Send>;

trait Job: Send {
    fn time(&self) -> UnixTime;
    /// When it began to wait.
    fn queued(&self) -> Instant;
    /// Runs the act; `false` if it was refused or failed. May be run again in
    /// another transaction.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Sends the answer: of a commit that began at `before`, or else `why` there
    /// was none.
    fn answer(self: Box<Self>, before: std::result::Result<Position, &Error>);
}

struct Act<T, F> {
    at: UnixTime,
    queued: Instant,
    act: F,
    result: Option<Result<T>>,
    entries: usize,
    first: usize,
    reply: oneshot::Sender<Result<(T, Position)>>,
}

impl<T: Send, F: FnMut(&mut Tx<'_>) -> Result<T> + Send> Job for Act<T, F> {
    fn time(&self) -> UnixTime {
        self.at
    }

    fn queued(&self) -> Instant {
        self.queued
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        self.first = tx.memory.changes.len();
        let result = (self.act)(tx);
        self.entries = tx.memory.changes.len() - self.first;
        let done = result.is_ok();
        self.result = Some(result);
        done
    }

    fn answer(self: Box<Self>, before: std::result::Result<Position, &Error>) {
        let answer = match (before, self.result) {
            (Ok(before), Some(Ok(value))) => {
                // Its own last entry, or all that came before it in the batch.
                let number = before.number + (self.first + self.entries) as u64;
                Ok((value, Position { number, ..before }))
            }
            (Ok(_), Some(Err(refused))) => Err(refused),
            (Err(why), _) => Err(why.clone()),
            (Ok(_), None) => Err(Error::Unavailable("the act was not run".into())),
        };
        // Whoever asked may have gone; the act stands all the same.
        drop(self.reply.send(answer));
    }
}

impl Writer {
    /// Starts the thread on a connection that nobody else writes with.
    pub fn start(
        conn: Connection,
        fence: Fence,
        journal: Option<RevocationJournal>,
        redo: Option<Redo>,
        tell: Option<Tell>,
        on_commit: OnCommit,
    ) -> Result<Self> {
        let memory = Memory::read(&conn).map_err(unavailable)?;
        let (queue, jobs) = mpsc::channel(QUEUE);
        let figures = Arc::new(Figures::default());
        let own = figures.clone();
        let failing = false;
        let mut work =
            Loop { conn, fence, memory, journal, tell, on_commit, figures: own, failing };
        if let Some(redo) = redo {
            work.redo(redo)?;
        }
        let thread = std::thread::Builder::new()
            .name("tegata-writer".into())
            .spawn(move || work.run(jobs))
            .map_err(|error| Error::Unavailable(error.to_string().into()))?;
        Ok(Self { figures, queue: Some(queue), thread: Some(thread) })
    }

    /// Runs `act` inside the next commit; answers after it, with the place in the
    /// log of the act's last entry (or, of an act without one, the place up to
    /// which the log reached before it). `act` checks first and writes then, and
    /// does the same when it is run again.
    pub async fn act<T: Send + 'static>(
        &self,
        at: UnixTime,
        act: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<(T, Position)> {
        let stopped = || Error::Unavailable("the writer has stopped; see the log".into());
        let (reply, answer) = oneshot::channel();
        let job = Act { at, queued: steady(), act, result: None, entries: 0, first: 0, reply };
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.try_send(Box::new(job)).map_err(|error| match error {
            TrySendError::Full(_) => Error::Unavailable("too many acts wait for the disk".into()),
            TrySendError::Closed(_) => stopped(),
        })?;
        // Whoever waits no longer cannot know whether it was done: it may be yet.
        let too_slow = |_| Error::Unavailable("the disk takes too long".into());
        let span = tracing::info_span!(target: TRACES, "commit");
        let answer = timeout(PATIENCE, answer).instrument(span);
        answer.await.map_err(too_slow)?.map_err(|_| stopped())?
    }

    /// Makes the writer begin a transaction without an act: it ends if another process
    /// serves from the store.
    pub fn begin_one(&self) -> impl Fn() + Send + 'static {
        let queue = self.queue.as_ref().map(mpsc::Sender::downgrade);
        move || {
            let Some(queue) = queue.as_ref().and_then(mpsc::WeakSender::upgrade) else { return };
            let (reply, _) = oneshot::channel();
            let act = |_: &mut Tx<'_>| Err::<(), _>(Error::Conflict("there is nothing to do"));
            let at = UnixTime(0);
            let job = Act { at, queued: steady(), act, result: None, entries: 0, first: 0, reply };
            // Behind a full queue it looks with the next batch.
            let _ = queue.try_send(Box::new(job));
        }
    }

    /// How many acts wait in the queue.
    pub fn waiting(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.max_capacity() - queue.capacity())
    }

    /// Comes back once the writer has given up.
    pub async fn stopped(&self) {
        if let Some(queue) = &self.queue {
            queue.closed().await;
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // It ends once the queue is empty; a panic there was logged there.
            drop(thread.join());
        }
    }
}

/// Time to measure by; it decides nothing.
#[expect(clippy::disallowed_methods, reason = "measured, never decided by")]
fn steady() -> Instant {
    Instant::now()
}

struct Loop {
    conn: Connection,
    fence: Fence,
    memory: Memory,
    journal: Option<RevocationJournal>,
    tell: Option<Tell>,
    on_commit: OnCommit,
    figures: Arc<Figures>,
    /// Whether the last attempt to write came to nothing.
    failing: bool,
}

/// How a transaction ended.
enum Fate {
    Committed,
    /// Nothing of it happened, for a reason that is everybody's.
    RolledBack(Error),
    /// Nothing of it happened, because of one act among others.
    Spoilt,
    /// Nothing of the one act in it happened, for a reason of its own.
    Invalid,
    /// Nobody knows.
    Unknown(Error),
    /// Nothing of it happened: another process serves from the store.
    Superseded(Error),
}

impl Loop {
    fn run(&mut self, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Ok(next) = jobs.try_recv()
            {
                batch.push(next);
            }
            if self.serve(batch).is_break() {
                // Those who wait already learn it from their closed channels.
                return;
            }
        }
        // The last one out leaves a short log behind.
        drop(self.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)"));
    }

    /// Does what was logged and not committed, before anybody asks for anything.
    fn redo(&mut self, Redo { lines, act }: Redo) -> Result<()> {
        let (reply, mut answer) = oneshot::channel();
        let at = lines.last().map_or(UnixTime(0), |line| line.at);
        let act = move |tx: &mut Tx<'_>| act(tx, &lines);
        let job = Act { at, queued: steady(), act, result: None, entries: 0, first: 0, reply };
        // Whether it breaks says the answer, too.
        let _ = self.serve(vec![Box::new(job)]);
        let none = || Error::Unavailable("the writer has stopped; see the log".into());
        answer.try_recv().map_err(|_| none())?.map(drop)
    }

    /// Runs a batch and answers everybody in it; breaks if nothing can be written
    /// any more.
    fn serve(&mut self, mut batch: Vec<Box<dyn Job>>) -> ControlFlow<()> {
        let before = self.memory.head;
        let began = steady();
        for job in &batch {
            self.figures.waits.observe_time(began.duration_since(job.queued()));
        }
        match self.commit(&mut batch) {
            Fate::Committed => {
                self.failing &= !self.memory.wrote;
                if self.memory.wrote {
                    self.figures.commits.observe_time(steady().duration_since(began));
                    self.figures.batches.observe(batch.len() as u64);
                }
                self.publish();
                batch.into_iter().for_each(|job| job.answer(Ok(before)));
                ControlFlow::Continue(())
            }
            Fate::RolledBack(why) => {
                self.failing = true;
                self.figures.rolled_back.fetch_add(1, Relaxed);
                batch.into_iter().for_each(|job| job.answer(Err(&why)));
                self.remember()
            }
            Fate::Invalid => {
                batch.into_iter().for_each(|job| job.answer(Ok(before)));
                self.remember()
            }
            Fate::Spoilt => {
                self.remember()?;
                batch.into_iter().try_for_each(|job| self.serve(vec![job]))
            }
            Fate::Unknown(why) => {
                tracing::error!(%why, acts = batch.len(),
                    "the outcome of a commit is unknown; nothing more is written. Mend the disk and start again");
                batch.into_iter().for_each(|job| job.answer(Err(&why)));
                ControlFlow::Break(())
            }
            Fate::Superseded(why) => {
                tracing::error!(%why, acts = batch.len(),
                    "nothing more is written. Stop the other process first, or give this one a --store of its own");
                batch.into_iter().for_each(|job| job.answer(Err(&why)));
                ControlFlow::Break(())
            }
        }
    }

    fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> Fate {
        if let Err(error) = self.execute("BEGIN IMMEDIATE") {
            return self.roll_back(unavailable(error));
        }
        if let Some(fate) = self.superseded() {
            return fate;
        }
        let alone = batch.len() == 1;
        for job in batch.iter_mut() {
            let now = job.time().max(self.memory.written_at);
            let changes = self.conn.total_changes();
            let before = self.memory.changes.len();
            let (memory, journal) = (&mut self.memory, self.journal.as_mut());
            let failing = self.failing;
            let mut tx = Tx { conn: &self.conn, now, before, memory, journal, failing };
            let (done, now) = (job.run(&mut tx), tx.now);
            if done {
                // An act that did nothing needs no commit, and its time is not kept.
                if self.conn.total_changes() != changes {
                    self.memory.written_at = now;
                    self.memory.wrote = true;
                }
            } else if self.conn.is_autocommit() {
                let why = "the database ended the transaction by itself; is the disk full?";
                return self.roll_back(Error::Unavailable(why.into()));
            } else if self.conn.total_changes() != changes {
                return match self.roll_back(Error::Conflict("an act failed halfway")) {
                    Fate::RolledBack(_) if alone => Fate::Invalid,
                    Fate::RolledBack(_) => Fate::Spoilt,
                    unknown => unknown,
                };
            }
        }
        if self.memory.wrote
            && let Err(error) = self.memory.write_head(&self.conn)
        {
            return self.roll_back(unavailable(error));
        }
        match self.write_journal() {
            Ok(()) => {}
            Err(why @ Failed::NotWritten(_)) => return self.roll_back(not_logged(&why)),
            // See `docs/decisions/0003`.
            Err(why @ Failed::Unknown(_)) => return Fate::Unknown(not_logged(&why)),
        }
        match self.execute("COMMIT") {
            Ok(()) => {
                self.journal.iter_mut().for_each(RevocationJournal::keep);
                if let Some(start) = self.memory.drew.take() {
                    self.fence.start = Some(start);
                }
                Fate::Committed
            }
            // Without room the commit's record is not whole, and the next
            // commit writes over it.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                self.roll_back(unavailable(error))
            }
            Err(error) => Fate::Unknown(unavailable(error)),
        }
    }

    /// Whether the store is another process's now. Asked inside the transaction: until
    /// its end no other process can draw a start number.
    fn superseded(&mut self) -> Option<Fate> {
        match self.fence.lost(&self.conn) {
            Ok(None) => None,
            Ok(Some(lost)) => {
                // What cannot be rolled back ends with the process.
                let _ = self.execute("ROLLBACK");
                Some(Fate::Superseded(Error::Unavailable(lost.to_string().into())))
            }
            Err(why) => Some(self.roll_back(why)),
        }
    }

    /// Before the commit, so that no ending is acknowledged that the log lacks.
    fn write_journal(&mut self) -> std::result::Result<(), Failed> {
        let Memory { head, commits, written_at, .. } = self.memory;
        match &mut self.journal {
            Some(log) if !self.memory.journal.is_empty() => {
                let commit = Commit { epoch: head.epoch, commit: commits };
                log.append(commit, written_at, &self.memory.journal)
            }
            _ => Ok(()),
        }
    }

    fn roll_back(&mut self, why: Error) -> Fate {
        self.journal.iter_mut().for_each(RevocationJournal::take_back);
        if !self.conn.is_autocommit() && self.execute("ROLLBACK").is_err() {
            return Fate::Unknown(why);
        }
        if !matches!(why, Error::Conflict(_)) {
            tracing::error!(%why, "a batch was rolled back");
        }
        Fate::RolledBack(why)
    }

    /// After a rollback: what was remembered may have come from the batch.
    fn remember(&mut self) -> ControlFlow<()> {
        match Memory::read(&self.conn) {
            Ok(memory) => {
                self.memory = memory;
                ControlFlow::Continue(())
            }
            Err(error) => {
                tracing::error!(%error, "the store cannot be read; nothing more is written");
                ControlFlow::Break(())
            }
        }
    }

    /// Tells the owner, before anybody else hears of the commit.
    fn publish(&mut self) {
        let committed = Committed {
            position: self.memory.head,
            changes: std::mem::take(&mut self.memory.changes),
            written_at: self.memory.wrote.then_some(self.memory.written_at),
        };
        if let Some(tell) = self.tell.as_ref().filter(|_| self.memory.wrote) {
            tell(Reached { position: self.memory.head, commits: self.memory.commits });
        }
        self.memory.journal.clear();
        (self.memory.wrote, self.memory.logged) = (false, false);
        (self.on_commit)(&committed);
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.conn.prepare_cached(sql)?.execute([]).map(drop)
    }
}

impl Memory {
    fn read(conn: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT epoch, position, written_at, commits, last_revocation FROM authority";
        let (epoch, number, written_at, commits, last_revocation) =
            conn.query_row(sql, [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })?;
        Ok(Self {
            head: Position { epoch, number },
            written_at: UnixTime(written_at),
            keys: read_keys(conn)?,
            changes: Vec::new(),
            commits,
            last_revocation,
            journal: Vec::new(),
            logged: false,
            drew: None,
            wrote: false,
        })
    }

    /// Appends the batch's changes to the log: one range of positions, taken
    /// once, last of all, so that commit order is position order.
    fn write_head(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let mut log = conn.prepare_cached(
            "INSERT INTO change_log (number, at, provider, channel, change)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for change in &self.changes {
            self.head.number += 1;
            let (provider, channel) = change.about().unzip();
            let (provider, channel) =
                (provider.map(ProviderId::number), channel.map(ChannelId::number));
            let body = super::rows::json(change);
            log.execute((self.head.number, self.written_at.0, provider, channel, body))?;
        }
        self.commits += 1;
        if !self.journal.is_empty() || self.logged {
            self.last_revocation = self.commits;
        }
        conn.prepare_cached(
            "UPDATE authority
             SET epoch = ?1, position = ?2, written_at = ?3, commits = ?4, last_revocation = ?5",
        )?
        .execute((
            self.head.epoch,
            self.head.number,
            self.written_at.0,
            self.commits,
            self.last_revocation,
        ))
        .map(drop)
    }
}

fn not_logged(why: &Failed) -> Error {
    Error::Unavailable(why.to_string().into())
}

fn read_keys(conn: &Connection) -> rusqlite::Result<Arc<[StoredKey]>> {
    super::rows::signing_keys(conn).map(Arc::from)
}

/// Runs one statement that changes rows.
pub(super) fn write(tx: &Tx<'_>, sql: &str, values: impl rusqlite::Params) -> Result<usize> {
    tx.conn.prepare_cached(sql).and_then(|mut it| it.execute(values)).map_err(unavailable)
}

/// As [`write`], where a unique name may be taken already.
pub(super) fn insert(tx: &Tx<'_>, sql: &str, values: impl rusqlite::Params) -> Result<()> {
    let done = tx.conn.prepare_cached(sql).and_then(|mut it| it.execute(values));
    match done {
        Ok(_) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(Error::Taken)
        }
        Err(error) => Err(unavailable(error)),
    }
}

impl Tx<'_> {
    /// Appends an act's changes to the log, and its lines to the endings log.
    pub fn log(&mut self, changes: Vec<Change>, lines: Vec<JournalEntry>) {
        self.memory.journal.extend(lines);
        self.memory.changes.extend(changes);
    }

    /// Appends one change to the log, and what it takes away to the endings log.
    pub fn change(&mut self, change: Change) {
        self.log(Vec::new(), change.line().into_iter().collect());
        self.memory.changes.push(change);
    }

    /// Finds out whether acts can be committed. While the last one could, nothing is
    /// written for it: a probe must not keep the disk of an idle server busy.
    pub fn probe(&self) -> Result<()> {
        if !self.failing {
            return Ok(());
        }
        let sql = "UPDATE authority SET commits = commits";
        self.conn.execute(sql, []).map(drop).map_err(unavailable)
    }

    /// The highest time that was written before this batch.
    pub fn written_at(&self) -> UnixTime {
        self.memory.written_at
    }

    /// Whether an ending could be logged now; `false`: no log is kept.
    pub fn try_revocation_journal(&mut self) -> Result<bool> {
        let Memory { head, commits, written_at, .. } = *self.memory;
        let last = Commit { epoch: head.epoch, commit: commits };
        let Some(log) = &mut self.journal else { return Ok(false) };
        log.try_out(last, written_at).map(|()| true).map_err(|why| not_logged(&why))
    }

    /// Begins a new life of the store, in which the log is empty: none that it had,
    /// nor one up to `seen`.
    pub fn begin_epoch(&mut self, seen: u64) {
        let last = self.memory.head.epoch.max(seen);
        self.memory.head = Position { epoch: last + 1, number: 0 };
    }

    /// What was noted for the endings log stands there already.
    pub fn forget_journal(&mut self) {
        self.memory.journal.clear();
    }

    /// This commit stands in the endings log as a whole.
    pub fn is_logged(&mut self) {
        self.memory.journal.clear();
        self.memory.logged = true;
    }

    /// Notes that the store bears another start number with this act.
    pub fn drew(&mut self, start: Vec<u8>) {
        self.memory.drew = Some(start);
    }

    /// The signing keys as they stand.
    pub fn keys(&self) -> &Arc<[StoredKey]> {
        &self.memory.keys
    }

    /// Reads the signing keys again, after a change of them.
    pub fn reread_keys(&mut self) -> Result<()> {
        self.memory.keys = read_keys(self.conn).map_err(unavailable)?;
        Ok(())
    }

    /// The place of the last entry of all commits so far.
    pub fn head(&self) -> Position {
        self.memory.head
    }

    /// The place of this act's last change, if it has appended any so far.
    pub fn position(&self) -> Option<Position> {
        let changes = self.memory.changes.len();
        let Position { epoch, number } = self.memory.head;
        (changes > self.before).then(|| Position { epoch, number: number + changes as u64 })
    }
}
