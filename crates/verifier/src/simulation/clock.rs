//! The authority's clock, which may be ahead for a while.

/// A moment of the simulation, in nanoseconds since its start.
pub(super) type Moment = i64;

/// The authority's clock at the start of a simulation, in seconds.
pub(super) const START: i64 = 1_790_000_000;
/// By how much it is ahead then.
const AHEAD: Moment = 10_000_000_000;

/// The authority's clock.
#[derive(Debug, Default)]
pub(super) struct AuthorityClock {
    ahead_until: Moment,
    was_ahead: bool,
}

impl AuthorityClock {
    /// Sets it ahead until this moment.
    pub fn set_ahead(&mut self, until: Moment) {
        (self.ahead_until, self.was_ahead) = (until, true);
    }

    /// Sets it right.
    pub fn set_right(&mut self) {
        self.ahead_until = 0;
    }

    /// What it shows, in milliseconds.
    pub fn time_ms(&self, now: Moment) -> u64 {
        let ahead = if now < self.ahead_until { AHEAD } else { 0 };
        (START * 1_000 + (now + ahead) / 1_000_000).unsigned_abs()
    }

    /// By how much a follower's time may be ahead.
    pub fn slack(&self) -> Moment {
        if self.was_ahead { AHEAD } else { 0 }
    }
}
