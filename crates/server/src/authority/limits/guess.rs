//! Wrong secrets, counted by source and channel together. A right secret is not
//! seen here, so nobody can be locked out by another's guesses.

use super::{table, wait::TooFast};
use std::net::{IpAddr, Ipv6Addr};

/// Wrong secrets from one source for one channel that are answered as such,
/// within [`WINDOW`].
pub const GUESSES: u32 = 10;
/// A minute, in nanoseconds.
pub const WINDOW: u64 = 60 * 1_000_000_000;

/// Guesses since the window began.
#[derive(Debug)]
pub struct Guesses {
    began: u64,
    count: u32,
}

/// There were too many wrong secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    /// When to try again.
    pub wait: TooFast,
    /// Whether it is the first one in its window that is not answered.
    pub begins: bool,
}

impl Guesses {
    pub fn new(now: u64) -> Self {
        Self { began: now, count: 0 }
    }

    /// Counts one.
    pub fn add(&mut self, now: u64) -> Result<(), TooMany> {
        if now.saturating_sub(self.began) >= WINDOW {
            *self = Self::new(now);
        }
        self.count = self.count.saturating_add(1);
        if self.count <= GUESSES {
            return Ok(());
        }
        let left = (self.began + WINDOW).saturating_sub(now);
        Err(TooMany { wait: TooFast::after(left), begins: self.count == GUESSES + 1 })
    }
}

impl table::TableEntry for Guesses {
    fn is_over(&self, now: u64) -> bool {
        now.saturating_sub(self.began) >= WINDOW
    }

    /// One that is throttled is worth ten that were wrong once.
    fn worth(&self) -> u64 {
        self.count.into()
    }
}

/// Whoever has an IPv6 address has the whole /64 around it.
pub fn network_of(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_source_is_its_network() {
        let one: IpAddr = "2001:db8::1".parse().unwrap();
        let two: IpAddr = "2001:db8::ffff:2".parse().unwrap();
        let other: IpAddr = "2001:db8:0:1::1".parse().unwrap();
        assert_eq!(network_of(one), network_of(two));
        assert_ne!(network_of(one), network_of(other));
    }
}
