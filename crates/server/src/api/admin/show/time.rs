//! Times in RFC 3339, as all our protocols write them.

use jiff::Timestamp;
use tegata_token::time::UnixTime;

/// A time in RFC 3339; null if it is outside of the calendar's range.
pub fn time(at: UnixTime) -> Option<String> {
    Timestamp::from_second(at.0).ok().map(|at| at.to_string())
}
