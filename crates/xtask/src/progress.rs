//! Elapsed time, for the output of long tasks.

use std::time::{Duration, Instant};

/// The current time of the steady clock.
#[expect(clippy::disallowed_methods, reason = "progress is shown in real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// Formats a duration: `3 min 20 s`.
pub fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{seconds} s")
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}
