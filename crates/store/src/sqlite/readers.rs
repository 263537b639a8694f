//! Read-only connections, opened as needed and bounded in number: some for requests for
//! tokens, and a few separate ones for lists that administrators and jobs request. A slow
//! list never delays the reading of a channel, and a disk that hangs blocks no more
//! threads than there are connections.

use super::{PATIENCE, rows::unavailable};
use crate::{Error, Result, TRACES};
use rusqlite::{Connection, OpenFlags, config::DbConfig};
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

/// The sort of question, which determines its limits.
#[derive(Debug, Clone, Copy)]
pub(super) enum For {
    /// A request for a token, which reads a row or a few.
    Request,
    /// A list, which reads many rows.
    List,
    /// A walk through a whole table, which takes its time, or what a start reads.
    Walk,
}

/// Maximum number of concurrent reads for requests.
const REQUESTS: usize = 8;
/// Maximum number of concurrent lists.
const LISTS: usize = 2;
/// Maximum duration of a walk.
const WALK: Duration = Duration::from_secs(600);
/// Maximum number of idle connections that are kept open.
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
        // Otherwise SQLite prepares a statement again when other values are bound, since
        // another plan might suit them better.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(conn)
    }

    /// Runs a question on a blocking thread.
    ///
    /// # Errors
    /// Those of `question`, and [`Error::Unavailable`] if it takes too long.
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
            // The semaphore is never closed. The thread keeps its slot even after the
            // caller stopped waiting.
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
    use crate::{
        Store as _,
        sqlite::{Options, SqliteStore},
    };
    use rusqlite::StatementStatus;
    use std::sync::mpsc;

    #[test]
    fn a_statement_is_prepared_once_whatever_is_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it.db");
        drop(Connection::open(&path).unwrap());
        let conn = Readers::new(path, None).connect(OpenFlags::default()).unwrap();
        conn.execute_batch("CREATE TABLE t (a INTEGER PRIMARY KEY, b)").unwrap();
        let mut query =
            conn.prepare("SELECT a, b FROM t WHERE a > ?1 ORDER BY a LIMIT ?2").unwrap();
        for bound in 0..5 {
            query.query((bound, bound + 1)).unwrap().next().unwrap();
        }
        assert_eq!(query.get_status(StatementStatus::RePrepare), 0);
    }

    #[tokio::test]
    async fn lists_that_hang_delay_no_request_and_block_only_their_own_threads() {
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

    #[tokio::test]
    async fn what_a_start_reads_has_the_time_of_a_walk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it.db");
        let store = SqliteStore::open(&path, Options::default(), Box::new(|_| {})).unwrap();
        // Whatever has their limits now takes too long.
        let _requests = store.readers.of_requests.acquire_many(8).await.unwrap();
        let _lists = store.readers.of_lists.acquire_many(2).await.unwrap();
        store.state().await.unwrap();
        store.last_changes(1).await.unwrap();
        store.instances().await.unwrap();
        store.open_receipts(1).await.unwrap();
    }
}
