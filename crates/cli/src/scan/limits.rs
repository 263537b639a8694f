//! Limits on unpacking, so that a small file costs little whatever it claims to contain.

use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
    time::{Duration, Instant},
};
use tegata_server::authority::clock::Clock;

/// The limits for unpacking one file.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Maximum number of bytes for a file of any size.
    pub free: u64,
    /// Additional bytes for each byte of the file.
    pub ratio: u64,
    /// Maximum time.
    pub time: Duration,
    /// Maximum depth of nested containers.
    pub depth: usize,
    /// Maximum bytes of an archive within another container, which is held in memory.
    pub held: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            free: 64 << 20,
            ratio: 200,
            time: Duration::from_secs(600),
            depth: 5,
            held: 64 << 20,
        }
    }
}

/// The remaining budget for unpacking one file.
#[derive(Clone)]
pub struct Budget {
    limits: Limits,
    /// Bytes read of the file itself, each counted once.
    read: Rc<Cell<u64>>,
    unpacked: Rc<Cell<u64>>,
    clock: Rc<Clock>,
    began: Instant,
}

impl Budget {
    pub fn new(limits: Limits) -> Self {
        let clock = Rc::new(Clock::new());
        let began = clock.steady();
        Self { limits, read: Rc::default(), unpacked: Rc::default(), clock, began }
    }

    /// Records that this many bytes of the file itself were read.
    pub fn has_read(&self, bytes: u64) {
        self.read.set(self.read.get().saturating_add(bytes));
    }

    /// The limit that is exceeded, if one is.
    pub fn is_spent(&self) -> Option<String> {
        let Limits { free, ratio, time, .. } = self.limits;
        if self.unpacked.get() > free.saturating_add(self.read.get().saturating_mul(ratio)) {
            return Some(format!("it unpacks to more than {ratio} times its size"));
        }
        if self.clock.steady().duration_since(self.began) > time {
            return Some(format!("unpacking it takes longer than {} s", time.as_secs()));
        }
        None
    }
}

/// A reader whose bytes count as unpacked.
pub struct Unpacked<R> {
    pub from: R,
    pub budget: Budget,
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if let Some(why) = self.budget.is_spent() {
            return Err(io::Error::other(why));
        }
        let read = self.from.read(room)?;
        let sum = self.budget.unpacked.get() + u64::try_from(read).unwrap_or(u64::MAX);
        self.budget.unpacked.set(sum);
        Ok(read)
    }
}

/// A reader of the file itself.
pub struct Source<R> {
    pub from: R,
    pub budget: Budget,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(room)?;
        self.budget.has_read(u64::try_from(read).unwrap_or(0));
        Ok(read)
    }
}
