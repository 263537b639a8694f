//! The endings log: whatever a restored backup would wake again, one JSON object
//! a line, on the disk before anybody was told that it is done.
//!
//! A backup knows nothing of what was revoked after it. So each act that takes
//! something away also leaves a line here, in a file that is kept apart from the
//! store: written and synchronised just before the commit, so that no acknowledged
//! ending can be missing. (One whose commit failed then is harmless: nobody was
//! told that it did not happen.) [`read`] gives recovery what a store lacks.
//!
//! A line names the commit that it belongs to, which tells what a backup has
//! already. Where the log does not reach back without a gap it says so in a line
//! of its own, [`JournalEntry::Begins`], and nothing older can be recovered by it.
//!
//! [`log`] writes, and goes on where a file was taken away; `read` reads what
//! recovery needs.

mod log;
mod read;
#[cfg(test)]
mod tests;

use data_encoding::HEXLOWER;
pub use log::{Failed, RevocationJournal};
pub use read::{Reading, Torn, read};
pub use tegata_policy::acts::{Commit, JournalEntry};

use serde::{Deserialize, Serialize};
use std::{io, path::PathBuf};
use tegata_policy::secret::sha256;
use tegata_token::time::UnixTime;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalLine {
    /// The commit that it belongs to.
    #[serde(flatten)]
    pub commit: Commit,
    /// When, in seconds since 1970.
    pub at: UnixTime,
    /// What was taken away.
    #[serde(flatten)]
    pub what: JournalEntry,
}

/// Why an endings log is not used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written.
    #[error("the endings log {}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
    /// Somebody else writes to it.
    #[error("the endings log {} is in use by another process; each store needs its own", .0.display())]
    InUse(PathBuf),
    /// A line is not as it was written.
    #[error(
        "the endings log {}: line {line} is damaged; bring back an undamaged copy of the file. To \
         recover without one, choose --revoke-everything; to serve, move it away and make a backup \
         at once", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// Lines do not stand in the order in which things happened.
    #[error(
        "the endings log {}: line {line} is older than the one before it; if the file was put \
         together from parts, join them oldest first", path.display()
    )]
    OutOfOrder {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// It is another store's.
    #[error("the endings log {} belongs to another store", .0.display())]
    OtherStore(PathBuf),
    /// It does not reach back to the backup.
    #[error(
        "the endings log {} does not reach back to this store, which stands at commit {}-{}: what \
         was ended before {}-{} may be missing from it. Bring a newer backup, or choose \
         --revoke-everything", path.display(), store.epoch, store.commit, begins.epoch, begins.commit
    )]
    Gap {
        /// The file.
        path: PathBuf,
        /// Where the store stands.
        store: Commit,
        /// From where on the log is whole.
        begins: Commit,
    },
}

/// What a store says of itself when its log is opened.
#[derive(Debug, Clone)]
pub struct JournalState {
    /// Which store it is, in hex digits.
    pub store: String,
    /// Its last commit.
    pub last: Commit,
    /// Its last commit that held something for the log.
    pub last_revocation: Commit,
    /// The highest time that it has written.
    pub at: UnixTime,
    /// The owner of the store, to whom a new log is given.
    pub owner: Option<crate::file::Owner>,
}

/// No line is longer, in bytes: the longest is a fold, which names 30 tokens.
const LONGEST: u64 = 64 * 1024;

/// All up to the last line's end, which a crash may have left without the rest of
/// its line, or with zeros where data was to come.
fn whole_part(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    &text[..end]
}

const SUM: &str = r#","sum":""#;
const SUM_DIGITS: usize = 16;

impl JournalLine {
    /// The line as it is written: its JSON, with the sum of all before it as the last
    /// member.
    ///
    /// # Errors
    /// It cannot be written as JSON, which no line that there is does.
    pub fn to_text(&self) -> io::Result<String> {
        let json = serde_json::to_string(self)?;
        let open = json.strip_suffix('}').unwrap_or(&json);
        Ok(format!("{open}{SUM}{}\"}}\n", sum_of(open)))
    }

    /// Reads a line, its end included; `None` if it is not as it was written.
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
