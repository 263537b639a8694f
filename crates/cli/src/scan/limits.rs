//! How much is unpacked at the most, so that a small file costs little whatever it
//! claims to hold.

use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
    time::{Duration, Instant},
};
use tegata_server::authority::clock::Clock;

/// Bounds for what one file is unpacked to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// So many bytes whatever the file's size is.
    pub free: u64,
    /// And so many for each byte of the file.
    pub ratio: u64,
    /// So long.
    pub time: Duration,
    /// So many containers within one another.
    pub depth: usize,
    /// An archive within another container that must be held in memory has at most so
    /// many bytes.
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

/// What one file may still be unpacked to.
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

    /// Notes that so many bytes of the file itself were read.
    pub fn has_read(&self, bytes: u64) {
        self.read.set(self.read.get().saturating_add(bytes));
    }

    /// Whether no more may be unpacked.
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
