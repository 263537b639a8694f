//! Arguments that are durations: with a unit, or a bare number of seconds.

use std::{fmt, ops::RangeInclusive, time::Duration};
use tegata_policy::duration::{read, written};

/// A whole number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub u64);

impl Seconds {
    /// The same for what sleeps and compares.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl From<Duration> for Seconds {
    fn from(duration: Duration) -> Self {
        Self(duration.as_secs())
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&written(self.duration()))
    }
}

/// The end of a range from which on it is not worth naming: more than a century.
const ENDLESS: u64 = u32::MAX as u64;

/// Reads whole seconds in a range.
pub fn seconds(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<Seconds, String> + Clone + Send + Sync + 'static {
    move |text| {
        let whole = read(text).filter(|it| it.subsec_nanos() == 0).map(Seconds::from);
        whole.filter(|it| range.contains(&it.0)).ok_or_else(|| {
            let (least, most) = (Seconds(*range.start()), Seconds(*range.end()));
            match most.0 {
                ENDLESS.. => format!("give {least} or more, such as `15m`"),
                _ => format!("give {least} to {most}, such as `{most}`"),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_whole_and_within_their_range() {
        let read = seconds(1..=3_600);
        for (text, number) in [("1", 1), ("60s", 60), ("15m", 900), ("1h", 3_600), ("2000ms", 2)] {
            assert_eq!(read(text), Ok(Seconds(number)), "{text}");
        }
        for bad in ["0", "2h", "500ms", "", "x", "1d"] {
            assert_eq!(read(bad).unwrap_err(), "give 1s to 1h, such as `1h`", "{bad}");
        }
        assert!(seconds(900..=u64::MAX)("60").unwrap_err().contains("give 15m or more"));
    }
}
