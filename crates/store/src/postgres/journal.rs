//! The revocation journal of this server: a file that the operator keeps apart from the
//! database, for the day on which the database is put back from a backup.
//!
//! An act writes its lines into the database, in its own transaction. Each server that keeps
//! a journal copies them to its file as it follows the log, before its memory has the
//! changes, and so before the act is answered: an act waits for its own server, and one that
//! takes something away for all servers. So any one file of a server that ran all the time
//! is complete.

use super::{
    connect::Client,
    failed::{Failed, within},
    open_error::PostgresOpenError,
    rows::{int, list},
    sql::values,
};
use crate::{
    columns::Columns,
    journal::{self, Commit, JournalLine, JournalState, RevocationJournal},
};
use data_encoding::HEXLOWER;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tegata_token::{id::Position, time::UnixTime};
use tokio::task::spawn_blocking;

/// Maximum time until the database has answered.
const STEP: Duration = Duration::from_secs(10);

/// A journal that is open for writing.
#[derive(Clone)]
pub(super) struct Journal(Arc<Mutex<RevocationJournal>>);

impl Journal {
    /// Checks that the file at `path` is a journal of this database, if there is one: a server that is
    /// refused for it leaves no trace.
    ///
    /// # Errors
    /// [`PostgresOpenError`].
    pub async fn check(path: PathBuf, identity: &[u8]) -> Result<(), PostgresOpenError> {
        let standing = standing(identity, Commit { epoch: 0, commit: 0 }, UnixTime(0));
        Ok(done(spawn_blocking(move || RevocationJournal::check(&path, &standing)).await)?)
    }

    /// Opens the file at `path` and writes what it lacks up to the position `head`, if the
    /// database still has it; or else the journal begins anew.
    ///
    /// # Errors
    /// [`PostgresOpenError`]; [`PostgresOpenError::WentBack`] if it knows of more than the
    /// database.
    pub async fn open(
        db: &Client,
        path: PathBuf,
        identity: &[u8],
        head: Position,
    ) -> Result<Self, PostgresOpenError> {
        let (from, at, lines) = within(STEP, kept(db)).await.map_err(super::migrations::failed)?;
        let begin = Commit { epoch: head.epoch, commit: from };
        let standing = standing(identity, begin, at);
        let opened = path.clone();
        let open = move || RevocationJournal::open(&opened, &standing);
        let (log, last) = done(spawn_blocking(open).await)?;
        if last.is_some_and(|it| it > Commit { epoch: head.epoch, commit: head.number }) {
            let why = "its revocation journal holds later revocations".to_owned();
            return Err(PostgresOpenError::WentBack(path, why));
        }
        let after = last.filter(|it| *it >= begin).unwrap_or(begin);
        let to = Commit { epoch: head.epoch, commit: head.number };
        let lacks = |it: &JournalLine| it.commit > after && it.commit <= to;
        let journal = Self(Arc::new(Mutex::new(log)));
        journal.write(lines.into_iter().filter(lacks).collect()).await?;
        Ok(journal)
    }

    /// Appends lines.
    ///
    /// # Errors
    /// They are not in the file, or that is unknown.
    pub async fn write(&self, lines: Vec<JournalLine>) -> Result<(), journal::Error> {
        if lines.is_empty() {
            return Ok(());
        }
        self.with(move |log| {
            let written = log.append_lines(&lines);
            if written.is_ok() {
                log.keep()
            } else {
                log.take_back()
            }
            written
        })
        .await
    }

    /// Tests that a line can be written.
    ///
    /// # Errors
    /// It cannot.
    pub async fn try_out(&self, head: Position) -> Result<(), journal::Error> {
        let last = Commit { epoch: head.epoch, commit: head.number };
        // The time of a line that a moved file begins with, for people alone.
        self.with(move |log| log.try_out(last, UnixTime(0))).await
    }

    /// Does something with the file, which may take the disk a while.
    async fn with(
        &self,
        work: impl FnOnce(&mut RevocationJournal) -> Result<(), journal::Failed> + Send + 'static,
    ) -> Result<(), journal::Error> {
        let log = self.0.clone();
        let work = move || match work(&mut log.lock().unwrap_or_else(PoisonError::into_inner)) {
            Ok(()) => Ok(()),
            Err(journal::Failed::NotWritten(why) | journal::Failed::Unknown(why)) => Err(why),
        };
        done(spawn_blocking(work).await)
    }
}

/// Where the database is, as its journals see it.
fn standing(identity: &[u8], begin: Commit, at: UnixTime) -> JournalState {
    let store = journal::postgres_store(&HEXLOWER.encode(identity));
    JournalState { store, last: begin, last_revocation: begin, at, owner: None }
}

/// The result of work on another thread; a panic there goes on here.
fn done<T>(work: Result<T, tokio::task::JoinError>) -> T {
    work.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => unreachable!("the thread is never cancelled"),
    })
}

/// All lines that the database has, and up to where it has none, at one moment.
async fn kept(db: &Client) -> Result<(u64, UnixTime, Vec<JournalLine>), Failed> {
    db.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let read = async {
        let sql = "SELECT journal_from, written_at FROM authority";
        let row = db.query_typed_one(sql, values![]).await?;
        let lines = lines(db, 0).await?;
        Ok((row.value("journal_from")?, row.value("written_at")?, lines))
    };
    let read = read.await;
    db.batch_execute("COMMIT").await?;
    read
}

/// The lines of acts after that position, in order.
pub(super) async fn lines(db: &Client, after: u64) -> Result<Vec<JournalLine>, Failed> {
    let sql = "SELECT entry FROM journal WHERE position > $1 ORDER BY position, line";
    list(db, sql, values![int(after)], |row| row.json("entry")).await
}
