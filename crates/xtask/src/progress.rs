//! How long things take, for those who wait.

use std::time::{Duration, Instant};

/// The real time.
#[expect(clippy::disallowed_methods, reason = "how long people really wait")]
pub fn now() -> Instant {
    Instant::now()
}

/// `3 min 20 s`.
pub fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{seconds} s")
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}
