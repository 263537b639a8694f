//! How long a client has to wait.

/// The limit is exceeded; retry after this many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitExceeded(pub u64);

/// A second, in nanoseconds.
pub(super) const SECOND: u64 = 1_000_000_000;

impl LimitExceeded {
    /// A wait of so many nanoseconds, rounded up to seconds.
    pub(super) fn after(nanoseconds: u64) -> Self {
        Self(nanoseconds.div_ceil(SECOND).max(1))
    }
}
