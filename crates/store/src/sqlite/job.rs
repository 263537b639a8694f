//! An act in the writer's queue, with the channel to the task that waits for it.

use super::tx::Tx;
use crate::{Error, Result};
use std::time::Instant;
use tegata_token::{id::Position, time::UnixTime};
use tokio::sync::oneshot;

/// An act, whatever it returns.
pub(super) trait Job: Send {
    /// The act's own time.
    fn time(&self) -> UnixTime;
    /// When it was put into the queue.
    fn queued(&self) -> Instant;
    /// Runs the act; `false` if it was denied or failed. May be run again in another
    /// transaction.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Sends the answer: of a commit that began at position `before`, or the reason why
    /// there was no commit.
    fn answer(self: Box<Self>, before: std::result::Result<Position, &Error>);
}

struct Queued<T, F> {
    at: UnixTime,
    queued: Instant,
    act: F,
    result: Option<Result<T>>,
    entries: usize,
    first: usize,
    reply: oneshot::Sender<Result<(T, Position)>>,
}

/// What comes back of an act: its value, and the position of its last change.
pub(super) type Answer<T> = oneshot::Receiver<Result<(T, Position)>>;

/// Makes a job of an act that begins to wait now.
pub(super) fn job<T: Send + 'static>(
    at: UnixTime,
    act: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
) -> (Box<dyn Job>, Answer<T>) {
    let (reply, answer) = oneshot::channel();
    let job = Queued { at, queued: steady(), act, result: None, entries: 0, first: 0, reply };
    (Box::new(job), answer)
}

impl<T: Send, F: FnMut(&mut Tx<'_>) -> Result<T> + Send> Job for Queued<T, F> {
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
                // Its own last change, or all that came before it in the batch.
                let number = before.number + (self.first + self.entries) as u64;
                Ok((value, Position { number, ..before }))
            }
            (Ok(_), Some(Err(denied))) => Err(denied),
            (Err(why), _) => Err(why.clone()),
            (Ok(_), None) => Err(Error::Unavailable("the act was not run".into())),
        };
        // The waiting task may be gone; the act is done all the same.
        drop(self.reply.send(answer));
    }
}

/// The clock for measurements; nothing is decided by it.
#[expect(clippy::disallowed_methods, reason = "measured, never decided by")]
pub(super) fn steady() -> Instant {
    Instant::now()
}
