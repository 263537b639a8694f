//! Acts on their way to the writer: how many were announced, how many are here, and the
//! writer's thread while it waits for more of them.
//!
//! The writer sleeps once for each commit: the act with which enough are here ends its wait.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, Thread},
    time::Duration,
};

/// Maximum number of acts in one commit, so that none waits long for the others.
pub(crate) const BATCH: usize = 256;

/// The counts of acts on their way. Its orderings are sequentially consistent: of an act that
/// comes and a writer that begins to wait, one sees the other.
#[derive(Debug, Default)]
pub(crate) struct Coming {
    /// Announced, and not answered yet.
    expected: AtomicUsize,
    /// In the queue, or taken from it for the next commit.
    here: AtomicUsize,
    waits: AtomicBool,
    writer: OnceLock<Thread>,
}

impl Coming {
    /// An act was announced.
    pub fn announce(&self) {
        self.expected.fetch_add(1, SeqCst);
    }

    /// An announced act was answered, or will not come.
    pub fn forget(&self) {
        self.expected.fetch_sub(1, SeqCst);
        self.end_wait();
    }

    /// Counts an act that is about to be put into the queue.
    pub fn arrive(&self) {
        self.here.fetch_add(1, SeqCst);
    }

    /// An act that has arrived is in the queue.
    pub fn arrived(&self) {
        self.end_wait();
    }

    /// So many acts that have arrived are in a transaction, or were not put into the queue.
    pub fn leave(&self, acts: usize) {
        self.here.fetch_sub(acts, SeqCst);
    }

    /// Waits until enough acts are here, or this long. Only the writer's thread calls it.
    pub fn wait(&self, most: Duration) {
        self.writer.get_or_init(thread::current);
        self.waits.store(true, SeqCst);
        if !self.are_enough_here() {
            thread::park_timeout(most);
        }
        self.waits.store(false, SeqCst);
    }

    /// Whether a commit is worth its cost with the acts that are here.
    fn are_enough_here(&self) -> bool {
        let here = self.here.load(SeqCst);
        are_enough(here, self.expected.load(SeqCst))
    }

    fn end_wait(&self) {
        // The flag is taken back so that the other acts need not do the same.
        if self.waits.load(SeqCst) && self.are_enough_here() && self.waits.swap(false, SeqCst) {
            self.writer.get().into_iter().for_each(Thread::unpark);
        }
    }

    /// How many acts are expected, those that wait for their commit among them.
    pub fn expected(&self) -> usize {
        self.expected.load(SeqCst)
    }
}

/// Whether half of the expected acts are here, or a full batch.
pub(crate) fn are_enough(here: usize, expected: usize) -> bool {
    here >= BATCH || 2 * here >= expected
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        mpsc::{Receiver, channel},
    };

    /// A writer that waits far longer than a test does; the message is that it waits no more.
    fn waiting(coming: &Arc<Coming>) -> Receiver<()> {
        let (sender, over) = channel();
        let writers = coming.clone();
        thread::spawn(move || {
            writers.wait(Duration::from_secs(3_600));
            sender.send(()).unwrap();
        });
        while !coming.waits.load(SeqCst) {
            thread::yield_now();
        }
        over
    }

    fn is_over(wait: &Receiver<()>) {
        wait.recv_timeout(Duration::from_secs(30)).expect("the writer still waits");
    }

    #[test]
    fn the_act_with_which_enough_are_here_ends_the_wait() {
        let coming = Arc::new(Coming::default());
        (0..4).for_each(|_| coming.announce());
        let wait = waiting(&coming);
        coming.arrive();
        coming.arrived();
        assert!(!coming.are_enough_here());
        coming.arrive();
        coming.arrived();
        is_over(&wait);
    }

    #[test]
    fn an_announced_act_that_will_not_come_ends_the_wait_for_it() {
        let coming = Arc::new(Coming::default());
        (0..3).for_each(|_| coming.announce());
        coming.arrive();
        let wait = waiting(&coming);
        coming.forget();
        is_over(&wait);
    }

    #[test]
    fn an_act_that_was_not_queued_is_not_here() {
        let coming = Coming::default();
        (0..2).for_each(|_| coming.announce());
        coming.arrive();
        assert!(coming.are_enough_here());
        coming.leave(1);
        assert!(!coming.are_enough_here());
    }
}
