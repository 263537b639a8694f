//! The clocks of this machine, and randomness.

use crate::clocks::{Clocks, Steady};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// How far apart both clocks may be read, in nanoseconds.
const APART: i64 = 10_000_000;
/// How often they are read at most.
const READS: usize = 5;

fn read(clock: ClockId) -> i64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    tv_sec.saturating_mul(1_000_000_000).saturating_add(tv_nsec)
}

/// Reads the steady clock.
pub(super) fn steady() -> Steady {
    Steady(read(ClockId::Boottime))
}

/// Reads both clocks. On a busy machine the thread may stand still between the two, which
/// would look as if the wall clock had been set: then they are read again.
pub(super) fn now() -> Clocks {
    let mut steady = read(ClockId::Boottime);
    let mut wall = read(ClockId::Realtime);
    for _ in 1..READS {
        let after = read(ClockId::Boottime);
        if after.saturating_sub(steady) < APART {
            break;
        }
        (steady, wall) = (after, read(ClockId::Realtime));
    }
    Clocks { steady: Steady(steady), wall }
}

/// Random bytes.
#[expect(clippy::disallowed_methods, reason = "this is the crate's one source of randomness")]
pub(super) fn random_bytes() -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).ok().map(|()| bytes)
}

/// A random number from 0 to below 1. Without random bytes it is a half: retries are less
/// spread then.
pub(super) fn random_unit() -> f64 {
    let bytes = random_bytes().unwrap_or([0x80; 16]);
    let number = u64::from(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    number as f64 / (1_u64 << 32) as f64
}
