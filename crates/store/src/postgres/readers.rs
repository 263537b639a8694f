//! Connections for questions, opened as needed and bounded in number: some for requests for
//! tokens, and separate ones for lists that administrators and jobs request, so that a slow
//! list never delays the reading of a channel.

use super::{
    connect::{Address, Client, Conn},
    failed::{Failed, within},
};
use crate::{Error, TRACES};
use futures_util::{FutureExt, future::join};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Semaphore;
use tracing::Instrument;

/// The connections.
pub(super) struct Readers {
    address: Address,
    idle: Mutex<Vec<Arc<Conn>>>,
    of_requests: Semaphore,
    of_lists: Semaphore,
    of_walks: Semaphore,
}

/// The sort of question, which determines its limits.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    /// By a request for a token; it reads a row or a few.
    Request,
    /// A list, which reads many rows.
    List,
    /// A walk through a whole table, which takes its time.
    Walk,
}

/// Maximum number of concurrent reads for requests.
const REQUESTS: usize = 4;
/// Maximum number of concurrent lists.
const LISTS: usize = 2;
/// Maximum number of idle connections that are kept open.
const IDLE: usize = 4;
/// Maximum duration of a read.
const PATIENCE: Duration = Duration::from_secs(8);
/// Maximum duration of a walk.
const WALK: Duration = Duration::from_secs(600);
/// How often a question is asked again: it changes nothing.
const AGAIN: usize = 3;

impl Readers {
    /// Opens no connection yet.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            idle: Mutex::default(),
            of_requests: Semaphore::new(REQUESTS),
            of_lists: Semaphore::new(LISTS),
            of_walks: Semaphore::new(1),
        }
    }

    /// Asks a question; all that it reads, it reads at one moment.
    ///
    /// # Errors
    /// Those of `question`, and [`Error::Unavailable`] if it takes
    /// too long.
    pub async fn ask<T, F>(
        &self,
        asked: Asked,
        question: impl Fn(Arc<Conn>) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Failed>>,
    {
        let (slots, patience) = match asked {
            Asked::Request => (&self.of_requests, PATIENCE),
            Asked::List => (&self.of_lists, PATIENCE),
            Asked::Walk => (&self.of_walks, WALK),
        };
        let answer = async {
            // The semaphore is never closed.
            let slot = slots.acquire().await;
            let _slot = slot.map_err(|error| Failed::unavailable(error.to_string()))?;
            for _ in 0..AGAIN {
                // One that is not put back is closed: whatever runs on it ends.
                let conn = self.conn().await?;
                let answer = snapshot(&conn, patience, question(conn.clone())).await;
                let was_closed = conn.is_closed();
                self.put_back(conn);
                match answer {
                    Err(Failed::Retry(_)) => {}
                    // The server was restarted, or replaced by another.
                    Err(Failed::Unavailable(_)) if was_closed => {}
                    answer => return answer,
                }
            }
            let conn = self.conn().await?;
            snapshot(&conn, patience, question(conn.clone())).await
        };
        let span = tracing::info_span!(target: TRACES, "read");
        Ok(within(patience, answer).instrument(span).await?)
    }

    async fn conn(&self) -> Result<Arc<Conn>, Failed> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(conn) if !conn.is_closed() => Ok(conn),
            _ => self.address.connect(None).await.map(Arc::new),
        }
    }

    /// Keeps a connection; with one that was closed, all others.
    fn put_back(&self, conn: Arc<Conn>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if conn.is_closed() {
            idle.clear();
        } else if idle.len() < IDLE {
            idle.push(conn);
        }
    }
}

/// Asks a question of a store: `ask!(store List, |db, filter| list(&db, filter, page))`. The
/// names after the connection's are values that are passed by reference.
macro_rules! ask {
    ($store:ident $asked:ident, |$db:ident $(, $kept:ident)*| $question:expr) => {{
        $(let $kept = &$kept;)*
        let question = move |$db: std::sync::Arc<$crate::postgres::connect::Conn>| async move {
            $question.await
        };
        $store.readers.ask($crate::postgres::readers::Asked::$asked, question).await
    }};
}
pub(super) use ask;

/// Reads all of a question in one snapshot, which only commits before it are in.
pub(super) async fn snapshot<T>(
    db: &Client,
    patience: Duration,
    question: impl Future<Output = Result<T, Failed>>,
) -> Result<T, Failed> {
    let begin = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {}",
        patience.as_millis()
    );
    // What is polled first is sent first: the question's first statements do not wait for the
    // beginning of the transaction.
    let (begun, answer) = join(db.batch_execute(&begin), question).await;
    // No task waits for its end, which changes nothing: the next statement comes after it.
    let _ = db.batch_execute("ROLLBACK").now_or_never();
    begun?;
    answer
}
