//! Writes a revocation journal while its store is open.
//!
//! Everything that was acknowledged must be in the file that the operator finds at the
//! journal's path. So the writer tests the path before each line: a file that was moved
//! away, removed or truncated is opened again as at a start, with a line that marks its
//! beginning.

use super::{Author, Commit, Error, JournalEntry, JournalLine, JournalState, LONGEST, whole_part};
use crate::file::{Owner, open_or_create, sync_folder};
use std::{
    fs::{File, TryLockError},
    io::{self, BufRead, BufReader, Read, Seek},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};
use tegata_token::time::UnixTime;

/// A journal that is open for writing.
#[derive(Debug)]
pub struct RevocationJournal {
    file: File,
    path: PathBuf,
    /// The owner of a new file at its path.
    owner: Owner,
    /// What its store is called.
    store: String,
    /// Length in bytes of the lines whose commits happened.
    good: u64,
    /// Length of the lines for the commit under way, which is `writing`.
    written: u64,
    writing: Commit,
    /// The last commit that happened and has a line.
    last_revocation: Commit,
    /// Whether there may be data after `good`.
    dirty: bool,
    /// Whether `good` is known to be the end of the complete lines.
    known: bool,
}

/// Why an entry was not written.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The entry is not in the journal. It can be tried again.
    #[error(transparent)]
    NotWritten(#[from] Error),
    /// It is unknown what is on the journal's disk.
    #[error("{0}; it is unknown what is on its disk")]
    Unknown(Error),
}

/// The first line, however much follows it.
fn first_line(file: &File) -> io::Result<Vec<u8>> {
    let mut first = Vec::new();
    BufReader::new(file.take(LONGEST)).read_until(b'\n', &mut first)?;
    Ok(first)
}

/// What is at the journal's path.
enum There {
    /// The open file, with everything that was written.
    Whole,
    /// The open file, truncated.
    Cut,
    /// Another file, or none.
    Other,
}

impl RevocationJournal {
    /// Opens the journal at `path` to append to it, and creates it if necessary. An
    /// incomplete last line that a crash left is removed: no client got a success
    /// response for it. If revocations are missing, a line marks that the journal begins
    /// anew. Also returns the last commit in the journal.
    ///
    /// # Errors
    /// [`Error`].
    pub fn open(path: &Path, standing: &JournalState) -> Result<(Self, Option<Commit>), Error> {
        let io = |error| Error::Io(path.to_owned(), error);
        let owner = standing.owner.map_or_else(|| Owner::of(path), Ok).map_err(io)?;
        let file = open_or_create(path, owner).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let mut log = Self {
            file,
            path: path.to_owned(),
            owner,
            store: standing.store.clone(),
            good: 0,
            written: 0,
            writing: standing.last,
            last_revocation: standing.last_revocation,
            dirty: false,
            known: false,
        };
        let last = log.take_up(standing)?;
        // A commit that the store lacks is replayed and not written a second time.
        log.last_revocation = last.filter(|&it| it > standing.last).unwrap_or(log.last_revocation);
        Ok((log, last))
    }

    /// Checks that the journal at `path` is one of this store, if there is one, and changes nothing.
    ///
    /// # Errors
    /// [`Error`].
    pub fn check(path: &Path, standing: &JournalState) -> Result<(), Error> {
        let first = match File::open(path) {
            Ok(file) => first_line(&file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => Err(error),
        };
        let first = first.map_err(|error| Error::Io(path.to_owned(), error))?;
        match JournalLine::parse(&first).map(|line| line.what) {
            Some(JournalEntry::Begins { store, .. }) => standing.owns(path, &store),
            // What is wrong with it is found when it is opened.
            _ => Ok(()),
        }
    }

    /// Prepares the file for appending.
    fn take_up(&mut self, standing: &JournalState) -> Result<Option<Commit>, Error> {
        self.known = false;
        let last = self.find_end(standing)?;
        if last.is_none_or(|last| last < standing.last_revocation) {
            if last.is_some() || standing.last.commit > 0 {
                tracing::warn!(log = %self.path.display(),
                    "the revocation journal begins here: it can be replayed onto backups that are made \
                     from now on, so make one (older ones need the parts before it, joined)");
            }
            let last_revocation = Some(standing.last_revocation);
            let begins = JournalEntry::Begins { store: standing.store.clone(), last_revocation };
            let begins =
                JournalLine { commit: standing.last, at: standing.at, by: None, what: begins };
            let io = |error| Error::Io(self.path.clone(), error);
            let text = begins.to_text().map_err(io)?;
            self.file.write_all_at(text.as_bytes(), self.good).map_err(io)?;
            self.file.sync_data().map_err(io)?;
            sync_folder(&self.path).map_err(io)?;
            self.good += text.len() as u64;
        }
        (self.known, self.dirty, self.written) = (true, false, 0);
        Ok(last)
    }

    /// Sets `good` to the end of the last complete line, removes what follows it, and
    /// returns the commit of that line.
    fn find_end(&mut self, standing: &JournalState) -> Result<Option<Commit>, Error> {
        let io = |error| Error::Io(self.path.clone(), error);
        let length = self.file.metadata().map_err(io)?.len();
        self.file.rewind().map_err(io)?;
        let first = first_line(&self.file).map_err(io)?;
        if !first.ends_with(b"\n") {
            // Either not even the first line was written completely, or this is another
            // sort of file.
            if !is_beginning(&first) {
                return Err(Error::Damaged { path: self.path.clone(), line: 1 });
            }
            self.file.set_len(0).map_err(io)?;
            self.good = 0;
            return Ok(None);
        }
        match JournalLine::parse(&first).map(|line| line.what) {
            Some(JournalEntry::Begins { store, .. }) => standing.owns(&self.path, &store)?,
            _ => return Err(Error::Damaged { path: self.path.clone(), line: 1 }),
        }
        let mut tail = self.tail(length, 2 * LONGEST).map_err(io)?;
        // Extended until it contains the last complete line, however many zeros follow.
        while (tail.len() - whole_part(&tail).len()) as u64 > LONGEST
            && (tail.len() as u64) < length
        {
            tail = self.tail(length, tail.len() as u64 * 4).map_err(io)?;
        }
        let whole = whole_part(&tail);
        self.good = length - (tail.len() - whole.len()) as u64;
        if self.good < length {
            if tail[whole.len()..].iter().any(|&byte| byte != 0) {
                tracing::warn!(log = %self.path.display(), bytes = length - self.good,
                    "removed the incomplete last line of the revocation journal, which a crash left");
            }
            self.file.set_len(self.good).and_then(|()| self.file.sync_all()).map_err(io)?;
        }
        match whole.split_inclusive(|&byte| byte == b'\n').next_back().and_then(JournalLine::parse)
        {
            Some(line) => Ok(Some(line.commit)),
            None => {
                let text = std::fs::read(&self.path).map_err(io)?;
                let line = text.iter().filter(|&&byte| byte == b'\n').count();
                Err(Error::Damaged { path: self.path.clone(), line })
            }
        }
    }

    /// The last `most` of the first `length` bytes.
    fn tail(&self, length: u64, most: u64) -> io::Result<Vec<u8>> {
        let mut tail = vec![0; usize::try_from(length.min(most)).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut tail, length.saturating_sub(most))?;
        Ok(tail)
    }

    /// The last lines whose commits are later than the store's `last` commit, which may
    /// never have happened.
    ///
    /// # Errors
    /// [`Error`].
    pub fn ahead_of(&self, last: Commit) -> Result<Vec<JournalLine>, Error> {
        let mut window = LONGEST;
        loop {
            let io = |error| Error::Io(self.path.clone(), error);
            let tail = self.tail(self.good, window).map_err(io)?;
            let lines =
                tail.split_inclusive(|&byte| byte == b'\n').rev().map_while(JournalLine::parse);
            let mut ahead: Vec<JournalLine> = lines.take_while(|line| line.commit > last).collect();
            let bytes = |it: &JournalLine| it.to_text().map_or(0, |text| text.len() as u64);
            // The window also contains the line before them, if there is one.
            if window >= self.good || ahead.iter().map(bytes).sum::<u64>() + LONGEST < window {
                ahead.reverse();
                return Ok(ahead);
            }
            window *= 4;
        }
    }

    /// Appends what a commit takes away, and synchronises the file.
    ///
    /// # Errors
    /// [`Failed`]; call [`Self::take_back`] then to remove what was written.
    pub fn append(
        &mut self,
        commit: Commit,
        at: UnixTime,
        entries: &[(Option<Author>, JournalEntry)],
    ) -> Result<(), Failed> {
        let line = |(by, what): (_, _)| JournalLine { commit, at, by, what };
        self.append_lines(&entries.iter().cloned().map(line).collect::<Vec<_>>())
    }

    /// Appends lines of one or several commits, in their order, and synchronises the file.
    ///
    /// # Errors
    /// [`Failed`]; call [`Self::take_back`] then to remove what was written.
    pub fn append_lines(&mut self, lines: &[JournalLine]) -> Result<(), Failed> {
        let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return Ok(()) };
        let before = first.commit.commit.saturating_sub(1);
        self.be_in_place(Commit { commit: before, ..first.commit }, first.at)?;
        let io = |error| Error::Io(self.path.clone(), error);
        let mut text = String::new();
        for line in lines {
            text.push_str(&line.to_text().map_err(io)?);
        }
        self.dirty = true;
        self.file.set_len(self.good).map_err(io)?;
        self.file.write_all_at(text.as_bytes(), self.good).map_err(io)?;
        self.file.sync_data().map_err(|error| match error.kind() {
            // Some file systems report a full disk only at this point.
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => io(error).into(),
            _ => Failed::Unknown(io(error)),
        })?;
        (self.written, self.writing) = (text.len() as u64, last.commit);
        Ok(())
    }

    /// Records that the commit happened.
    pub fn keep(&mut self) {
        if self.written > 0 {
            self.good += std::mem::take(&mut self.written);
            (self.last_revocation, self.dirty) = (self.writing, false);
        }
    }

    /// Removes the lines of a commit that did not happen. If the file cannot be
    /// truncated, they do no harm, and the next lines overwrite them.
    pub fn take_back(&mut self) {
        self.written = 0;
        if !self.known || !std::mem::take(&mut self.dirty) {
            return;
        }
        if let Err(error) = self.file.set_len(self.good) {
            tracing::warn!(%error, log = %self.path.display(), "a revocation that failed stays in the revocation journal");
        }
    }

    /// Tests that a line of any length can be written at the journal's path; `last` is
    /// the store's last commit, and `at` its time.
    ///
    /// # Errors
    /// [`Failed::NotWritten`].
    pub fn try_out(&mut self, last: Commit, at: UnixTime) -> Result<(), Failed> {
        self.be_in_place(last, at)?;
        let io = |error| Error::Io(self.path.clone(), error);
        // What a crash leaves of it is removed, as an incomplete line is.
        self.dirty = true;
        let tried = self.file.write_all_at(&[0; LONGEST as usize], self.good);
        let taken_back = self.file.set_len(self.good);
        self.dirty = taken_back.is_err();
        Ok(tried.and(taken_back).map_err(io)?)
    }

    /// Ensures that the open file is the one at the journal's path.
    fn be_in_place(&mut self, last: Commit, at: UnixTime) -> Result<(), Error> {
        let store = self.store.clone();
        let owner = Some(self.owner);
        let standing =
            JournalState { store, last, last_revocation: self.last_revocation, at, owner };
        match self.look().map_err(|error| Error::Io(self.path.clone(), error))? {
            There::Whole => return Ok(()),
            There::Cut => drop(self.take_up(&standing)?),
            There::Other => *self = Self::open(&self.path, &standing)?.0,
        }
        tracing::warn!(log = %self.path.display(),
            "the revocation journal was moved, removed or truncated while in use; it continues at this path");
        Ok(())
    }

    fn look(&self) -> io::Result<There> {
        let own = self.file.metadata()?;
        match std::fs::metadata(&self.path) {
            Ok(it) if (it.dev(), it.ino()) != (own.dev(), own.ino()) => Ok(There::Other),
            Ok(_) if self.known && own.len() >= self.good => Ok(There::Whole),
            Ok(_) => Ok(There::Cut),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(There::Other),
            Err(error) => Err(error),
        }
    }
}

/// Whether these bytes can be the incomplete beginning of a journal.
fn is_beginning(bytes: &[u8]) -> bool {
    const BEGINNING: &[u8] = br#"{"epoch":"#;
    let there = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
    let both = there.min(BEGINNING.len());
    bytes[..both] == BEGINNING[..both]
}
