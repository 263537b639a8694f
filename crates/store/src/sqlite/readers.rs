//! Connections that only read, opened as needed and bounded in number: so many for
//! what requests for tokens wait for, and a few, apart from those, for the lists
//! that people and jobs ask for. A slow look into history never keeps a channel
//! from being read, and a disk that hangs holds no more threads than there are
//! connections.

use super::{PATIENCE, rows::unavailable};
use crate::{Error, Result, TRACES};
use rusqlite::{Connection, OpenFlags};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Semaphore, time::timeout};
use tracing::Instrument;

/// The connections.
pub(super) struct Readers {
    path: PathBuf,
    vfs: Option<String>,
    idle: Mutex<Vec<Connection>>,
    of_requests: Arc<Semaphore>,
    of_lists: Arc<Semaphore>,
    of_walks: Arc<Semaphore>,
}

/// Who waits for the answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum For {
    /// A request for a token, which reads a row or a few.
    Request,
    /// Somebody who looks through many rows.
    List,
    /// Somebody who goes through all there is, and knows that it takes its time.
    Walk,
}

/// So many requests are read for at once.
const REQUESTS: usize = 8;
/// So many lists are.
const LISTS: usize = 2;
/// A walk through everything may take this long.
const WALK: Duration = Duration::from_secs(600);
/// Connections that are kept open while nobody asks.
const IDLE: usize = 4;

impl Readers {
    pub fn new(path: PathBuf, vfs: Option<String>) -> Self {
        let slots = |most| Arc::new(Semaphore::new(most));
        let idle = Mutex::default();
        let (of_requests, of_lists, of_walks) = (slots(REQUESTS), slots(LISTS), slots(1));
        Self { path, vfs, idle, of_requests, of_lists, of_walks }
    }

    pub fn connect(&self, flags: OpenFlags) -> rusqlite::Result<Connection> {
        let conn = match &self.vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(&self.path, flags, vfs.as_str())?,
            None => Connection::open_with_flags(&self.path, flags)?,
        };
        conn.busy_timeout(Duration::from_secs(5))?;
        conn.set_prepared_statement_cache_capacity(64);
        Ok(conn)
    }

    /// Asks on a thread where waiting for the disk harms nobody.
    ///
    /// # Errors
    /// Those of `question`, and [`Error::Unavailable`] where the answer takes too long.
    pub async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        who: For,
        question: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (slots, patience) = match who {
            For::Request => (&self.of_requests, PATIENCE),
            For::List => (&self.of_lists, PATIENCE),
            For::Walk => (&self.of_walks, WALK),
        };
        let slots = slots.clone();
        let readers = self.clone();
        let answer = async {
            // It is never closed. The thread keeps it, also when nobody waits any more.
            let slot = slots.acquire_owned().await.map_err(|error| gone(&error))?;
            let ask = move || {
                let answer = readers.with(question);
                drop(slot);
                answer
            };
            tokio::task::spawn_blocking(ask).await.unwrap_or_else(|error| Err(gone(&error)))
        };
        let too_slow = || Error::Unavailable("reading the store takes too long".into());
        let span = tracing::info_span!(target: TRACES, "read");
        timeout(patience, answer).instrument(span).await.unwrap_or_else(|_| Err(too_slow()))
    }

    fn with<T>(&self, question: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut conn = match idle {
            Some(conn) => conn,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                self.connect(flags).map_err(unavailable)?
            }
        };
        let answer = question(&mut conn);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push(conn);
        }
        answer
    }
}

fn gone(error: &dyn std::error::Error) -> Error {
    Error::Unavailable(error.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn lists_that_hang_keep_no_request_waiting_and_no_more_than_their_threads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it.db");
        drop(Connection::open(&path).unwrap());
        let readers = Arc::new(Readers::new(path, None));
        let (begun, has_begun) = mpsc::channel();
        let hanging: Vec<_> = (0..50)
            .map(|_| {
                let (readers, begun) = (readers.clone(), begun.clone());
                let (go_on, may_go_on) = mpsc::channel::<()>();
                let list = async move {
                    let ask = move |_: &mut Connection| {
                        begun.send(()).unwrap();
                        // Until its sender is dropped.
                        let _ = may_go_on.recv();
                        Ok(())
                    };
                    readers.ask(For::List, ask).await
                };
                (tokio::spawn(list), go_on)
            })
            .collect();
        for _ in 0..LISTS {
            while has_begun.try_recv().is_err() {
                tokio::task::yield_now().await;
            }
        }
        let one = |conn: &mut Connection| {
            conn.query_row("SELECT 1", [], |row| row.get::<_, i64>(0)).map_err(unavailable)
        };
        for _ in 0..100 {
            assert_eq!(readers.ask(For::Request, one).await.unwrap(), 1);
        }
        assert!(has_begun.try_recv().is_err(), "more lists are read than may be");
        let (lists, go_on): (Vec<_>, Vec<_>) = hanging.into_iter().unzip();
        drop(go_on);
        for list in lists {
            list.await.unwrap().unwrap();
        }
    }
}
