//! Bounds of the feed, and the times that follow from an instance's staleness.

use std::{ops::RangeInclusive, time::Duration};

/// The version of the feed: the value of `feed` in each response and of `speaks` in each
/// request.
pub const VERSION: u32 = 1;
/// The staleness that an instance may ask for.
pub const STALENESS: RangeInclusive<Duration> =
    Duration::from_millis(500)..=Duration::from_secs(86_400);
/// The longest that the server holds a request for changes.
pub const LONGEST_HOLD: Duration = Duration::from_secs(25);
/// Maximum length of the reason in `cannot`, in characters.
pub const LONGEST_CANNOT: usize = 100;
/// Maximum length of `seq`, in characters.
pub const LONGEST_SEQ: usize = 64;
/// Maximum length of a response with a snapshot, in bytes.
pub const LONGEST_SNAPSHOT: usize = 256 * 1024 * 1024;
/// Maximum length of a usage report, in bytes.
pub const LONGEST_USAGE: usize = 1024 * 1024;
/// Maximum length of the source of a use, in characters.
pub const LONGEST_SOURCE: usize = 100;
/// The longest delay before a retry.
pub const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// A download of a snapshot ends after this time without a byte.
pub const DISCONNECTED: Duration = Duration::from_secs(10);

/// The longest that the server holds a request of an instance with this staleness.
#[must_use]
pub fn longest_hold(staleness: Duration) -> Duration {
    LONGEST_HOLD.min(staleness / 3)
}

/// The time after which a follower gives up a request for changes that asked for `hold`.
#[must_use]
pub fn poll_timeout(hold: Duration, staleness: Duration) -> Duration {
    hold.min(longest_hold(staleness)) + Duration::from_secs(2).min(staleness / 3)
}

/// The longest delay before a follower's next attempt; the delay is drawn between zero
/// and this.
#[must_use]
pub fn longest_retry(staleness: Duration) -> Duration {
    LONGEST_RETRY.min(staleness / 3)
}

/// The time after which an instance that has not acknowledged a position can no longer
/// be fresh without it: its staleness and a margin for clocks that run at another rate.
#[must_use]
pub fn lease(staleness: Duration) -> Duration {
    staleness + staleness / 10 + Duration::from_millis(100)
}
