//! The one writer: a thread that puts many acts into one commit.
//!
//! While a commit waits for the disk, acts queue up behind it and share the next one.
//! Every answer, a denial too, waits for the commit, since it depends on rows that the
//! commit may not keep. An act checks before it writes, so a denied one has written
//! nothing. If an act fails halfway, the whole batch is rolled back and its acts run
//! again, each in a commit of its own, so that only that act fails. (A savepoint around
//! each act would do the same, but copies every page that an act changes.)
//!
//! When SQLite has ended the transaction by itself, or a commit's outcome is unknown,
//! every act of the batch is answered with "unknown". After an unknown outcome nothing
//! more is written: only a new start reads a log whose last write may or may not be on
//! the disk.

pub(super) use super::{
    commit::{Redo, Tell},
    tx::{Tx, insert, write},
};

use super::{
    PATIENCE,
    commit::Loop,
    job::{Job, job},
    lock::Fence,
    memory::Memory,
    rows::unavailable,
};
use crate::{
    Error, OnCommit, Result, TRACES, coming::Coming, figures::Figures, journal::RevocationJournal,
};
use rusqlite::Connection;
use std::{sync::Arc, thread::JoinHandle};
use tegata_token::{id::Position, time::UnixTime};
use tokio::{
    runtime::Handle,
    sync::mpsc::{self, error::TrySendError},
    time::timeout,
};
use tracing::Instrument;

/// Maximum number of acts that wait for the writer; more are refused at once.
const QUEUE: usize = 8192;
/// Prepared statements that the writer's connection keeps: more than its acts have.
const STATEMENTS: usize = 256;

/// The handle of the writer's thread.
pub(super) struct Writer {
    pub figures: Arc<Figures>,
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread, which alone writes with `conn` from then on.
    pub fn start(
        conn: Connection,
        fence: Fence,
        journal: Option<RevocationJournal>,
        redo: Option<Redo>,
        tell: Option<Tell>,
        on_commit: OnCommit,
    ) -> Result<Self> {
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        let memory = Memory::read(&conn).map_err(unavailable)?;
        let (queue, jobs) = mpsc::channel(QUEUE);
        let figures = Arc::new(Figures::default());
        let mut work = Loop {
            conn,
            fence,
            memory,
            journal,
            tell,
            on_commit,
            figures: figures.clone(),
            runtime: Handle::try_current().ok(),
            failing: false,
        };
        if let Some(redo) = redo {
            work.redo(redo)?;
        }
        let thread = std::thread::Builder::new()
            .name("tegata-writer".into())
            .spawn(move || work.run(jobs))
            .map_err(|error| Error::Unavailable(error.to_string().into()))?;
        Ok(Self { figures, queue: Some(queue), thread: Some(thread) })
    }

    /// Runs `act` inside of the next commit; answers after it, with the position of the
    /// act's last change (or, of an act without one, the position that the log had
    /// reached before it). `act` checks before it writes, and does the same when it is
    /// run again.
    pub async fn act<T: Send + 'static>(
        &self,
        at: UnixTime,
        act: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<(T, Position)> {
        let stopped = || Error::Unavailable("the writer has stopped; see the log".into());
        let (job, answer) = job(at, act);
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        put(queue, &self.figures.coming, job).map_err(|error| not_queued(&error))?;
        // The act may still be done later: its outcome is unknown.
        let too_slow = |_| Error::Unavailable("the disk takes too long".into());
        let span = tracing::info_span!(target: TRACES, "commit");
        let answer = timeout(PATIENCE, answer).instrument(span);
        answer.await.map_err(too_slow)?.map_err(|_| stopped())?
    }

    /// Makes the writer begin a transaction without an act: it stops if another process
    /// serves from the store.
    pub fn begin_one(&self) -> impl Fn() + Send + 'static {
        let queue = self.queue.as_ref().map(mpsc::Sender::downgrade);
        let figures = self.figures.clone();
        move || {
            let Some(queue) = queue.as_ref().and_then(mpsc::WeakSender::upgrade) else { return };
            let act = |_: &mut Tx<'_>| Err::<(), _>(Error::Conflict("there is nothing to do"));
            let (job, _) = job(UnixTime(0), act);
            // If the queue is full, the next batch does the same.
            let _ = put(&queue, &figures.coming, job);
        }
    }

    /// How many acts wait in the queue.
    pub fn waiting(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.max_capacity() - queue.capacity())
    }

    /// Completes when the writer has given up.
    pub async fn stopped(&self) {
        if let Some(queue) = &self.queue {
            queue.closed().await;
        }
    }
}

/// Puts an act into the queue.
fn put(
    queue: &mpsc::Sender<Box<dyn Job>>,
    coming: &Coming,
    job: Box<dyn Job>,
) -> std::result::Result<(), TrySendError<Box<dyn Job>>> {
    coming.arrive();
    let sent = queue.try_send(job);
    match sent {
        Ok(()) => coming.arrived(),
        Err(_) => coming.leave(1),
    }
    sent
}

/// Why an act was not put into the queue: it changes nothing, now or later.
fn not_queued<T>(error: &TrySendError<T>) -> Error {
    let why = match error {
        TrySendError::Full(_) => {
            "more acts wait for the server's disk than it takes. Nothing was changed; repeat the \
             request in some seconds"
        }
        TrySendError::Closed(_) => {
            "the server does not write any more; its log says why. Nothing was changed"
        }
    };
    Error::NotNow(why.into())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_act_that_the_queue_does_not_take_is_answered_as_not_done() {
        let (queue, jobs) = mpsc::channel(1);
        queue.try_send(1).unwrap();
        let full = not_queued(&queue.try_send(2).unwrap_err());
        assert!(matches!(&full, Error::NotNow(why) if why.contains("repeat")), "{full}");
        drop(jobs);
        let closed = not_queued(&queue.try_send(3).unwrap_err());
        assert!(matches!(&closed, Error::NotNow(why) if why.contains("log")), "{closed}");
    }
}
