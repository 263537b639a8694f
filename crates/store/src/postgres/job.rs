//! An act in the queue, with the channel to the task that waits for it.

use super::locks::Locks;
use crate::{Error, Result};
use std::time::{Duration, Instant};
use tegata_policy::acts::{Act, ActName, Effects, Locked, Needs};
use tegata_token::{id::Position, time::UnixTime};
use tokio::sync::oneshot;

/// Maximum time of an act; after it the outcome is unknown.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);

/// An act, whatever it returns.
pub(super) trait Job: Send {
    /// The act's own time.
    fn time(&self) -> UnixTime;
    /// Which act it is.
    fn name(&self) -> ActName;
    /// When it was put into the queue.
    fn queued(&self) -> Instant;
    /// What must be read for it.
    fn needs(&self) -> &Needs;
    /// What it locks.
    fn locks(&self) -> &Locks;
    /// Whether its task has been answered already: its outcome is unknown. One whose task is gone
    /// for another reason is done all the same.
    fn is_abandoned(&self) -> bool;
    /// Decides the act; `None`: it is denied. May be decided again on other state.
    fn decide(&mut self, locked: &Locked, now: UnixTime) -> Option<Effects>;
    /// Sends the answer: of a commit, or the reason why there was none.
    fn answer(self: Box<Self>, committed: std::result::Result<Place, Error>);
}

/// Where a committed act is in the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Its time.
    pub now: UnixTime,
    /// The position of its last change, or the one that the log had reached before it.
    pub position: Position,
    /// Whether it wrote anything.
    pub wrote: bool,
    /// Whether it has changes, which memory must have before its answer.
    pub changed: bool,
    /// Whether every other server's memory must have them, too.
    pub narrowed: bool,
    /// How many rounds of the follower had begun when its commit was known.
    pub rounds: u64,
}

/// What comes back of an act: its value, and where it is in the log.
pub(super) type Answer<T> = oneshot::Receiver<Result<(T, Place)>>;

struct Queued<A: Act> {
    at: UnixTime,
    queued: Instant,
    act: A,
    needs: Needs,
    locks: Locks,
    result: Option<Result<A::Output>>,
    reply: oneshot::Sender<Result<(A::Output, Place)>>,
}

/// Makes a job of an act that begins to wait now.
pub(super) fn job<A>(at: UnixTime, act: A) -> (Box<dyn Job>, Answer<A::Output>)
where
    A: Act<Output: Send> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let needs = act.needs();
    let locks = Locks::of(A::NAME, &needs);
    let job = Queued { at, queued: steady(), act, needs, locks, result: None, reply };
    (Box::new(job), answer)
}

impl<A: Act<Output: Send> + Send> Job for Queued<A> {
    fn time(&self) -> UnixTime {
        self.at
    }

    fn name(&self) -> ActName {
        A::NAME
    }

    fn queued(&self) -> Instant {
        self.queued
    }

    fn needs(&self) -> &Needs {
        &self.needs
    }

    fn locks(&self) -> &Locks {
        &self.locks
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed() && self.queued.elapsed() >= PATIENCE
    }

    fn decide(&mut self, locked: &Locked, now: UnixTime) -> Option<Effects> {
        match self.act.decide(locked, now) {
            Ok((output, effects)) => {
                self.result = Some(Ok(output));
                Some(effects)
            }
            Err(denied) => {
                self.result = Some(Err(denied.into()));
                None
            }
        }
    }

    fn answer(self: Box<Self>, committed: std::result::Result<Place, Error>) {
        let answer = match (committed, self.result) {
            (Ok(place), Some(Ok(value))) => Ok((value, place)),
            (Ok(_), Some(Err(denied))) => Err(denied),
            (Err(why), _) => Err(why),
            (Ok(_), None) => Err(Error::Unavailable("the act was not run".into())),
        };
        // The waiting task may be gone; the act is done all the same.
        drop(self.reply.send(answer));
    }
}

/// The clock for leases and measurements; it never goes back.
#[expect(clippy::disallowed_methods, reason = "leases and measurements, no time of the rules")]
pub(super) fn steady() -> Instant {
    Instant::now()
}
