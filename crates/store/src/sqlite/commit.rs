//! The writer's loop: takes acts from the queue, runs them in one transaction, and
//! answers them after its commit.

use super::{
    guard::Reached,
    job::{Job, job, steady},
    lock::Fence,
    memory::Memory,
    rows::unavailable,
    tx::{Tx, not_logged},
};
use crate::{
    Committed, Error, OnCommit, Result,
    coming::{BATCH, are_enough},
    figures::Figures,
    journal::{Commit, Failed, JournalLine, RevocationJournal},
};
use rusqlite::{Connection, ErrorCode};
use std::{
    ops::ControlFlow,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tegata_token::{id::Position, time::UnixTime};
use tokio::{runtime::Handle, sync::mpsc};

/// How long the first act of a commit may wait for others that are on their way.
const GATHER: Duration = Duration::from_millis(5);

/// What the revocation journal holds of a commit that the store does not have, and the
/// act that does it again before any other.
pub(super) struct Redo {
    pub lines: Vec<JournalLine>,
    pub act: fn(&mut Tx<'_>, &[JournalLine]) -> Result<()>,
}

/// Reports to the rollback guard how far the store has come.
pub(super) type Tell = Box<dyn Fn(Reached) + Send>;

/// The state of the writer's thread.
pub(super) struct Loop {
    pub conn: Connection,
    pub fence: Fence,
    pub memory: Memory,
    pub journal: Option<RevocationJournal>,
    pub tell: Option<Tell>,
    pub on_commit: OnCommit,
    pub figures: Arc<Figures>,
    /// The runtime whose tasks wait for answers; `None` outside of one.
    pub runtime: Option<Handle>,
    /// Whether the last attempt to write failed.
    pub failing: bool,
}

/// The outcome of a transaction.
enum Fate {
    Committed,
    /// Rolled back, for a reason that concerns every act in it.
    RolledBack(Error),
    /// Rolled back, because of one act among others.
    Spoilt,
    /// Rolled back; the only act in it failed for a reason of its own.
    Invalid,
    /// Committed or not: this is unknown.
    Unknown(Error),
    /// Rolled back: another process serves from the store.
    Superseded(Error),
}

/// Takes the acts that wait in the queue, up to a full batch.
fn take(batch: &mut Vec<Box<dyn Job>>, jobs: &mut mpsc::Receiver<Box<dyn Job>>) {
    while batch.len() < BATCH
        && let Ok(next) = jobs.try_recv()
    {
        batch.push(next);
    }
}

/// Waits for acts that are on their way, as [`next_turn`] says.
fn gather(batch: &mut Vec<Box<dyn Job>>, jobs: &mut mpsc::Receiver<Box<dyn Job>>, it: &Figures) {
    let began = steady();
    loop {
        let before = batch.len();
        std::thread::yield_now();
        take(batch, jobs);
        let more = batch.len() > before;
        let waited = began.elapsed();
        match next_turn(batch.len(), more, it.coming.expected(), waited) {
            Turn::Commit => return,
            Turn::Look => {}
            Turn::Sleep => it.coming.wait(GATHER.saturating_sub(waited)),
        }
    }
}

/// What the writer does after it let other threads bring their acts.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Commit,
    Look,
    Sleep,
}

/// Waits as long as each turn of the other threads brings more acts, and until half of the
/// expected ones are here: a commit costs nearly the same for one act as for many. Only
/// half, so that the others are prepared while this commit waits for the disk. An act that
/// comes alone waits for nothing.
fn next_turn(here: usize, more: bool, expected: usize, waited: Duration) -> Turn {
    if here >= BATCH || waited >= GATHER {
        Turn::Commit
    } else if more {
        Turn::Look
    } else if are_enough(here, expected) {
        Turn::Commit
    } else {
        Turn::Sleep
    }
}

impl Loop {
    pub fn run(&mut self, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut batch = vec![first];
            take(&mut batch, &mut jobs);
            gather(&mut batch, &mut jobs, &self.figures);
            self.figures.coming.leave(batch.len());
            if self.serve(batch).is_break() {
                // Waiting tasks see that their channels are closed.
                return;
            }
        }
        // So that the next start finds a short log.
        drop(self.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)"));
    }

    /// Does what was logged and not committed, before any other act.
    pub fn redo(&mut self, Redo { lines, act }: Redo) -> Result<()> {
        let at = lines.last().map_or(UnixTime(0), |line| line.at);
        let (job, mut answer) = job(at, move |tx: &mut Tx<'_>| act(tx, &lines));
        // The answer reports a failure, too.
        let _ = self.serve(vec![job]);
        let none = || Error::Unavailable("the writer has stopped; see the log".into());
        answer.try_recv().map_err(|_| none())?.map(drop)
    }

    /// Runs a batch and answers every act in it; breaks if nothing can be written any
    /// more.
    fn serve(&mut self, mut batch: Vec<Box<dyn Job>>) -> ControlFlow<()> {
        let before = self.memory.head;
        let began = steady();
        for job in &batch {
            self.figures.waits.observe_time(began.duration_since(job.queued()));
        }
        match self.transact(&mut batch) {
            Fate::Committed => {
                self.failing &= !self.memory.wrote;
                if self.memory.wrote {
                    self.figures.commits.observe_time(steady().duration_since(began));
                    self.figures.batches.observe(batch.len() as u64);
                }
                self.publish();
                self.answer(batch, before);
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

    /// Answers the acts of a committed batch. On the runtime where their tasks wait,
    /// since each answer from here would notify the runtime by itself.
    fn answer(&self, batch: Vec<Box<dyn Job>>, before: Position) {
        let many = batch.len() > 1;
        let answer = move || batch.into_iter().for_each(|job| job.answer(Ok(before)));
        match &self.runtime {
            Some(runtime) if many => drop(runtime.spawn(async move { answer() })),
            _ => answer(),
        }
    }

    /// Runs a batch in one transaction, up to its commit.
    fn transact(&mut self, batch: &mut [Box<dyn Job>]) -> Fate {
        if let Err(error) = self.execute("BEGIN IMMEDIATE") {
            return self.roll_back(unavailable(error));
        }
        if let Some(fate) = self.superseded() {
            return fate;
        }
        if let Some(fate) = self.run_acts(batch) {
            return fate;
        }
        if self.memory.wrote
            && let Err(error) = self.memory.write_head(&self.conn)
        {
            return self.roll_back(unavailable(error));
        }
        match self.write_journal() {
            Ok(()) => self.commit(),
            Err(why @ Failed::NotWritten(_)) => self.roll_back(not_logged(&why)),
            // See `docs/decisions/0003`.
            Err(why @ Failed::Unknown(_)) => Fate::Unknown(not_logged(&why)),
        }
    }

    /// Runs the acts of a batch; an outcome if the transaction cannot be committed.
    fn run_acts(&mut self, batch: &mut [Box<dyn Job>]) -> Option<Fate> {
        let alone = batch.len() == 1;
        for job in batch {
            let now = job.time().max(self.memory.written_at);
            let changes = self.conn.total_changes();
            let before = self.memory.changes.len();
            let (memory, journal) = (&mut self.memory, self.journal.as_mut());
            let failing = self.failing;
            let mut tx = Tx { conn: &self.conn, now, before, memory, journal, failing };
            let (done, now) = (job.run(&mut tx), tx.now);
            if done {
                // An act that changed nothing needs no commit, and its time is not kept.
                if self.conn.total_changes() != changes {
                    self.memory.written_at = now;
                    self.memory.wrote = true;
                }
            } else if self.conn.is_autocommit() {
                let why = "the database ended the transaction by itself; is the disk full?";
                return Some(self.roll_back(Error::Unavailable(why.into())));
            } else if self.conn.total_changes() != changes {
                return Some(match self.roll_back(Error::Conflict("an act failed halfway")) {
                    Fate::RolledBack(_) if alone => Fate::Invalid,
                    Fate::RolledBack(_) => Fate::Spoilt,
                    unknown => unknown,
                });
            }
        }
        None
    }

    fn commit(&mut self) -> Fate {
        match self.execute("COMMIT") {
            Ok(()) => {
                self.journal.iter_mut().for_each(RevocationJournal::keep);
                if let Some(start) = self.memory.drew.take() {
                    self.fence.start = Some(start);
                }
                Fate::Committed
            }
            // Without room the commit's record is not whole, and the next commit
            // overwrites it.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                self.roll_back(unavailable(error))
            }
            Err(error) => Fate::Unknown(unavailable(error)),
        }
    }

    /// Whether another process serves from the store. Compared inside of the
    /// transaction, during which no other process can draw a start number.
    fn superseded(&mut self) -> Option<Fate> {
        match self.fence.lost(&self.conn) {
            Ok(None) => None,
            Ok(Some(lost)) => {
                // A transaction that cannot be rolled back ends with the process.
                let _ = self.execute("ROLLBACK");
                Some(Fate::Superseded(Error::Unavailable(lost.to_string().into())))
            }
            Err(why) => Some(self.roll_back(why)),
        }
    }

    /// Writes the batch's lines to the revocation journal: before the commit, so that
    /// the journal lacks no acknowledged revocation.
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

    /// Reads the memory again after a rollback, which it does not follow.
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

    /// Reports the commit to the store's owner, before any of its acts is answered.
    fn publish(&mut self) {
        let committed = Committed {
            position: self.memory.head,
            changes: std::mem::take(&mut self.memory.changes),
            receipts: std::mem::take(&mut self.memory.receipts),
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

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    #[test]
    fn a_commit_waits_until_half_of_the_expected_acts_are_here() {
        assert_eq!(next_turn(31, false, 64, SOON), Turn::Sleep);
        assert_eq!(next_turn(32, false, 64, SOON), Turn::Commit);
        assert_eq!(next_turn(32, true, 64, SOON), Turn::Look, "others are just arriving");
    }

    #[test]
    fn an_act_that_comes_alone_waits_for_nothing() {
        assert_eq!(next_turn(1, false, 1, Duration::ZERO), Turn::Commit);
        assert_eq!(next_turn(1, false, 0, Duration::ZERO), Turn::Commit, "it was not announced");
    }

    #[test]
    fn no_commit_waits_longer_than_its_time_or_grows_beyond_a_batch() {
        assert_eq!(next_turn(1, true, 1000, GATHER), Turn::Commit);
        assert_eq!(next_turn(BATCH, true, 10_000, SOON), Turn::Commit);
    }
}
