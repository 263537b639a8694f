//! The one writer: a thread that puts many acts into one commit.
//!
//! While a commit waits for the disk, requests queue up behind it and share the
//! next one. Each act runs under a savepoint of its own, so that one which fails
//! leaves no trace among its neighbours; every answer, a refusal too, waits for
//! the commit, since it was read from rows that the commit may not keep.
//!
//! When SQLite has rolled the transaction back by itself, or a commit's outcome
//! is unknown, nobody in the batch is told anything but "unknown". After an
//! unknown outcome nothing more is written: a log whose last write may or may
//! not be on the disk is only read again by a fresh start.

use super::rows::unavailable;
use crate::{Committed, Error, OnCommit, Result};
use rusqlite::{Connection, ErrorCode};
use std::thread::JoinHandle;
use tegata_token::{
    id::{ChannelId, Position, SigningKeyId},
    key::KeyState,
    time::UnixTime,
    view::Entry,
};
use tokio::sync::{mpsc, oneshot};

/// Acts that may wait for the writer; more wait for a place among them.
const QUEUE: usize = 1024;
/// Acts in one commit at the most, so that none waits long behind the others.
const BATCH: usize = 256;

/// The way to the writer's thread.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

/// What an act sees and does inside the batch's transaction.
pub(super) struct Tx<'a> {
    pub conn: &'a Connection,
    /// The later of the act's own time and the highest ever written.
    pub now: UnixTime,
    memory: &'a mut Memory,
}

/// A signing key as issuing needs it.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyRow {
    pub number: i64,
    pub id: SigningKeyId,
    pub state: KeyState,
}

/// What the writer knows without asking. All of it is read from the database at
/// the start, and again after a transaction that did not come to its end.
struct Memory {
    head: Position,
    written_at: UnixTime,
    keys: Vec<KeyRow>,
    entries: Vec<Entry>,
    channels: Vec<ChannelId>,
    wrote: bool,
}

trait Job: Send {
    fn time(&self) -> UnixTime;
    /// Runs the act; `false` if it failed and must leave no trace.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Sends the answer; `None` if the batch's fate is not a commit.
    fn answer(self: Box<Self>, head: Option<Position>, why: &Error);
}

struct Act<T, F> {
    at: UnixTime,
    act: Option<F>,
    result: Option<Result<T>>,
    entries: usize,
    first: usize,
    reply: oneshot::Sender<Result<(T, Position)>>,
}

impl<T: Send, F: FnOnce(&mut Tx<'_>) -> Result<T> + Send> Job for Act<T, F> {
    fn time(&self) -> UnixTime {
        self.at
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        self.first = tx.memory.entries.len();
        let result = self.act.take().map(|act| act(tx));
        self.entries = tx.memory.entries.len() - self.first;
        self.result = result;
        matches!(self.result, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, before: Option<Position>, why: &Error) {
        let answer = match (before, self.result) {
            (Some(before), Some(Ok(value))) => {
                // Its own last entry, or all that came before it in the batch.
                let number = before.number + (self.first + self.entries) as u64;
                Ok((value, Position { number, ..before }))
            }
            (Some(_), Some(Err(refused))) => Err(refused),
            _ => Err(why.clone()),
        };
        // Whoever asked may have gone; the act stands all the same.
        drop(self.reply.send(answer));
    }
}

impl Writer {
    /// Starts the thread on a connection that nobody else writes with.
    pub fn start(conn: Connection, on_commit: OnCommit) -> Result<Self> {
        let memory = Memory::read(&conn).map_err(unavailable)?;
        let (queue, jobs) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("tegata-writer".into())
            .spawn(move || Loop { conn, memory, on_commit }.run(jobs))
            .map_err(|error| Error::Unavailable(error.to_string().into()))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Runs `act` inside the next commit; answers after it, with the place in the
    /// log of the act's last entry (or, of an act without one, the place up to
    /// which the log reached before it).
    pub async fn act<T: Send + 'static>(
        &self,
        at: UnixTime,
        act: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<(T, Position)> {
        let stopped = || Error::Unavailable("the writer has stopped; see the log".into());
        let (reply, answer) = oneshot::channel();
        let job = Act { at, act: Some(act), result: None, entries: 0, first: 0, reply };
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(Box::new(job)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
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

struct Loop {
    conn: Connection,
    memory: Memory,
    on_commit: OnCommit,
}

/// How a batch ended.
enum Fate {
    Committed,
    /// Nothing of it happened.
    RolledBack(Error),
    /// Nobody knows.
    Unknown(Error),
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
            let before = self.memory.head;
            let (reached, why, stop) = match self.commit(&mut batch) {
                Fate::Committed => {
                    self.publish();
                    (Some(before), Error::Conflict("unreachable"), false)
                }
                Fate::RolledBack(why) => {
                    tracing::error!(%why, acts = batch.len(), "a batch was rolled back");
                    (None, why, false)
                }
                Fate::Unknown(why) => {
                    tracing::error!(%why, acts = batch.len(),
                        "the outcome of a commit is unknown; nothing more is written. Mend the disk and start again");
                    (None, why, true)
                }
            };
            for job in batch {
                job.answer(reached, &why);
            }
            let stop = stop
                || (reached.is_none()
                    && {
                        // What was remembered may have been written by the batch.
                        match Memory::read(&self.conn) {
                            Ok(memory) => {
                                self.memory = memory;
                                false
                            }
                            Err(error) => {
                                tracing::error!(%error, "the store cannot be read; nothing more is written");
                                true
                            }
                        }
                    });
            if stop {
                // Those who wait already learn it from their closed channels.
                return;
            }
        }
        // The last one out leaves a short log behind.
        drop(self.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)"));
    }

    fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> Fate {
        if let Err(error) = self.execute("BEGIN IMMEDIATE") {
            return Fate::RolledBack(unavailable(error));
        }
        for job in batch.iter_mut() {
            if let Err(why) = self.run_one(job.as_mut()) {
                return self.roll_back(why);
            }
        }
        if self.memory.wrote
            && let Err(error) = self.memory.write_head(&self.conn)
        {
            return self.roll_back(unavailable(error));
        }
        match self.execute("COMMIT") {
            Ok(()) => Fate::Committed,
            // Without room the commit's record is not whole, and the next
            // commit writes over it.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                self.roll_back(unavailable(error))
            }
            Err(error) => Fate::Unknown(unavailable(error)),
        }
    }

    /// Runs one act; an error means that the transaction stands no more.
    fn run_one(&mut self, job: &mut dyn Job) -> Result<()> {
        self.execute("SAVEPOINT act").map_err(unavailable)?;
        let (entries, channels) = (self.memory.entries.len(), self.memory.channels.len());
        let now = job.time().max(self.memory.written_at);
        let mut tx = Tx { conn: &self.conn, now, memory: &mut self.memory };
        if job.run(&mut tx) {
            self.memory.written_at = now;
            self.memory.wrote = true;
        } else {
            if self.conn.is_autocommit() {
                return Err(Error::Unavailable("the database ended the transaction".into()));
            }
            self.execute("ROLLBACK TO act").map_err(unavailable)?;
            self.memory.entries.truncate(entries);
            self.memory.channels.truncate(channels);
        }
        self.execute("RELEASE act").map_err(unavailable)
    }

    fn roll_back(&self, why: Error) -> Fate {
        if !self.conn.is_autocommit() && self.execute("ROLLBACK").is_err() {
            return Fate::Unknown(why);
        }
        Fate::RolledBack(why)
    }

    /// Tells the owner, before anybody else hears of the commit.
    fn publish(&mut self) {
        let committed = Committed {
            position: self.memory.head,
            entries: std::mem::take(&mut self.memory.entries),
            channels: std::mem::take(&mut self.memory.channels),
            written_at: self.memory.wrote.then_some(self.memory.written_at),
        };
        self.memory.wrote = false;
        (self.on_commit)(&committed);
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.conn.prepare_cached(sql)?.execute([]).map(drop)
    }
}

impl Memory {
    fn read(conn: &Connection) -> rusqlite::Result<Self> {
        let (epoch, number, written_at) =
            conn.query_row("SELECT epoch, position, written_at FROM authority", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
        let keys = super::rows::signing_keys(conn)?;
        let keys =
            keys.into_iter().map(|(number, key)| KeyRow { number, id: key.id, state: key.state });
        Ok(Self {
            head: Position { epoch, number },
            written_at: UnixTime(written_at),
            keys: keys.collect(),
            entries: Vec::new(),
            channels: Vec::new(),
            wrote: false,
        })
    }

    /// Appends the batch's entries to the log: one range of positions, taken
    /// once, last of all, so that commit order is position order.
    fn write_head(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let mut log = conn.prepare_cached(
            "INSERT INTO change_log (number, at, channel, entry) VALUES (?1, ?2, ?3, ?4)",
        )?;
        for entry in &self.entries {
            self.head.number += 1;
            let (channel, body) = super::rows::log_entry(entry);
            log.execute((self.head.number, self.written_at.0, channel, body))?;
        }
        conn.prepare_cached(
            "UPDATE authority SET position = ?1, written_at = ?2, commits = commits + 1",
        )?
        .execute((self.head.number, self.written_at.0))
        .map(drop)
    }
}

impl Tx<'_> {
    /// Appends an entry to the log.
    pub fn log(&mut self, entry: Entry) {
        self.memory.entries.push(entry);
    }

    /// Notes that a channel's snapshot is no longer what it was.
    pub fn touch(&mut self, channel: ChannelId) {
        self.memory.channels.push(channel);
    }

    /// The signing keys as they stand.
    pub fn keys(&self) -> &[KeyRow] {
        &self.memory.keys
    }

    /// Reads the signing keys again, after a change of them.
    pub fn reread_keys(&mut self) -> Result<()> {
        let keys = super::rows::signing_keys(self.conn).map_err(unavailable)?;
        self.memory.keys = keys
            .into_iter()
            .map(|(number, key)| KeyRow { number, id: key.id, state: key.state })
            .collect();
        Ok(())
    }

    /// Where the log will be after this act's entries so far.
    pub fn position(&self) -> Position {
        let Position { epoch, number } = self.memory.head;
        Position { epoch, number: number + self.memory.entries.len() as u64 }
    }
}
