//! When an instance acknowledged the last positions.

use std::collections::VecDeque;
use tegata_token::{id::Position, time::UnixTime};

/// The length of the minutes of which uses are reported, in seconds.
pub(super) const MINUTE: i64 = 60;

/// Seconds by which the times that are compared may differ, since both are whole ones.
pub(super) const ROUNDED: i64 = 1;

/// Number of minutes whose acknowledgements are kept. Uses are reported a minute later.
const MINUTES: usize = 8;

/// The last position that an instance acknowledged in each of the last minutes, and when: never
/// earlier than it did, since what is reported is compared with that.
#[derive(Debug, Default)]
pub(super) struct Acknowledgements(VecDeque<(Position, UnixTime)>);

impl Acknowledgements {
    /// Adds a newer position.
    pub(super) fn add(&mut self, position: Position, at: UnixTime) {
        let minute = |at: UnixTime| at.0.div_euclid(MINUTE);
        match self.0.back_mut() {
            // Another server's clock may be behind.
            Some(last) if minute(last.1) >= minute(at) => *last = (position, last.1.max(at)),
            _ => self.0.push_back((position, at)),
        }
        if self.0.len() > MINUTES {
            self.0.pop_front();
        }
    }

    /// By when it had acknowledged everything up to `position`; `None`: it has not.
    pub(super) fn of(&self, position: Position) -> Option<UnixTime> {
        self.0.iter().find(|(it, _)| *it >= position).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known_by_when_each_of_the_last_positions_was_acknowledged() {
        let at = |number| Position { epoch: 1, number };
        let mut all = Acknowledgements::default();
        assert_eq!(all.of(at(1)), None);
        for (number, time) in [(2, 61), (3, 70), (5, 119), (6, 120)] {
            all.add(at(number), UnixTime(time));
        }
        // The minute of the first three: never earlier than it was.
        for number in [1, 2, 5] {
            assert_eq!(all.of(at(number)), Some(UnixTime(119)));
        }
        assert_eq!(all.of(at(6)), Some(UnixTime(120)));
        assert_eq!(all.of(at(7)), None);
        all.add(at(8), UnixTime(100));
        assert_eq!(all.of(at(7)), Some(UnixTime(120)), "a clock that is behind");

        for number in 9..1_000 {
            all.add(at(number), UnixTime(i64::try_from(number).unwrap() * 60));
        }
        assert!(all.0.len() <= MINUTES);
        assert_eq!(all.of(at(1)), Some(UnixTime(992 * 60)), "later than it was, not earlier");
    }
}
