//! Writing an endings log, for as long as its store is open.
//!
//! Whatever was acknowledged must be in the file that the operator will find under
//! its name. So before each line the file is looked at: one that was moved away,
//! removed or cut is taken up again as at a start, which says where it begins.

use super::{Commit, Error, JournalEntry, JournalLine, JournalState, LONGEST, whole_part};
use crate::file::{Owner, open_or_create, sync_folder};
use std::{
    fs::{File, TryLockError},
    io::{self, BufRead, BufReader, Seek},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};
use tegata_token::time::UnixTime;

/// A log that is being written.
#[derive(Debug)]
pub struct RevocationJournal {
    file: File,
    path: PathBuf,
    /// To whom a new file under its name is given.
    owner: Owner,
    /// Of which store it is, in hex digits.
    store: String,
    /// So many bytes of it belong to commits that happened.
    good: u64,
    /// So many were written for the commit under way, which is this one.
    written: u64,
    writing: Commit,
    /// The last commit that happened and held something for it.
    last_revocation: Commit,
    /// Behind `good` there may be something.
    dirty: bool,
    /// `good` is where the file ends; `false` while it is not known where that is.
    known: bool,
}

/// Why nothing was logged.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// It is not in the log, or not as part of it. It can be tried again.
    #[error(transparent)]
    NotWritten(#[from] Error),
    /// What is on the log's disk is not known.
    #[error("{0}; what is on its disk is not known")]
    Unknown(Error),
}

/// What stands under the log's name.
enum There {
    /// The file that is being written, and all of it.
    Whole,
    /// That file, and less of it than was written.
    Cut,
    /// Another one, or none.
    Other,
}

impl RevocationJournal {
    /// Opens the log in `path` to go on with it, making it if it is not there. What
    /// a crash left behind the last whole line is cut off: nobody was told of it.
    /// Where endings are missing, a line says that the log begins anew. Answers
    /// also the last commit that the log knew of.
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
        // A commit that the store lacks is done again and not written a second time.
        log.last_revocation = last.filter(|&it| it > standing.last).unwrap_or(log.last_revocation);
        Ok((log, last))
    }

    /// Goes on behind what is there.
    fn take_up(&mut self, standing: &JournalState) -> Result<Option<Commit>, Error> {
        self.known = false;
        let last = self.find_end(standing)?;
        if last.is_none_or(|last| last < standing.last_revocation) {
            if last.is_some() || standing.last.commit > 0 {
                tracing::warn!(log = %self.path.display(),
                    "the endings log begins here: it can be replayed onto backups that are made \
                     from now on, so make one (older ones need the parts before it, joined)");
            }
            let last_revocation = Some(standing.last_revocation);
            let begins = JournalEntry::Begins { store: standing.store.clone(), last_revocation };
            let begins = JournalLine { commit: standing.last, at: standing.at, what: begins };
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

    /// Sets `good` behind the last whole line, cuts off what follows it, and
    /// answers the commit of that line.
    fn find_end(&mut self, standing: &JournalState) -> Result<Option<Commit>, Error> {
        let io = |error| Error::Io(self.path.clone(), error);
        let length = self.file.metadata().map_err(io)?.len();
        let mut first = Vec::new();
        self.file.rewind().map_err(io)?;
        BufReader::new(&self.file).read_until(b'\n', &mut first).map_err(io)?;
        if !first.ends_with(b"\n") {
            // Not even a first line was written whole, or this is somebody's other file.
            if !is_beginning(&first) {
                return Err(Error::Damaged { path: self.path.clone(), line: 1 });
            }
            self.file.set_len(0).map_err(io)?;
            self.good = 0;
            return Ok(None);
        }
        match JournalLine::parse(&first).map(|line| line.what) {
            Some(JournalEntry::Begins { store, .. }) if store == standing.store => {}
            Some(JournalEntry::Begins { .. }) => return Err(Error::OtherStore(self.path.clone())),
            _ => return Err(Error::Damaged { path: self.path.clone(), line: 1 }),
        }
        let mut tail = self.tail(length, 2 * LONGEST).map_err(io)?;
        // However many zeros follow: the last whole line is in it.
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
                    "cut off the end of the endings log, which a crash had torn");
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

    /// The lines at its end that tell of more than the store's `last` commit: the
    /// commit that they were written for may never have happened.
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
            // The line before them is in the window, too, or there is none.
            if window >= self.good || ahead.iter().map(bytes).sum::<u64>() + LONGEST < window {
                ahead.reverse();
                return Ok(ahead);
            }
            window *= 4;
        }
    }

    /// Appends what a commit takes away and sees it onto the disk.
    ///
    /// # Errors
    /// [`Failed`]; [`Self::take_back`] leaves nothing of it then.
    pub fn append(
        &mut self,
        commit: Commit,
        at: UnixTime,
        whats: &[JournalEntry],
    ) -> Result<(), Failed> {
        self.be_in_place(Commit { commit: commit.commit.saturating_sub(1), ..commit }, at)?;
        let io = |error| Error::Io(self.path.clone(), error);
        let mut text = String::new();
        for what in whats {
            text.push_str(&JournalLine { commit, at, what: what.clone() }.to_text().map_err(io)?);
        }
        self.dirty = true;
        self.file.set_len(self.good).map_err(io)?;
        self.file.write_all_at(text.as_bytes(), self.good).map_err(io)?;
        self.file.sync_data().map_err(|error| match error.kind() {
            // Some file systems find out only then that there is no room.
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => io(error).into(),
            _ => Failed::Unknown(io(error)),
        })?;
        (self.written, self.writing) = (text.len() as u64, commit);
        Ok(())
    }

    /// The commit happened.
    pub fn keep(&mut self) {
        if self.written > 0 {
            self.good += std::mem::take(&mut self.written);
            (self.last_revocation, self.dirty) = (self.writing, false);
        }
    }

    /// The commit did not happen. Should the file not let go of it, it does no
    /// harm, and the next one writes over it.
    pub fn take_back(&mut self) {
        self.written = 0;
        if !self.known || !std::mem::take(&mut self.dirty) {
            return;
        }
        if let Err(error) = self.file.set_len(self.good) {
            tracing::warn!(%error, log = %self.path.display(), "an ending that failed stays in the endings log");
        }
    }

    /// Whether there is room for any line, in the file where it belongs; `last` is
    /// the store's last commit, and `at` its time.
    ///
    /// # Errors
    /// [`Failed::NotWritten`].
    pub fn try_out(&mut self, last: Commit, at: UnixTime) -> Result<(), Failed> {
        self.be_in_place(last, at)?;
        let io = |error| Error::Io(self.path.clone(), error);
        // What a crash leaves of it is cut off, as a torn line is.
        self.dirty = true;
        let tried = self.file.write_all_at(&[0; LONGEST as usize], self.good);
        let taken_back = self.file.set_len(self.good);
        self.dirty = taken_back.is_err();
        Ok(tried.and(taken_back).map_err(io)?)
    }

    /// Sees to it that what is written stands under the log's name.
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
            "the endings log was moved, removed or cut while it was written; it goes on there");
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

/// Whether these bytes can be how a log begins, broken off.
fn is_beginning(bytes: &[u8]) -> bool {
    const BEGINNING: &[u8] = br#"{"epoch":"#;
    let there = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
    let both = there.min(BEGINNING.len());
    bytes[..both] == BEGINNING[..both]
}
