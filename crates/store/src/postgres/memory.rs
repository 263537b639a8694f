//! The thread that gives commits to this server's memory: that may take a while, and must
//! not hold up the runtime's own threads, which renew the lease.

use crate::{Committed, OnCommit};
use std::{io, sync::mpsc};
use tokio::sync::oneshot;

/// The thread's queue.
pub(super) struct Memory {
    queue: mpsc::Sender<(Committed, oneshot::Sender<()>)>,
}

impl Memory {
    /// Starts the thread. It ends with the queue.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(on_commit: OnCommit) -> io::Result<Self> {
        let (queue, commits) = mpsc::channel::<(Committed, oneshot::Sender<()>)>();
        let work = move || {
            for (committed, done) in commits {
                on_commit(&committed);
                // The store may have been closed meanwhile.
                let _ = done.send(());
            }
        };
        std::thread::Builder::new().name("tegata-memory".into()).spawn(work)?;
        Ok(Self { queue })
    }

    /// Gives a commit to memory; returns when memory has it. An error: memory's thread has
    /// panicked.
    pub async fn learn(&self, committed: Committed) -> Result<(), &'static str> {
        let gone = "this server's memory could not take in a change; see the log";
        let (done, is_done) = oneshot::channel();
        self.queue.send((committed, done)).map_err(|_| gone)?;
        is_done.await.map_err(|_| gone)
    }
}
