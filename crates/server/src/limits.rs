//! How fast a channel may be issued tokens, and how often somebody may guess at
//! its secret. Both count on the steady clock, in bounded memory, and both come
//! behind the proof: what one caller does wrong never throttles another who
//! shows the right secret.

use quick_cache::sync::Cache;
use std::{
    convert::Infallible,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tegata_token::{id::ChannelId, law::Kind};

/// How many tokens a second a channel may be issued.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Short-lived ones; LINE's figure is 370.
    pub short_lived: u32,
    /// Of each other kind; LINE's figure is 2,000.
    pub other: u32,
}

impl Default for Rates {
    fn default() -> Self {
        Self { short_lived: 370, other: 2_000 }
    }
}

/// Too fast; ask again after this many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooFast(pub u64);

/// Wrong secrets from one source for one channel that are answered as such,
/// within [`WINDOW`].
const GUESSES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);

/// Room for so many buckets and windows; one that is pushed out begins anew.
const ROOM: usize = 50_000;

/// The limits of one server.
pub struct Limits {
    rates: Rates,
    started: Instant,
    buckets: Cache<(ChannelId, Kind), Arc<AtomicU64>>,
    guesses: Cache<(IpAddr, ChannelId), Arc<Mutex<Window>>>,
}

/// Guesses since the window began.
struct Window {
    began: Instant,
    count: u32,
}

impl Limits {
    /// None used up yet.
    #[must_use]
    pub fn new(rates: Rates, now: Instant) -> Self {
        Self { rates, started: now, buckets: Cache::new(ROOM), guesses: Cache::new(ROOM) }
    }

    /// Takes one issue out of the channel's bucket, which holds one second's worth.
    ///
    /// # Errors
    /// [`TooFast`]: the bucket is empty.
    pub fn issue(&self, channel: ChannelId, kind: Kind, now: Instant) -> Result<(), TooFast> {
        const SECOND: u64 = 1_000_000_000;
        let rate = if kind == Kind::ShortLived { self.rates.short_lived } else { self.rates.other };
        let cost = SECOND / u64::from(rate.max(1));
        let elapsed = now.saturating_duration_since(self.started).as_nanos();
        let now = u64::try_from(elapsed).unwrap_or(u64::MAX / 2);
        // The moment at which the bucket will be full again stands for its level
        // (GCRA: one number, no refilling).
        let Ok(full_at) = self
            .buckets
            .get_or_insert_with(&(channel, kind), || Ok::<_, Infallible>(Arc::default()));
        let taken = full_at.fetch_update(Relaxed, Relaxed, |full_at| {
            let next = full_at.max(now) + cost;
            (next - now <= SECOND).then_some(next)
        });
        taken.map(|_| ()).map_err(|_| TooFast(1))
    }

    /// Counts a wrong secret.
    ///
    /// # Errors
    /// [`TooFast`]: there were too many of them.
    pub fn guess(&self, from: IpAddr, channel: ChannelId, now: Instant) -> Result<(), TooFast> {
        let fresh = || Ok::<_, Infallible>(Arc::new(Mutex::new(Window { began: now, count: 0 })));
        let Ok(window) = self.guesses.get_or_insert_with(&(network_of(from), channel), fresh);
        let mut window = window.lock().unwrap_or_else(PoisonError::into_inner);
        let mut age = now.saturating_duration_since(window.began);
        if age >= WINDOW {
            *window = Window { began: now, count: 0 };
            age = Duration::ZERO;
        }
        window.count = window.count.saturating_add(1);
        if window.count > GUESSES { Err(TooFast((WINDOW - age).as_secs() + 1)) } else { Ok(()) }
    }
}

/// Whoever has an IPv6 address has the whole /64 around it.
fn network_of(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a base for moments that the tests choose")]
mod tests {
    use super::*;

    fn channel(number: u64) -> ChannelId {
        ChannelId::from_number(number).unwrap()
    }

    #[test]
    fn a_bucket_holds_one_seconds_worth_and_fills_again() {
        let start = Instant::now();
        let limits = Limits::new(Rates { short_lived: 10, other: 5 }, start);
        let at = |ms| start + Duration::from_millis(ms);
        let taken = |ms| {
            (0..50).filter(|_| limits.issue(channel(1), Kind::ShortLived, at(ms)).is_ok()).count()
        };
        assert_eq!(taken(0), 10);
        assert_eq!(taken(250), 2);
        assert_eq!(taken(60_000), 10);
        assert!(limits.issue(channel(2), Kind::ShortLived, at(60_000)).is_ok());
        assert!(limits.issue(channel(1), Kind::V21, at(60_000)).is_ok(), "kinds count apart");
    }

    #[test]
    fn the_eleventh_wrong_secret_within_a_minute_waits() {
        let start = Instant::now();
        let limits = Limits::new(Rates::default(), start);
        let at = |seconds| start + Duration::from_secs(seconds);
        let here = IpAddr::from([127, 0, 0, 1]);
        for _ in 0..10 {
            assert!(limits.guess(here, channel(1), at(0)).is_ok());
        }
        assert_eq!(limits.guess(here, channel(1), at(20)), Err(TooFast(41)));
        assert!(limits.guess(here, channel(2), at(20)).is_ok());
        assert!(limits.guess(IpAddr::from([127, 0, 0, 2]), channel(1), at(20)).is_ok());
        assert!(limits.guess(here, channel(1), at(60)).is_ok());
    }

    #[test]
    fn an_ipv6_source_is_its_network() {
        let one: IpAddr = "2001:db8::1".parse().unwrap();
        let two: IpAddr = "2001:db8::ffff:2".parse().unwrap();
        let other: IpAddr = "2001:db8:0:1::1".parse().unwrap();
        assert_eq!(network_of(one), network_of(two));
        assert_ne!(network_of(one), network_of(other));
    }
}
