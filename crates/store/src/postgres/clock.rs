//! The database's clock, which all servers that share the store have in common, as this
//! server's own steady clock continues it.

use super::{
    boot_clock::{BootClock, Moment},
    failed::Failed,
};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tegata_token::time::UnixTime;

/// How far the database's clock may be off what it was, as this server measures it.
const OFF: Duration = Duration::from_secs(300);

/// The database's clock. While this machine is suspended it goes on.
#[derive(Debug, Default)]
pub(super) struct DatabaseClock {
    own: BootClock,
    /// The last reading, and when it was taken.
    last: Mutex<Option<(Moment, UnixTime)>>,
}

impl DatabaseClock {
    /// Takes a reading. The time never goes back.
    ///
    /// # Errors
    /// The database's clock was set, or this server's is wrong: nothing can be decided by
    /// either.
    pub fn read(&self, clock: UnixTime) -> Result<(), Failed> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.own.now();
        let Some((at, before)) = *last else {
            *last = Some((now, clock));
            return Ok(());
        };
        let expected = after(before, now.since(at));
        if expected.0.abs_diff(clock.0) > OFF.as_secs() {
            let by = clock.0 - expected.0;
            return Err(Failed::unavailable(format!(
                "the database's clock was set by {by} s; set it right, or start this server again"
            )));
        }
        if clock >= expected {
            *last = Some((now, clock));
        }
        Ok(())
    }

    /// The time now; `None`: the clock was not read yet.
    pub fn now(&self) -> Option<UnixTime> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|(at, clock)| after(clock, self.own.now().since(at)))
    }
}

fn after(clock: UnixTime, elapsed: Duration) -> UnixTime {
    clock.plus(i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_goes_on_and_never_back() {
        let clock = DatabaseClock::default();
        assert_eq!(clock.now(), None);
        clock.read(UnixTime(1_000)).unwrap();
        clock.read(UnixTime(990)).unwrap();
        assert!(clock.now().unwrap() >= UnixTime(1_000));
        clock.read(UnixTime(1_200)).unwrap();
        assert!(clock.now().unwrap() >= UnixTime(1_200));
    }

    #[test]
    fn the_time_goes_on_while_this_machine_is_suspended() {
        let clock = DatabaseClock::default();
        clock.read(UnixTime(10_000)).unwrap();
        clock.own.suspend(Duration::from_secs(3_600));
        assert!(clock.now().unwrap() >= UnixTime(13_600));
        clock.read(UnixTime(13_600)).unwrap();
        assert!(clock.read(UnixTime(10_000)).is_err(), "that is an hour back");
    }

    #[test]
    fn a_clock_that_was_set_is_not_followed() {
        let clock = DatabaseClock::default();
        clock.read(UnixTime(10_000)).unwrap();
        assert!(clock.read(UnixTime(9_000)).is_err());
        assert!(clock.read(UnixTime(11_000)).is_err());
        assert!(clock.now().unwrap() < UnixTime(10_100));
    }
}
