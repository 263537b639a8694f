//! Searches files of any format for secrets: text in several encodings, and containers
//! within limits. What is not searched is reported, so that "nothing found" is reliable.

mod containers;
mod limits;
mod zstd;

pub use limits::Limits;
pub use tegata_scan::FoundSecret;

use limits::Budget;
use memchr::{memchr_iter, memrchr};
use std::{fs::File, io, io::Read};
use tegata_scan::{Finder, Flat, Scanned};
use tegata_token::wire::LONGEST;

/// A place in a text, both counted from 1; columns count bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub line: u64,
    pub column: u64,
}

impl Place {
    const FIRST: Self = Self { line: 1, column: 1 };

    /// The place after `text`, which begins here.
    fn behind(self, text: &[u8]) -> Self {
        let length = |it: usize| u64::try_from(it).unwrap_or(u64::MAX);
        match memrchr(b'\n', text) {
            None => Self { column: self.column + length(text.len()), ..self },
            Some(last) => Self {
                line: self.line + length(memchr_iter(b'\n', text).count()),
                column: length(text.len() - last),
            },
        }
    }
}

/// A result of the search.
pub enum Event<'a> {
    /// A secret, in the file itself or in a part of it.
    Found { within: Option<&'a str>, place: Place, secret: &'a FoundSecret<'a> },
    /// The file, or a part of it, was not read, or not completely.
    Unread { within: Option<&'a str>, why: &'a str },
}

/// Receives the results.
pub type Report<'a> = dyn FnMut(Event<'_>) -> io::Result<()> + 'a;

/// How much was read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Number of texts: files, and parts of containers.
    pub texts: u64,
    /// Their bytes, unpacked.
    pub bytes: u64,
}

/// Searches files, one after the other.
pub struct Scan {
    finder: Finder,
    limits: Limits,
    pub tally: Tally,
}

/// The size of the search buffer; several times the context that is kept.
const ROOM: usize = 1 << 18;

/// The searched bytes that are kept: a secret may begin before the place where it is
/// recognised.
const CONTEXT: usize = 1 << 14;

impl Scan {
    pub fn new(limits: Limits) -> anyhow::Result<Self> {
        Ok(Self { finder: Finder::new()?, limits, tally: Tally::default() })
    }

    /// Searches a file.
    ///
    /// # Errors
    /// Those of `report`. A part that cannot be read is reported.
    pub fn file(&mut self, file: File, report: &mut Report<'_>) -> io::Result<()> {
        let budget = Budget::new(self.limits);
        let mut job = containers::Job { scan: self, budget, report };
        job.file(file)
    }

    /// Searches a stream.
    ///
    /// # Errors
    /// Those of `report`.
    pub fn stream(&mut self, stream: impl Read, report: &mut Report<'_>) -> io::Result<()> {
        let budget = Budget::new(self.limits);
        let mut job = containers::Job { scan: self, budget, report };
        job.stream(stream)
    }

    /// Searches a text to its end, or to the first read error, which is the inner result.
    fn text(
        &mut self,
        mut text: impl Read,
        within: Option<&str>,
        report: &mut Report<'_>,
    ) -> io::Result<io::Result<()>> {
        self.tally.texts += 1;
        let mut window = Window::new();
        loop {
            let more = match text.read(&mut window.room[window.filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                more => more,
            };
            let read = *more.as_ref().unwrap_or(&0);
            self.tally.bytes += u64::try_from(read).unwrap_or(0);
            window.filled += read;
            let end = read == 0;
            window.look(&self.finder, end, &mut |place, secret| match secret {
                FoundSecret::Packed(name) => {
                    let why = format!("{name} in base64 at line {}", place.line);
                    report(Event::Unread { within, why: &why })
                }
                _ => report(Event::Found { within, place, secret }),
            })?;
            match more {
                Ok(0) => return Ok(Ok(())),
                Ok(_) => window.make_room(),
                Err(error) => return Ok(Err(error)),
            }
        }
    }
}

/// The search buffer, a part of a text.
struct Window {
    room: Vec<u8>,
    filled: usize,
    flat: Flat,
    /// Everything before this was searched.
    seen: usize,
    /// The place of the byte at `counted`.
    place: Place,
    counted: usize,
}

impl Window {
    fn new() -> Self {
        let place = Place::FIRST;
        Self { room: vec![0; ROOM], filled: 0, flat: Flat::default(), seen: 0, place, counted: 0 }
    }

    fn look(
        &mut self,
        finder: &Finder,
        last: bool,
        report: &mut dyn FnMut(Place, &FoundSecret<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        // With a full buffer, what is there decides.
        let decide = last || (self.filled == ROOM && self.seen <= CONTEXT);
        let Self { room, filled, flat, seen, place, counted } = self;
        let raw = &room[..*filled];
        flat.fill(raw, last);
        let text = &flat.bytes;
        let mut note = |at: usize, secret: &FoundSecret<'_>| {
            let at = flat.raw(at).max(*counted);
            *place = place.behind(&raw[*counted..at]);
            *counted = at;
            report(*place, secret)
        };
        let mut from = flat.at_raw(*seen);
        // The end of the buffer may cut off a secret.
        let mut to = if last { text.len() } else { text.len().saturating_sub(finder.longest - 1) };
        let mut pass = finder.pass(flat, decide);
        while let Some(found) = pass.next(from) {
            from = match pass.look(&found, &mut note)? {
                Scanned::Done(end) => end,
                Scanned::Nothing => found.at.start + 1,
                Scanned::Undecided => {
                    to = found.at.start;
                    break;
                }
            };
        }
        let reached = flat.raw(to.max(from.min(text.len())));
        *seen = (*seen).max(reached);
        if decide && !last {
            // A long run of bytes that flatten to nothing must not fill the buffer.
            *seen = (*seen).max(*filled / 2);
        }
        Ok(())
    }

    /// Drops the bytes that are no longer needed.
    fn make_room(&mut self) {
        let drop = self.seen.saturating_sub(CONTEXT);
        if self.counted < drop {
            self.place = self.place.behind(&self.room[self.counted..drop]);
            self.counted = drop;
        }
        self.room.copy_within(drop..self.filled, 0);
        self.filled -= drop;
        self.seen -= drop;
        self.counted -= drop;
    }
}

const _: () = assert!(ROOM > 4 * (CONTEXT + LONGEST), "a token must fit, however it is written");

#[cfg(test)]
pub mod tests;
