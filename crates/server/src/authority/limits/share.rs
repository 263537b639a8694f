//! Rates that several servers share: each allows its part.

use super::Limits;
use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// How many servers share the requests.
pub struct ServerShares(AtomicU32);

impl Default for ServerShares {
    fn default() -> Self {
        Self(AtomicU32::new(1))
    }
}

impl Limits {
    /// Shares the rates among so many servers, this one included. Each allows its part,
    /// rounded up; a channel whose requests all reach one server has that part only.
    pub fn share(&self, servers: usize) {
        let servers = u32::try_from(servers).unwrap_or(u32::MAX).max(1);
        self.servers.0.store(servers, Relaxed);
    }

    /// How many servers share the rates, as far as this one knows.
    pub fn servers(&self) -> u32 {
        self.servers.0.load(Relaxed)
    }

    /// This server's part of a number.
    pub(super) fn part(&self, all: NonZeroU32) -> NonZeroU32 {
        let part = all.get().div_ceil(self.servers.0.load(Relaxed));
        NonZeroU32::new(part).unwrap_or(NonZeroU32::MIN)
    }
}
