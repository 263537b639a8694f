//! What an act works with inside of a transaction of the writer.

use super::{memory::Memory, rows::unavailable};
use crate::{
    Change, Error, Result,
    journal::{Author, Commit, Failed, JournalEntry, RevocationJournal},
    recovery::epoch_after,
};
use rusqlite::{Connection, ErrorCode};
use std::sync::Arc;
use tegata_policy::acts::{ReceiptRow, StoredKey};
use tegata_token::{id::Position, time::UnixTime};

/// The transaction of a batch, as one act in it sees it.
pub(super) struct Tx<'a> {
    pub conn: &'a Connection,
    /// The later of the act's own time and the highest ever written.
    pub now: UnixTime,
    /// How many changes the acts before it in the batch appended.
    pub(super) before: usize,
    pub(super) memory: &'a mut Memory,
    pub(super) journal: Option<&'a mut RevocationJournal>,
    /// Whether the last attempt to write failed.
    pub(super) failing: bool,
}

impl Tx<'_> {
    /// Appends an act's changes to the log, and its lines to the revocation journal.
    pub fn log(&mut self, changes: Vec<Change>, author: Option<&Author>, lines: Vec<JournalEntry>) {
        self.memory.journal.extend(lines.into_iter().map(|line| (author.cloned(), line)));
        self.memory.changes.extend(changes);
    }

    /// Reports a receipt that the batch has begun.
    pub fn began_receipt(&mut self, row: ReceiptRow) {
        self.memory.receipts.push(row);
    }

    /// Finds out whether acts can be committed. Writes only after a failed attempt, so
    /// that probes do not keep the disk of an idle server busy.
    pub fn probe(&self) -> Result<()> {
        if !self.failing {
            return Ok(());
        }
        let sql = "UPDATE authority SET commits = commits";
        self.conn.execute(sql, []).map(drop).map_err(unavailable)
    }

    /// The highest time that was written before this batch.
    pub fn written_at(&self) -> UnixTime {
        self.memory.written_at
    }

    /// Whether a revocation could be written to the journal now; `false`: no journal is
    /// kept.
    pub fn try_revocation_journal(&mut self) -> Result<bool> {
        let Memory { head, commits, written_at, .. } = *self.memory;
        let last = Commit { epoch: head.epoch, commit: commits };
        let Some(log) = &mut self.journal else { return Ok(false) };
        log.try_out(last, written_at).map(|()| true).map_err(|why| not_logged(&why))
    }

    /// Begins a new epoch with an empty log: see [`epoch_after`].
    pub fn begin_epoch(&mut self, seen: u64, at: UnixTime) {
        let epoch = epoch_after(self.memory.head.epoch, seen, at);
        self.memory.head = Position { epoch, number: 0 };
    }

    /// Drops the batch's lines for the revocation journal, which holds them already.
    pub fn forget_journal(&mut self) {
        self.memory.journal.clear();
    }

    /// Notes that the revocation journal holds this whole commit already.
    pub fn is_logged(&mut self) {
        self.memory.journal.clear();
        self.memory.logged = true;
    }

    /// Notes that the store bears another start number with this act.
    pub fn drew(&mut self, start: Vec<u8>) {
        self.memory.drew = Some(start);
    }

    /// The signing keys as they are stored.
    pub fn keys(&self) -> &Arc<[StoredKey]> {
        &self.memory.keys
    }

    /// Reads the signing keys again, after a change of them.
    pub fn reread_keys(&mut self) -> Result<()> {
        self.memory.reread_keys(self.conn).map_err(unavailable)
    }

    /// The position of the last change of all commits so far.
    pub fn head(&self) -> Position {
        self.memory.head
    }

    /// The position of the last change once this act has appended as many more.
    pub fn position_after(&self, more: usize) -> Position {
        let Position { epoch, number } = self.memory.head;
        Position { epoch, number: number + (self.memory.changes.len() + more) as u64 }
    }

    /// The position of this act's last change, if it has appended any so far.
    pub fn position(&self) -> Option<Position> {
        let changes = self.memory.changes.len();
        let Position { epoch, number } = self.memory.head;
        (changes > self.before).then(|| Position { epoch, number: number + changes as u64 })
    }
}

/// Runs one statement that changes rows.
pub(super) fn write(tx: &Tx<'_>, sql: &str, values: impl rusqlite::Params) -> Result<usize> {
    tx.conn.prepare_cached(sql).and_then(|mut it| it.execute(values)).map_err(unavailable)
}

/// As [`write`], where a unique name may be taken already.
pub(super) fn insert(tx: &Tx<'_>, sql: &str, values: impl rusqlite::Params) -> Result<()> {
    let done = tx.conn.prepare_cached(sql).and_then(|mut it| it.execute(values));
    match done {
        Ok(_) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(Error::Taken)
        }
        Err(error) => Err(unavailable(error)),
    }
}

/// The error of acts whose lines could not be written to the revocation journal.
pub(super) fn not_logged(why: &Failed) -> Error {
    Error::Unavailable(why.to_string().into())
}
