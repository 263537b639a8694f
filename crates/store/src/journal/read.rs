//! Reading an endings log for a recovery: what of it a store lacks, and whether it
//! holds all that it must.

use super::{Commit, Error, JournalEntry, JournalLine, JournalState, LONGEST, whole_part};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

/// What a log says to a store.
#[derive(Debug)]
pub struct Reading {
    /// What the store lacks, in its order.
    pub lines: Vec<JournalLine>,
    /// The last line, if it is not there as a whole.
    pub torn: Option<Torn>,
}

/// A line that a crash broke off, and that was left out: nobody was told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torn {
    /// Which, counted from 1.
    pub line: usize,
    /// So many bytes of it are there.
    pub bytes: usize,
}

/// What of `path` a store lacks that stands as `standing` says. A log that was
/// rotated is read whole when its parts are joined, the oldest first.
///
/// # Errors
/// [`Error`].
pub fn read(path: &Path, standing: &JournalState) -> Result<Reading, Error> {
    let io = |error| Error::Io(path.to_owned(), error);
    let mut text = BufReader::new(File::open(path).map_err(io)?);
    let mut reading = Reading { lines: Vec::new(), torn: None };
    let (mut begins, mut last) = (None, None);
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        let read = text.by_ref().take(LONGEST).read_until(b'\n', &mut bytes).map_err(io)?;
        if read == 0 {
            break;
        }
        if whole_part(&bytes).is_empty() && at_end(&mut text).map_err(io)? {
            let there = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
            reading.torn = (there > 0).then_some(Torn { line: number, bytes: there });
            break;
        }
        let damaged = || Error::Damaged { path: path.to_owned(), line: number };
        let line = JournalLine::parse(&bytes).ok_or_else(damaged)?;
        if last.is_some_and(|last| line.commit < last) {
            return Err(Error::OutOfOrder { path: path.to_owned(), line: number });
        }
        let before: Option<Commit> = last.replace(line.commit);
        match line.what {
            JournalEntry::Begins { store, last_revocation } if store == standing.store => {
                // Where nothing is missing in front of it, it begins where that began.
                let whole = last_revocation.is_some_and(|it| before.is_some_and(|last| last >= it));
                begins = begins.filter(|_| whole).or(Some(line.commit));
            }
            JournalEntry::Begins { .. } => return Err(Error::OtherStore(path.to_owned())),
            _ if line.commit > standing.last => reading.lines.push(line),
            _ => {}
        }
    }
    match begins {
        Some(begins) if begins <= standing.last => Ok(reading),
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
