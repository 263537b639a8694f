//! What the writer holds in memory: the head of the log, the signing keys, what the
//! present batch has collected, and the rows of recently used channels.

use super::{recent::Recent, rows};
use crate::{
    Change,
    journal::{Author, JournalEntry},
};
use rusqlite::Connection;
use std::sync::Arc;
use tegata_policy::acts::StoredKey;
use tegata_token::{
    id::{ChannelId, Position, ProviderId},
    time::UnixTime,
};

/// State that the writer reads from the database at its start, and again after each
/// transaction that was not committed.
pub(super) struct Memory {
    pub head: Position,
    pub written_at: UnixTime,
    pub keys: Arc<[StoredKey]>,
    pub commits: u64,
    pub last_revocation: u64,
    /// Rows of channels that acts have used lately.
    pub recent: Recent,
    /// Changes that the batch has appended to the log.
    pub changes: Vec<Change>,
    /// Lines that the batch adds to the revocation journal.
    pub journal: Vec<(Option<Author>, JournalEntry)>,
    /// Whether the revocation journal holds this commit already.
    pub logged: bool,
    /// The start number that the batch drew.
    pub drew: Option<Vec<u8>>,
    /// Whether the batch has changed a row.
    pub wrote: bool,
}

impl Memory {
    pub fn read(conn: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT epoch, position, written_at, commits, last_revocation FROM authority";
        let (epoch, number, written_at, commits, last_revocation) =
            conn.query_row(sql, [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })?;
        Ok(Self {
            head: Position { epoch, number },
            written_at: UnixTime(written_at),
            keys: read_keys(conn)?,
            commits,
            last_revocation,
            recent: Recent::default(),
            changes: Vec::new(),
            journal: Vec::new(),
            logged: false,
            drew: None,
            wrote: false,
        })
    }

    /// Appends the batch's changes to the log: one range of positions, taken once and
    /// last, so that the order of commits is the order of positions.
    pub fn write_head(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let valid = self.recent.is_valid(conn);
        let mut log = conn.prepare_cached(
            "INSERT INTO change_log (number, at, provider, channel, change)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for change in &self.changes {
            self.head.number += 1;
            let (provider, channel) = change.about();
            let (provider, channel) =
                (provider.map(ProviderId::number), channel.map(ChannelId::number));
            let body = rows::json(change);
            log.execute((self.head.number, self.written_at.0, provider, channel, body))?;
        }
        self.commits += 1;
        if !self.journal.is_empty() || self.logged {
            self.last_revocation = self.commits;
        }
        conn.prepare_cached(
            "UPDATE authority
             SET epoch = ?1, position = ?2, written_at = ?3, commits = ?4, last_revocation = ?5",
        )?
        .execute((
            self.head.epoch,
            self.head.number,
            self.written_at.0,
            self.commits,
            self.last_revocation,
        ))?;
        // Neither table holds rows that are kept.
        if valid {
            self.recent.follow(conn);
        }
        Ok(())
    }

    /// Reads the signing keys again. Kept rows depend on the keys' states.
    pub fn reread_keys(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        self.recent.clear();
        self.keys = read_keys(conn)?;
        Ok(())
    }
}

fn read_keys(conn: &Connection) -> rusqlite::Result<Arc<[StoredKey]>> {
    rows::signing_keys(conn).map(Arc::from)
}
