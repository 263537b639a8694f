//! Reads a revocation journal for a recovery: which lines a store lacks, and whether the
//! journal is complete.

use super::{Commit, Error, JournalEntry, JournalLine, JournalState, LONGEST, whole_part};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

/// What a store lacks, according to its journal.
#[derive(Debug)]
pub struct Reading {
    /// The lines that the store lacks, in order.
    pub lines: Vec<JournalLine>,
    /// The last line, if it is incomplete.
    pub torn: Option<Torn>,
}

/// An incomplete last line that a crash left, and that is ignored: no client got a
/// success response for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torn {
    /// The line number, from 1.
    pub line: usize,
    /// How many bytes of it exist.
    pub bytes: usize,
}

/// Reads the lines of the journal at `path` that a store in the state `standing` lacks.
/// The parts of a rotated journal must be joined first, oldest first.
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
            JournalEntry::Begins { store, last_revocation } => {
                standing.owns(path, &store)?;
                // If nothing is missing before it, the journal is complete from the
                // earlier beginning.
                let whole = last_revocation.is_some_and(|it| before.is_some_and(|last| last >= it));
                begins = begins.filter(|_| whole).or(Some(line.commit));
            }
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

/// Whether only zeros follow.
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
