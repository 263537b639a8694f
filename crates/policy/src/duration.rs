//! Durations as people write them: `500ms`, `3s`, `15m`, `24h`; a bare number is seconds.

use std::time::Duration;

/// The units, the longest first, and their milliseconds.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration; `None` if the text is not one.
#[must_use]
pub fn read(text: &str) -> Option<Duration> {
    let units = UNITS.into_iter().chain([("", 1_000)]);
    let mut read = units.filter_map(|(unit, factor)| {
        let number = text.strip_suffix(unit)?;
        // `parse` accepts a sign.
        let digits = !number.is_empty() && number.bytes().all(|it| it.is_ascii_digit());
        digits.then(|| number.parse::<u64>().ok()?.checked_mul(factor)).flatten()
    });
    read.next().map(Duration::from_millis)
}

/// Writes a duration as [`read`] takes it, in the longest unit that fits.
#[must_use]
pub fn written(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let fits = UNITS.into_iter().find(|(_, factor)| ms != 0 && ms.is_multiple_of(*factor));
    fits.map_or_else(|| "0s".to_owned(), |(unit, factor)| format!("{}{unit}", ms / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit_or_is_in_seconds() {
        for (text, ms) in [
            ("500ms", 500),
            ("3s", 3_000),
            ("15m", 900_000),
            ("24h", 86_400_000),
            ("90", 90_000),
            ("0", 0),
        ] {
            assert_eq!(read(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "s", "-1", "+1s", "1.5s", "1 s", "1d", "a", "99999999999999999999h"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_duration_is_written_in_the_longest_unit_that_fits() {
        for (ms, text) in
            [(0, "0s"), (500, "500ms"), (90_000, "90s"), (900_000, "15m"), (86_400_000, "24h")]
        {
            let duration = Duration::from_millis(ms);
            assert_eq!(written(duration), text);
            assert_eq!(read(text), Some(duration));
        }
    }
}
