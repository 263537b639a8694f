//! The only module that reads the machine's clocks.
//!
//! All other code takes time as an argument, so that tests and `--dev` can move it.
//! Expiry and the token rules use the wall clock plus the development offset, or, where
//! servers share a store, the clock that they have in common, which the steady clock
//! continues: there a wall clock that is set changes nothing. The time never goes backwards:
//! not within a process, and not behind a time that the store has written. Time-outs and measurements use the steady clock.

#![expect(clippy::disallowed_methods, reason = "this is the clock that the lint sends others to")]

use std::{
    sync::{
        Mutex,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tegata_token::time::{DAY, UnixTime};

/// A wall clock that never goes backwards, and a steady clock.
pub struct Clock {
    offset: AtomicI64,
    /// A base of the clock since the machine's start, in milliseconds.
    started: i64,
    /// What the clock that servers have in common showed at that base, in milliseconds;
    /// [`OWN`]: there is none.
    common: AtomicI64,
    /// How far that clock was ahead of the wall clock, in seconds.
    ahead: AtomicI64,
    highest: AtomicI64,
    drift: Mutex<Drift>,
}

/// The difference of the wall clock and the steady one, and when it last jumped.
struct Drift {
    started: Instant,
    /// The wall clock minus the steady clock, in seconds.
    wall_ahead: i64,
    jumped: Option<Instant>,
}

/// No clock in common: the server's own counts.
const OWN: i64 = i64::MIN;

/// The change of the difference between two comparisons, in seconds, that does not count
/// as a jump: the wall clock may be slewed.
const SLEW: i64 = 2;

/// How far the machine's clock may be off the one in common before the log says so, in seconds.
const APART: i64 = 30;

/// After a jump, nothing is deleted for this long.
const DISTRUST: Duration = Duration::from_secs(DAY.unsigned_abs());

impl Clock {
    /// A clock that shows the machine's time.
    #[must_use]
    pub fn new() -> Self {
        let started = Instant::now();
        let drift = Drift { started, wall_ahead: wall(), jumped: None };
        Self {
            offset: AtomicI64::new(0),
            started: since_boot_ms(),
            common: AtomicI64::new(OWN),
            ahead: AtomicI64::new(0),
            highest: AtomicI64::new(0),
            drift: Mutex::new(drift),
        }
    }

    /// The time that expiry and the token rules use.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        self.highest_with(self.shown())
    }

    /// That time, or the highest that was read or written before.
    fn highest_with(&self, shown: i64) -> UnixTime {
        let highest = self.highest.load(Relaxed);
        // Usually the same second as before; the read-modify-write is the exception.
        if shown <= highest {
            return UnixTime(highest);
        }
        UnixTime(self.highest.fetch_max(shown, Relaxed).max(shown))
    }

    /// The same in milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        let shown = self.shown_ms();
        // Ahead of the clock, the seconds stand still until it has caught up.
        let seconds = self.highest_with(shown.div_euclid(1_000)).0;
        u64::try_from(shown.max(seconds.saturating_mul(1_000))).unwrap_or(0)
    }

    fn shown(&self) -> i64 {
        self.shown_ms().div_euclid(1_000)
    }

    fn shown_ms(&self) -> i64 {
        let clock = match self.common.load(Relaxed) {
            OWN => wall_ms(),
            common => common + self.elapsed(),
        };
        clock + self.offset.load(Relaxed).saturating_mul(1_000)
    }

    /// Milliseconds since the base, of which the machine may have been suspended for a part.
    fn elapsed(&self) -> i64 {
        since_boot_ms() - self.started
    }

    /// Goes by the clock that servers of one store have in common, which shows `time` now, and
    /// by the steady clock until the next call: a wall clock of one of them that is wrong, or
    /// is set, must not become the time of all. A difference of less than a second is none,
    /// since `time` is in whole seconds.
    pub fn follow(&self, time: UnixTime) {
        let common = time.0.saturating_mul(1_000) - self.elapsed();
        let before = self.common.load(Relaxed);
        if before == OWN || (common - before).abs() >= 1_000 {
            self.common.store(common, Relaxed);
        }
        let ahead = time.0 - wall();
        let before = self.ahead.swap(ahead, Relaxed);
        if ahead.abs() > APART && before.abs() <= APART {
            tracing::warn!(
                seconds = -ahead,
                "this machine's clock is off the database's, which is used instead; correct it"
            );
        }
    }

    /// Never shows less than `time` from now on, since the store has written it.
    pub fn not_before(&self, time: UnixTime) {
        self.highest.fetch_max(time.0, Relaxed);
    }

    /// Begins with a store that was last written at `time`. More than a day later either no server
    /// has run for so long, or the clock is wrong. That cannot be known, and what a wrong clock
    /// deletes cannot be restored, so it counts as a jump; not of a new store, nor after the
    /// development clock was moved.
    pub fn begin_after(&self, time: UnixTime) {
        let later = self.shown() - time.0;
        if time.0 > 0 && self.offset() == 0 && later > DAY {
            tracing::warn!(
                seconds = later,
                "the clock is more than a day after the store's last write; expired data is not \
                 deleted for a day of running"
            );
            let mut drift = self.drift.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            drift.jumped = Some(Instant::now());
        }
        self.not_before(time);
    }

    /// Moves the development clock to the wall clock plus `seconds`. It only moves
    /// forward: of two concurrent moves the larger one holds.
    pub fn set_offset(&self, seconds: i64) {
        self.offset.fetch_max(seconds, Relaxed);
    }

    /// The offset of the development clock, in seconds.
    pub(crate) fn offset(&self) -> i64 {
        self.offset.load(Relaxed)
    }

    /// Monotonic time, for time-outs and measurements.
    #[must_use]
    pub fn steady(&self) -> Instant {
        Instant::now()
    }

    /// Whether the wall clock jumped against the steady one, or was far ahead at the start, within
    /// the last day of running. Each call compares them; jumps between two calls that cancel each other
    /// out are not detected. Moving the development clock is not a jump.
    pub fn jumped_recently(&self) -> bool {
        let mut drift = self.drift.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        drift.compare(Instant::now(), wall())
    }
}

impl Drift {
    fn compare(&mut self, steady: Instant, wall: i64) -> bool {
        let running = i64::try_from(steady.duration_since(self.started).as_secs()).unwrap_or(0);
        let ahead = wall - running;
        if (ahead - self.wall_ahead).abs() > SLEW {
            tracing::warn!(
                seconds = ahead - self.wall_ahead,
                "the wall clock jumped; expired data is not deleted for a day of running"
            );
            self.jumped = Some(steady);
        }
        self.wall_ahead = ahead;
        self.jumped.is_some_and(|at| steady.duration_since(at) < DISTRUST)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// A steady clock that goes on while the machine is suspended, as that of the other servers does.
fn since_boot_ms() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec.saturating_mul(1_000).saturating_add(now.tv_nsec / 1_000_000)
}

fn wall() -> i64 {
    wall_ms() / 1_000
}

fn wall_ms() -> i64 {
    // A clock before 1970 counts as 0: the time that the store has written holds.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_moves_with_the_offset_and_never_back() {
        let clock = Clock::new();
        let before = clock.now();
        clock.set_offset(1_000);
        let moved = clock.now();
        assert!(moved.since(before) >= 1_000);
        clock.set_offset(500);
        assert!(clock.now() >= moved);
        clock.set_offset(2_000);
        assert!(clock.now().since(before) >= 2_000);
    }

    #[test]
    fn the_clock_in_common_counts_and_not_a_wall_clock_that_is_ahead_of_it() {
        let clock = Clock::new();
        let common = UnixTime(wall() - 10_800);
        clock.follow(common);
        assert!((0..=2).contains(&clock.now().since(common)));
        assert!(clock.now_ms() / 1_000 <= u64::try_from(common.0 + 2).unwrap());
        clock.follow(UnixTime(wall() + 60));
        assert!(clock.now().since(common) >= 10_860);
    }

    #[test]
    fn a_clock_in_common_goes_on_by_the_steady_clock_alone() {
        let clock = Clock::new();
        let common = UnixTime(1_000_000);
        clock.follow(common);
        // Whatever the wall clock shows, the base and the steady clock decide.
        assert_eq!(clock.shown_ms() - clock.elapsed(), clock.common.load(Relaxed));
        assert!((0..=2).contains(&clock.now().since(common)), "nothing of the wall clock is in it");
        clock.follow(common.plus(1));
        assert!((0..=2).contains(&clock.now().since(common)), "within a second it is the same");
    }

    #[test]
    fn time_is_never_before_what_was_written() {
        let clock = Clock::new();
        let far = clock.now().plus(50_000);
        clock.not_before(far);
        assert_eq!(clock.now(), far);
    }

    #[test]
    fn a_start_more_than_a_day_after_the_last_write_counts_as_a_jump() {
        let began = |before: i64| {
            let clock = Clock::new();
            clock.begin_after(UnixTime(wall() - before));
            clock.jumped_recently()
        };
        assert!(began(DAY + 60) && began(400 * DAY));
        assert!(!began(DAY - 60) && !began(0) && !began(-DAY));
        assert!(!began(wall()), "a new store has written nothing");
        let moved = Clock::new();
        moved.set_offset(10 * DAY);
        moved.begin_after(UnixTime(wall()));
        assert!(!moved.jumped_recently(), "the development clock was moved");
        // Where servers share a store, their common clock counts.
        let common = Clock::new();
        common.follow(UnixTime(wall() + 10 * DAY));
        common.begin_after(UnixTime(wall()));
        assert!(common.jumped_recently());
    }

    #[test]
    fn a_jump_counts_for_a_day_and_a_slew_does_not() {
        let started = Instant::now();
        let after = |seconds| started + Duration::from_secs(seconds);
        let mut drift = Drift { started, wall_ahead: 5_000, jumped: None };
        assert!(!drift.compare(after(60), 5_061), "one second in a minute is a slew");
        assert!(drift.compare(after(120), 5_120 - 3_600), "an hour back is a jump");
        assert!(drift.compare(after(120 + 86_000), 5_120 - 3_600 + 86_000));
        assert!(!drift.compare(after(120 + 86_400), 5_120 - 3_600 + 86_400));
    }
}
