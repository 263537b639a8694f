//! Counts wrong secrets by source and channel together. A right secret is not counted and
//! never denied, so guesses cannot lock out the channel's own clients.

use super::{table, wait::LimitExceeded};
use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
};

/// Wrong secrets from one source for one channel that get their normal response, within
/// [`WINDOW`], on all servers together.
pub const GUESSES: u32 = 10;
/// A minute, in nanoseconds.
pub const WINDOW: u64 = 60 * 1_000_000_000;

/// Guesses since the window began.
#[derive(Debug)]
pub struct Guesses {
    began: u64,
    count: u32,
    /// Whether one was too many.
    is_over: bool,
}

/// Too many wrong secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    /// When to try again.
    pub wait: LimitExceeded,
    /// Whether it is the first throttled one in its window.
    pub begins: bool,
}

impl Guesses {
    pub fn new(now: u64) -> Self {
        Self { began: now, count: 0, is_over: false }
    }

    /// Counts one guess, of which this server allows so many.
    pub fn add(&mut self, most: NonZeroU32, now: u64) -> Result<(), TooMany> {
        if now.saturating_sub(self.began) >= WINDOW {
            *self = Self::new(now);
        }
        self.count = self.count.saturating_add(1);
        if self.count <= most.get() { Ok(()) } else { Err(self.too_many(now)) }
    }

    /// Counts a wrong one, of which this server allows so many. After too many, right ones are
    /// rejected, too, until the window is over.
    pub fn check(&mut self, most: NonZeroU32, now: u64, is_right: bool) -> Result<(), TooMany> {
        if now.saturating_sub(self.began) >= WINDOW {
            *self = Self::new(now);
        }
        self.count = self.count.saturating_add(u32::from(!is_right));
        if self.count < most.get() { Ok(()) } else { Err(self.too_many(now)) }
    }

    fn too_many(&mut self, now: u64) -> TooMany {
        let left = (self.began + WINDOW).saturating_sub(now);
        let begins = !std::mem::replace(&mut self.is_over, true);
        TooMany { wait: LimitExceeded::after(left), begins }
    }
}

impl table::TableEntry for Guesses {
    fn is_expired(&self, now: u64) -> bool {
        now.saturating_sub(self.began) >= WINDOW
    }

    /// A throttled source weighs as much as ten sources with one guess each.
    fn weight(&self) -> u64 {
        self.count.into()
    }
}

/// The network of a source: for IPv6 the whole /64, which one client can have.
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
