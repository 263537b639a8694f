//! The revocation journal: everything that a restored backup would undo, one JSON object
//! per line, written durably before any client gets a success response.
//!
//! A backup lacks what was revoked after it. So each act that takes something away also
//! writes a line into this file, which the operator keeps apart from the store. The line
//! is written and synchronised just before the commit, so no acknowledged revocation is
//! missing. (A line whose commit then failed is harmless: no client got a response that
//! the act had failed.) [`read`] gives recovery what a store lacks.
//!
//! A line names its commit, which tells whether a backup has it already. If the journal
//! does not reach back without a gap, it begins with a line [`JournalEntry::Begins`], and
//! nothing older can be recovered by it.
//!
//! [`log`] writes the journal, and continues after the file was moved away; `read` reads
//! it for a recovery.

mod log;
mod read;
#[cfg(test)]
mod tests;

use data_encoding::HEXLOWER;
pub use log::{Failed, RevocationJournal};
pub use read::{Reading, Torn, read};
pub use tegata_policy::acts::{Author, Commit, JournalEntry};

use serde::{Deserialize, Serialize};
use std::{
    io,
    path::{Path, PathBuf},
};
use tegata_policy::secret::sha256;
use tegata_token::time::UnixTime;

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalLine {
    /// Its commit.
    #[serde(flatten)]
    pub commit: Commit,
    /// When, in seconds since 1970.
    pub at: UnixTime,
    /// Who did it and why; absent for an eviction, which no request names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Author>,
    /// What was taken away.
    #[serde(flatten)]
    pub what: JournalEntry,
}

/// Why a revocation journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written.
    #[error("the revocation journal {}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
    /// Another process writes to it.
    #[error("the revocation journal {} is in use by another process; each store needs its own", .0.display())]
    InUse(PathBuf),
    /// A line is damaged.
    #[error(
        "the revocation journal {}: line {line} is damaged; restore an undamaged copy of the file. To \
         recover without it, use --revoke-everything; to serve, move it away and make a backup \
         at once", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// Lines are not in the order of their commits.
    #[error(
        "the revocation journal {}: line {line} is older than the one before it; if the file was put \
         together from parts, join them oldest first", path.display()
    )]
    OutOfOrder {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// It is another store's.
    #[error("the revocation journal {} belongs to another store; name this store's own, or a new file", .0.display())]
    OtherStore(PathBuf),
    /// It is this authority's, from before or after its move to PostgreSQL.
    #[error(
        "the revocation journal {} is this authority's, but not of this store: the authority was \
         moved from a SQLite file to PostgreSQL, and the two number their commits differently. To \
         serve, name a new file, and keep this one with the backups that it belongs to; to recover, \
         name the journal of a server of this store, or a new file with --revoke-everything", .0.display()
    )]
    OtherEngine(PathBuf),
    /// It does not reach back to the store's state.
    #[error(
        "the revocation journal {} does not reach back to this store, which stands at commit {}-{}: what \
         was revoked before {}-{} may be missing from it. Use a newer backup, or \
         --revoke-everything", path.display(), store.epoch, store.commit, begins.epoch, begins.commit
    )]
    Gap {
        /// The file.
        path: PathBuf,
        /// The store's last commit.
        store: Commit,
        /// The commit from which the journal is complete.
        begins: Commit,
    },
}

/// The state of a store when its journal is opened.
#[derive(Debug, Clone)]
pub struct JournalState {
    /// Which store it is: its identity in hex digits, and its engine.
    pub store: String,
    /// Its last commit.
    pub last: Commit,
    /// Its last commit with a line in the journal.
    pub last_revocation: Commit,
    /// The highest time that it has written.
    pub at: UnixTime,
    /// The owner of the store, who also gets a new journal file.
    pub owner: Option<crate::file::Owner>,
}

/// What the store of an authority in PostgreSQL is called, of that identity in hex digits. One in a
/// SQLite file is called by the identity alone: it is the same one after a move, but the positions
/// of the log are no numbers of commits, so neither can use a journal of the other.
pub(crate) fn postgres_store(identity: &str) -> String {
    format!("{identity}{ON_POSTGRES}")
}

const ON_POSTGRES: &str = "-postgres";

impl JournalState {
    /// Verifies that the journal at `path`, which belongs to the store `found`, is this store's.
    fn owns(&self, path: &Path, found: &str) -> Result<(), Error> {
        let authority = |store: &str| store.trim_end_matches(ON_POSTGRES).to_owned();
        if found == self.store {
            Ok(())
        } else if authority(found) == authority(&self.store) {
            Err(Error::OtherEngine(path.to_owned()))
        } else {
            Err(Error::OtherStore(path.to_owned()))
        }
    }
}

/// Maximum length of a line, in bytes. The longest line is a cutoff with 30 exceptions.
const LONGEST: u64 = 64 * 1024;

/// Everything up to the end of the last complete line. A crash may have left part of a
/// line after it, or zeros instead of data.
fn whole_part(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    &text[..end]
}

const SUM: &str = r#","sum":""#;
const SUM_DIGITS: usize = 16;

impl JournalLine {
    /// The line as written: JSON whose last member is a checksum of everything before it.
    ///
    /// # Errors
    /// It cannot be written as JSON, which does not happen for any existing entry.
    pub fn to_text(&self) -> io::Result<String> {
        let json = serde_json::to_string(self)?;
        let open = json.strip_suffix('}').unwrap_or(&json);
        Ok(format!("{open}{SUM}{}\"}}\n", sum_of(open)))
    }

    /// Parses a line with its line end; `None` if it is damaged.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let body = text.strip_suffix("\"}\n")?;
        let (open, sum) = body.split_at_checked(body.len().checked_sub(SUM_DIGITS)?)?;
        let open = open.strip_suffix(SUM)?;
        if sum_of(open) != sum {
            return None;
        }
        serde_json::from_str(&format!("{open}}}")).ok()
    }
}

fn sum_of(text: &str) -> String {
    let digest = sha256(&[text.as_bytes()]);
    HEXLOWER.encode(&digest[..SUM_DIGITS / 2])
}
