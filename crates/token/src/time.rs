//! Time in whole seconds since 1970-01-01 UTC, as in JWT's NumericDate (RFC 7519, section
//! 2) without fractions.
//!
//! There is no `now` here: the caller passes the time.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A moment in whole seconds since the UNIX epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(pub i64);

/// Seconds in a day.
pub const DAY: i64 = 86_400;

impl UnixTime {
    /// This moment moved by `seconds`, saturating at the limits of the range.
    #[must_use]
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to this moment; negative if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Debug for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}
