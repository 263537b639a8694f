//! How fast a channel may be used: token buckets, the surge limit behind them, and the
//! limit on guessing secrets.
//!
//! All of them use the steady clock, and memory whose size is bounded whatever callers do
//! (see [`table`]). They apply after authentication: requests of others never throttle a
//! client with the right secret. A restart resets them. They do not depend on protocols
//! or the store.

mod attempts;
mod bucket;
mod guess;
mod share;
mod surge;
mod table;
mod wait;

#[cfg(test)]
mod tests;

use crate::metrics::Throttled;
use bucket::Bucket;
use guess::Guesses;
pub use guess::{TooMany, network_of};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use surge::{Cooldown, HeldSlot, Surge, Who};
use table::Table;
use tegata_policy::channel::{Channel, ChannelLimits};
use tegata_token::{
    id::{ChannelId, Group, PersonId},
    kind::Kind,
};
pub use wait::LimitExceeded;
use wait::SECOND;

/// The rates and the surge limit for channels without settings of their own.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Short-lived tokens per second; LINE's figure is 370.
    pub short_lived: NonZeroU32,
    /// Requests per second for each other operation but the verifications; LINE's figure
    /// is 2,000.
    pub other: NonZeroU32,
    /// Requests per second for each of LINE's two verifications; unlimited unless set.
    pub check: Option<NonZeroU32>,
    /// The surge limit.
    pub surge: SurgeLimit,
}

/// The number of issues of a kind in a window, after which a cooldown begins.
#[derive(Debug, Clone, Copy)]
pub struct SurgeLimit {
    /// The number of issues; `None`: unlimited.
    pub issues: Option<NonZeroU32>,
    /// The length of the window.
    pub window: Duration,
    /// The length of the cooldown.
    pub cooldown: Duration,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            short_lived: whole(370),
            other: whole(2_000),
            check: None,
            surge: SurgeLimit::default(),
        }
    }
}

impl Default for SurgeLimit {
    fn default() -> Self {
        let ten_minutes = Duration::from_secs(600);
        Self { issues: Some(whole(10_000)), window: ten_minutes, cooldown: ten_minutes }
    }
}

/// The figure as a positive number; 0 becomes 1.
fn whole(figure: u32) -> NonZeroU32 {
    NonZeroU32::new(figure).unwrap_or(NonZeroU32::MIN)
}

/// LINE's operations, each of which is counted separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// An issue of that kind.
    Issue(Kind),
    /// The list of key ids.
    KeyIds,
    /// A revocation of a token in JWS form.
    RevokeJws,
    /// A revocation of an opaque token.
    RevokeOpaque,
    /// A verification of a token in JWS form.
    VerifyJws,
    /// A verification of an opaque token.
    VerifyOpaque,
}

/// Maximum number of buckets. A full one can be dropped, so the others are those of the
/// last second's channels.
const BUCKETS: usize = 65_536;
/// Maximum number of sources that guess, for existing channels and for unknown ones.
const GUESSERS: usize = 32_768;
/// Maximum number of channels and kinds, each with up to 102 groups.
const SURGES: usize = 8_192;

/// The limits of one server.
pub struct Limits {
    rates: Rates,
    started: Instant,
    buckets: Table<(ChannelId, Operation), Bucket>,
    guesses: Table<(IpAddr, ChannelId), Guesses>,
    /// Separate, so that unknown ids only push out unknown ids.
    made_up: Table<(IpAddr, ChannelId), Guesses>,
    /// Wrong administrator's tokens. They are never throttled, only recorded in the
    /// audit.
    administrators: Table<IpAddr, Guesses>,
    /// Attempts to sign in, right ones included: each costs a hash of a password.
    sign_ins: Table<IpAddr, Guesses>,
    /// Wrong codes of a second factor, after a right password.
    codes: Table<PersonId, Guesses>,
    surges: Table<(ChannelId, Kind), Surge>,
    /// Reports of leaked tokens.
    reports: attempts::Reports,
    /// Limits how many events of each type are written to the audit per minute.
    events: Mutex<BTreeMap<&'static str, Bucket>>,
    throttled: Throttled,
    /// How many servers share the requests, and so the rates.
    servers: share::ServerShares,
}

/// A cooldown of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveCooldown {
    /// The kind.
    pub kind: Kind,
    /// The scope.
    pub whose: Whose,
    /// The remaining time, in seconds.
    pub seconds: u64,
}

/// The scope of a cooldown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Requests without a group.
    NoGroup,
    /// A group.
    Group(Group),
    /// All groups beyond the hundred that a channel can have at once.
    OtherGroups,
}

impl Whose {
    /// The scope's name, as the API and the audit spell it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoGroup => "no-group",
            Self::Group(_) => "group",
            Self::OtherGroups => "other-groups",
        }
    }

    /// The group, if the scope is one.
    #[must_use]
    pub fn group(&self) -> Option<&Group> {
        match self {
            Self::Group(group) => Some(group),
            Self::NoGroup | Self::OtherGroups => None,
        }
    }
}

/// A slot in the surge limit's count, held during an issue. If it is dropped without
/// [`settle`](Self::settle), it counts: the caller was cancelled, and the token may be
/// issued regardless.
#[must_use = "a token that was issued counts, and a failed issue returns its slot"]
pub struct Reservation<'a> {
    limits: &'a Limits,
    held: Option<((ChannelId, Kind), HeldSlot)>,
}

impl Reservation<'_> {
    /// Counts the slot if the token was issued, and returns it if not.
    pub fn settle(mut self, issued: bool) {
        self.settle_once(issued);
    }

    fn settle_once(&mut self, issued: bool) {
        if let Some((name, held)) = self.held.take() {
            self.limits.surges.with_existing(&name, |surge| surge.settle(&held, issued));
        }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.settle_once(true);
    }
}

impl Limits {
    /// The rates for channels without settings of their own.
    #[must_use]
    pub fn rates(&self) -> Rates {
        self.rates
    }

    /// New limits without any use; throttled requests are counted in `throttled`.
    #[must_use]
    pub fn new(rates: Rates, throttled: Throttled, now: Instant) -> Self {
        Self {
            rates,
            started: now,
            buckets: Table::new(BUCKETS),
            guesses: Table::new(GUESSERS),
            made_up: Table::new(GUESSERS),
            administrators: Table::new(GUESSERS),
            sign_ins: Table::new(GUESSERS),
            codes: Table::new(GUESSERS),
            surges: Table::new(SURGES),
            reports: attempts::Reports::default(),
            events: Mutex::default(),
            throttled,
            servers: share::ServerShares::default(),
        }
    }

    /// Takes one use of an operation from the channel's bucket, which holds one second's
    /// worth.
    ///
    /// # Errors
    /// [`LimitExceeded`]: the bucket is empty.
    pub fn take(
        &self,
        operation: Operation,
        channel: &Channel,
        now: Instant,
    ) -> Result<(), LimitExceeded> {
        let own = &channel.limits;
        let rate = match operation {
            Operation::Issue(Kind::ShortLived) => {
                own.issue_rate_short_lived.unwrap_or(self.rates.short_lived)
            }
            _ => own.issue_rate.unwrap_or(self.rates.other),
        };
        self.take_of(operation, channel.id, rate, now)
    }

    /// Takes one of LINE's verifications from the channel's bucket, if those are limited:
    /// at the channel's `own` rate, or else at the rate for all channels.
    ///
    /// # Errors
    /// [`LimitExceeded`]: the bucket is empty.
    pub fn take_verification(
        &self,
        operation: Operation,
        channel: ChannelId,
        own: Option<NonZeroU32>,
        now: impl FnOnce() -> Instant,
    ) -> Result<(), LimitExceeded> {
        let Some(rate) = own.or(self.rates.check) else { return Ok(()) };
        self.take_of(operation, channel, rate, now())
    }

    fn take_of(
        &self,
        operation: Operation,
        channel: ChannelId,
        rate: NonZeroU32,
        now: Instant,
    ) -> Result<(), LimitExceeded> {
        let (rate, now) = (self.part(rate), self.nanoseconds(now));
        let take = |bucket: &mut Bucket| bucket.take(rate, now);
        let taken = self.buckets.with((channel, operation), now, Bucket::default, take);
        if taken.is_err() {
            self.throttled.rate.inc();
        }
        taken
    }

    /// Requests a slot of the surge limit for one more issue; returns with it the
    /// cooldowns that begin now.
    pub fn surge(
        &self,
        channel: &Channel,
        kind: Kind,
        group: Option<&Group>,
        now: Instant,
    ) -> (Result<Reservation<'_>, LimitExceeded>, Vec<ActiveCooldown>) {
        let free = Reservation { limits: self, held: None };
        // Kinds without rows have no cap, so a surge evicts none of their tokens.
        let Some(rule) = kind.is_stored().then(|| self.rule(&channel.limits)).flatten() else {
            // What was counted while there was a limit ends with it.
            self.surges.remove(&(channel.id, kind));
            return (Ok(free), Vec::new());
        };
        let now = self.nanoseconds(now);
        let name = (channel.id, kind);
        let mut begun = Vec::new();
        let ask = |surge: &mut Surge| surge.ask(group, rule, now, &mut begun);
        let asked = self.surges.with(name, now, || Surge::new(now), ask);
        if asked.is_err() {
            self.throttled.surge.inc();
        }
        self.throttled.cooldowns.inc_by(begun.len() as u64);
        let slot = asked.map(|held| Reservation { limits: self, held: Some((name, held)) });
        (slot, begun.into_iter().map(|cooldown| named(kind, cooldown, now)).collect())
    }

    fn rule(&self, own: &ChannelLimits) -> Option<surge::SurgeRule> {
        let usual = self.rates.surge;
        let nanoseconds = |own: Option<NonZeroU32>, usual: Duration| match own {
            Some(seconds) => u64::from(seconds.get()) * SECOND,
            None => u64::try_from(usual.as_nanos()).unwrap_or(u64::MAX / 4),
        };
        Some(surge::SurgeRule {
            issues: self.part(own.surge_limit.map_or(usual.issues, NonZeroU32::new)?),
            window: nanoseconds(own.surge_window_seconds, usual.window),
            cooldown: nanoseconds(own.surge_cooldown_seconds, usual.cooldown),
        })
    }

    /// The channel's active cooldowns: none if it has no surge limit any more.
    #[must_use]
    pub fn cooldowns_of(
        &self,
        channel: ChannelId,
        own: &ChannelLimits,
        now: Instant,
    ) -> Vec<ActiveCooldown> {
        let now = self.nanoseconds(now);
        if self.rule(own).is_none() {
            Kind::all().for_each(|kind| self.surges.remove(&(channel, kind)));
            return Vec::new();
        }
        let of_kind = |kind: Kind| {
            let read = |surge: &mut Surge| surge.cooldowns(now).collect::<Vec<_>>();
            let cooldowns = self.surges.with_existing(&(channel, kind), read).unwrap_or_default();
            cooldowns.into_iter().map(move |cooldown| named(kind, cooldown, now))
        };
        Kind::all().flat_map(of_kind).collect()
    }

    /// The number of active cooldowns of all channels.
    #[must_use]
    pub fn active_cooldowns(&self, now: Instant) -> usize {
        let now = self.nanoseconds(now);
        self.surges.sum(|surge| surge.cooldowns(now).count())
    }

    /// Whether one more event of this type may be written to the audit: sixty at once, and sixty a
    /// minute. Unauthenticated requests cause them, and each is a commit. Of one type they cannot keep
    /// out those of another.
    #[must_use]
    pub fn may_record(&self, event: &'static str, now: Instant) -> bool {
        // A bucket whose time runs sixty times as slowly.
        let now = self.nanoseconds(now) / 60;
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.entry(event).or_default().take(whole(60), now).is_ok()
    }

    /// Drops expired entries.
    pub fn tidy(&self, now: Instant) {
        let now = self.nanoseconds(now);
        self.buckets.tidy(now);
        self.guesses.tidy(now);
        self.made_up.tidy(now);
        self.sign_ins.tidy(now);
        self.codes.tidy(now / 60);
        self.administrators.tidy(now);
        self.surges.tidy(now);
        self.reports.tidy(now);
    }

    fn nanoseconds(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.started).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX / 2)
    }
}

fn named(kind: Kind, cooldown: Cooldown, now: u64) -> ActiveCooldown {
    let whose = match cooldown.who {
        Who::Group(None) => Whose::NoGroup,
        Who::Group(Some(group)) => Whose::Group(group),
        Who::Others => Whose::OtherGroups,
    };
    ActiveCooldown {
        kind,
        whose,
        seconds: LimitExceeded::after(cooldown.until.saturating_sub(now)).0,
    }
}
