//! Times, as all protocols of ours write them.

use jiff::Timestamp;
use tegata_token::time::UnixTime;

/// A moment; null if it is one that no calendar has.
pub fn time(at: UnixTime) -> Option<String> {
    Timestamp::from_second(at.0).ok().map(|at| at.to_string())
}
