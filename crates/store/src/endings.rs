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
//! of its own, [`What::Begins`], and nothing older can be recovered by it.

use crate::ChannelPatch;
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, SigningKeyId},
    key::KeyState,
    policy::GroupSettings,
    secret::sha256,
    time::UnixTime,
    view::{ChannelChange, Entry},
};

/// A commit, by the life of the store and its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Commit {
    /// The life.
    pub epoch: u64,
    /// The place.
    pub commit: u64,
}

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// The commit that it belongs to.
    #[serde(flatten)]
    pub commit: Commit,
    /// When, in seconds since 1970.
    pub at: UnixTime,
    /// What was taken away.
    #[serde(flatten)]
    pub what: What,
}

/// What was taken away, or changed so that a restore would undo it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// All that came after this commit of this store is here.
    Begins {
        /// Which store, in hex digits.
        store: String,
    },
    /// Tokens ended, or the channel's state changed.
    Channel {
        /// Of which channel.
        channel: ChannelId,
        /// As in the change log.
        change: ChannelChange,
    },
    /// A signing key was removed or bounded.
    SigningKey {
        /// Which.
        key: SigningKeyId,
        /// What it is good for now.
        #[serde(flatten)]
        state: KeyState,
    },
    /// A channel's secret was replaced.
    Secret {
        /// Whose.
        channel: ChannelId,
        /// The SHA-256 of the new one, in hex digits.
        sha256: String,
        /// Until when the one before it is taken, if at all.
        previous_until: Option<UnixTime>,
    },
    /// An assertion key was deleted.
    AssertionKey {
        /// Whose.
        channel: ChannelId,
        /// Which.
        key: AssertionKeyId,
    },
    /// A channel's rules were changed.
    Rules {
        /// Whose.
        channel: ChannelId,
        /// To what.
        rules: ChannelPatch,
    },
    /// A group's rules were changed.
    GroupRules {
        /// Whose.
        channel: ChannelId,
        /// Of which group.
        group: Group,
        /// To what.
        rules: GroupSettings,
    },
}

impl What {
    /// What the log keeps of an entry of the change log.
    #[must_use]
    pub fn of(entry: &Entry) -> Option<Self> {
        match entry {
            Entry::Channel { change: ChannelChange::Forget { .. }, .. } => None,
            Entry::Channel { channel, change } => {
                Some(Self::Channel { channel: *channel, change: change.clone() })
            }
            Entry::SigningKey(it) => match it.state {
                KeyState::Removed | KeyState::Bounded { .. } => {
                    Some(Self::SigningKey { key: it.key.id(), state: it.state })
                }
                _ => None,
            },
        }
    }
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
        "the endings log {}: line {line} is damaged; bring back an undamaged copy of the file, or \
         choose --end-everything", path.display()
    )]
    Damaged {
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
         --end-everything", path.display(), store.epoch, store.commit, begins.epoch, begins.commit
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

/// A log that is being written.
#[derive(Debug)]
pub struct EndingsLog {
    file: File,
    path: PathBuf,
    /// So many bytes of it belong to commits that happened.
    good: u64,
    /// So many were written for the commit under way.
    written: u64,
}

/// What a store says of itself when its log is opened.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Which store it is, in hex digits.
    pub store: String,
    /// Its last commit.
    pub last: Commit,
    /// Its last commit that held something for the log.
    pub last_ending: Commit,
    /// The highest time that it has written.
    pub at: UnixTime,
}

impl EndingsLog {
    /// Opens the log in `path` to go on with it, making it if it is not there. What
    /// a crash left behind the last whole line is cut off: nobody was told of it.
    /// Where endings are missing, a line says that the log begins anew. Answers
    /// also the last commit that the log knew of.
    ///
    /// # Errors
    /// [`Error`].
    pub fn open(path: &Path, standing: &Standing) -> Result<(Self, Option<Commit>), Error> {
        let io = |error| Error::Io(path.to_owned(), error);
        let mut open = OpenOptions::new();
        let open = open.create(true).truncate(false).read(true).write(true).mode(0o600);
        let file = open.open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let mut log = Self { file, path: path.to_owned(), good: 0, written: 0 };
        let last = log.find_end(standing)?;
        if last.is_none_or(|last| last < standing.last_ending) {
            if last.is_some() || standing.last.commit > 0 {
                tracing::warn!(log = %path.display(),
                    "the endings log begins here: it can be replayed onto backups that are made \
                     from now on, so make one");
            }
            let begins = What::Begins { store: standing.store.clone() };
            log.append(standing.last, standing.at, &[begins]).map_err(io)?;
            log.keep();
            super::sqlite::sync_folder(path).map_err(io)?;
        }
        Ok((log, last))
    }

    /// Sets `good` behind the last whole line, cuts off what follows it, and
    /// answers the commit of that line.
    fn find_end(&mut self, standing: &Standing) -> Result<Option<Commit>, Error> {
        let io = |error| Error::Io(self.path.clone(), error);
        let length = self.file.metadata().map_err(io)?.len();
        let mut first = Vec::new();
        BufReader::new(&self.file).read_until(b'\n', &mut first).map_err(io)?;
        if !first.ends_with(b"\n") {
            // Not even a first line was written whole.
            self.file.set_len(0).map_err(io)?;
            return Ok(None);
        }
        match parse(&first).map(|line| line.what) {
            Some(What::Begins { store }) if store == standing.store => {}
            Some(What::Begins { .. }) => return Err(Error::OtherStore(self.path.clone())),
            _ => return Err(Error::Damaged { path: self.path.clone(), line: 1 }),
        }
        let from = length.saturating_sub(LONGEST);
        self.file.seek(SeekFrom::Start(from)).map_err(io)?;
        let mut tail = Vec::new();
        self.file.read_to_end(&mut tail).map_err(io)?;
        let whole = whole_part(&tail);
        self.good = from + whole.len() as u64;
        if self.good < length {
            tracing::warn!(log = %self.path.display(), bytes = length - self.good,
                "cut off the end of the endings log, which a crash had torn");
            self.file.set_len(self.good).and_then(|()| self.file.sync_all()).map_err(io)?;
        }
        let body = &whole[..whole.len() - 1];
        let begin = body.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        match parse(&whole[begin..]) {
            Some(line) => Ok(Some(line.commit)),
            None => {
                let text = std::fs::read(&self.path).map_err(io)?;
                let line = text.iter().filter(|&&byte| byte == b'\n').count();
                Err(Error::Damaged { path: self.path.clone(), line })
            }
        }
    }

    /// Appends what a commit takes away and sees it onto the disk.
    ///
    /// # Errors
    /// It could not be written; [`Self::take_back`] leaves nothing of it then.
    pub fn append(&mut self, commit: Commit, at: UnixTime, whats: &[What]) -> io::Result<()> {
        let mut text = String::new();
        for what in whats {
            text.push_str(&write(&Line { commit, at, what: what.clone() })?);
        }
        self.file.set_len(self.good)?;
        self.file.seek(SeekFrom::Start(self.good))?;
        self.file.write_all(text.as_bytes())?;
        self.file.sync_data()?;
        self.written = text.len() as u64;
        Ok(())
    }

    /// The commit happened.
    pub fn keep(&mut self) {
        self.good += std::mem::take(&mut self.written);
    }

    /// The commit did not happen. Should the file not let go of it, it does no
    /// harm, and the next one writes over it.
    pub fn take_back(&mut self) {
        self.written = 0;
        if let Err(error) = self.file.set_len(self.good) {
            tracing::warn!(%error, log = %self.path.display(), "an ending that failed stays in the endings log");
        }
    }
}

/// No line is longer, in bytes: the longest is a fold, which names 30 tokens.
const LONGEST: u64 = 64 * 1024;

/// All up to the last line's end, which a crash may have left without the rest of
/// its line, or with zeros where data was to come.
fn whole_part(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    &text[..end]
}

/// What of `path` a store lacks that stands as `standing` says, in its order.
///
/// # Errors
/// [`Error`].
pub fn read(path: &Path, standing: &Standing) -> Result<Vec<Line>, Error> {
    let io = |error| Error::Io(path.to_owned(), error);
    let mut text = BufReader::new(File::open(path).map_err(io)?);
    let mut lacking = Vec::new();
    let mut begins = None;
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        let read = text.by_ref().take(LONGEST).read_until(b'\n', &mut bytes).map_err(io)?;
        if read == 0 || whole_part(&bytes).is_empty() && at_end(&mut text).map_err(io)? {
            break;
        }
        let damaged = || Error::Damaged { path: path.to_owned(), line: number };
        let line = parse(&bytes).ok_or_else(damaged)?;
        match line.what {
            What::Begins { store } if store == standing.store => begins = Some(line.commit),
            What::Begins { .. } => return Err(Error::OtherStore(path.to_owned())),
            _ if line.commit > standing.last => lacking.push(line),
            _ => {}
        }
    }
    match begins {
        Some(begins) if begins <= standing.last => Ok(lacking),
        Some(begins) => Err(Error::Gap { path: path.to_owned(), store: standing.last, begins }),
        None => Err(Error::Damaged { path: path.to_owned(), line: 1 }),
    }
}

/// Whether nothing follows but zeros.
fn at_end(text: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let rest = text.fill_buf()?;
        if rest.is_empty() {
            return Ok(true);
        }
        if rest.iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        let length = rest.len();
        text.consume(length);
    }
}

const SUM: &str = r#","sum":""#;
const SUM_DIGITS: usize = 16;

/// The line as it is written: its JSON, with the sum of all before it as the last
/// member.
fn write(line: &Line) -> io::Result<String> {
    let json = serde_json::to_string(line)?;
    let open = json.strip_suffix('}').unwrap_or(&json);
    Ok(format!("{open}{SUM}{}\"}}\n", sum_of(open)))
}

fn parse(bytes: &[u8]) -> Option<Line> {
    let text = std::str::from_utf8(bytes).ok()?;
    let body = text.strip_suffix("\"}\n")?;
    let (open, sum) = body.split_at_checked(body.len().checked_sub(SUM_DIGITS)?)?;
    let open = open.strip_suffix(SUM)?;
    if sum_of(open) != sum {
        return None;
    }
    serde_json::from_str(&format!("{open}}}")).ok()
}

fn sum_of(text: &str) -> String {
    let digest = sha256(&[text.as_bytes()]);
    digest[..SUM_DIGITS / 2].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: &str = "0b";

    fn at(commit: u64) -> Commit {
        Commit { epoch: 1, commit }
    }

    fn standing(last: u64, last_ending: u64) -> Standing {
        Standing {
            store: STORE.into(),
            last: at(last),
            last_ending: at(last_ending),
            at: UnixTime(0),
        }
    }

    fn removal(key: u8) -> What {
        What::SigningKey { key: SigningKeyId([key; 8]), state: KeyState::Removed }
    }

    /// A log whose store made commits 1 to 3, each with an ending.
    fn log() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("endings");
        let (mut log, _) = EndingsLog::open(&path, &standing(0, 0)).unwrap();
        for commit in 1..=3 {
            log.append(at(commit), UnixTime(7), &[removal(u8::try_from(commit).unwrap())]).unwrap();
            log.keep();
        }
        (folder, path)
    }

    fn lacking(path: &Path, last: u64) -> Vec<u64> {
        let lines = read(path, &standing(last, 0)).unwrap();
        lines.iter().map(|line| line.commit.commit).collect()
    }

    #[test]
    fn a_store_lacks_what_was_committed_after_it() {
        let (_folder, path) = log();
        assert_eq!(lacking(&path, 0), [1, 2, 3]);
        assert_eq!(lacking(&path, 2), [3]);
        assert_eq!(lacking(&path, 9), [0; 0]);
    }

    #[test]
    fn a_torn_last_line_is_passed_over_and_cut_off() {
        let whole = {
            let (_folder, path) = log();
            std::fs::read(&path).unwrap()
        };
        let last = whole[..whole.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
        for end in last..whole.len() {
            for zeros in [0, 1, 5000] {
                let (_folder, path) = log();
                let torn = [&whole[..end], &vec![0; zeros]].concat();
                std::fs::write(&path, torn).unwrap();
                assert_eq!(lacking(&path, 0), [1, 2], "cut at {end}, then {zeros} zeros");
                let (mut log, known) = EndingsLog::open(&path, &standing(2, 2)).unwrap();
                assert_eq!(known, Some(at(2)));
                log.append(at(3), UnixTime(7), &[removal(9)]).unwrap();
                assert_eq!(lacking(&path, 0), [1, 2, 3]);
            }
        }
    }

    #[test]
    fn a_changed_byte_is_an_error_that_names_its_line() {
        let (_folder, path) = log();
        let whole = std::fs::read(&path).unwrap();
        let ends: Vec<usize> = (0..whole.len()).filter(|&at| whole[at] == b'\n').collect();
        for place in 0..whole.len() - 1 {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            let number = 1 + ends.iter().filter(|&&end| end < place).count();
            match read(&path, &standing(0, 0)) {
                Err(Error::Damaged { line, .. }) => assert_eq!(line, number, "byte {place}"),
                other => panic!("byte {place}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_did_not_happen_is_taken_back() {
        let (_folder, path) = log();
        let (mut log, _) = EndingsLog::open(&path, &standing(3, 3)).unwrap();
        log.append(at(4), UnixTime(8), &[removal(4), removal(5)]).unwrap();
        log.take_back();
        assert_eq!(lacking(&path, 0), [1, 2, 3]);
        log.append(at(4), UnixTime(8), &[removal(6)]).unwrap();
        log.keep();
        assert_eq!(lacking(&path, 0), [1, 2, 3, 4]);
    }

    #[test]
    fn a_log_that_was_left_out_for_a_while_begins_anew_and_refuses_what_is_older() {
        let (_folder, path) = log();
        // Nothing that it should hold was committed meanwhile: it goes on.
        drop(EndingsLog::open(&path, &standing(50, 3)).unwrap());
        assert_eq!(lacking(&path, 1), [2, 3]);
        drop(EndingsLog::open(&path, &standing(60, 55)).unwrap());
        assert!(matches!(
            read(&path, &standing(59, 0)),
            Err(Error::Gap { begins, .. }) if begins == at(60)
        ));
        assert_eq!(lacking(&path, 60), [0; 0]);
    }

    #[test]
    fn another_stores_log_and_one_in_use_are_refused() {
        let (_folder, path) = log();
        let other = Standing { store: "0c".into(), ..standing(3, 3) };
        assert!(matches!(EndingsLog::open(&path, &other), Err(Error::OtherStore(_))));
        assert!(matches!(read(&path, &other), Err(Error::OtherStore(_))));
        let _held = EndingsLog::open(&path, &standing(3, 3)).unwrap();
        assert!(matches!(EndingsLog::open(&path, &standing(3, 3)), Err(Error::InUse(_))));
    }
}
