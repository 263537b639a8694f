//! As of when a page was read: what tells whether it can still be shown.

use super::Authority;
use tegata_token::time::UnixTime;

/// As of when something was read. What was read after one `AsOf` is as it would be read after
/// an equal one.
///
/// It covers what is read from the store, from the memory that commits and uses of tokens,
/// keys and secrets change, and from what verifiers have reported, at the time in whole
/// seconds. It does not cover what jobs find or count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsOf {
    second: UnixTime,
    commits: u64,
    uses: u64,
    reports: u64,
}

#[cfg(test)]
impl AsOf {
    /// As of this second, before any change.
    pub(crate) fn at(second: UnixTime) -> Self {
        Self { second, commits: 0, uses: 0, reports: 0 }
    }
}

impl Authority {
    /// As of now; `None` if servers share the store, since commits of other servers are known
    /// only after a read.
    #[must_use]
    pub fn as_of(&self) -> Option<AsOf> {
        let memory = &self.memory;
        (!self.store.is_shared()).then(|| AsOf {
            second: self.now(),
            commits: memory.commits(),
            uses: self.last_used.noted(),
            reports: memory.feed.instances.changes(),
        })
    }
}
