//! How fast a channel may be used: token buckets, the storm guard behind them,
//! and how often somebody may guess at a secret.
//!
//! All of it counts on the steady clock, in memory whose size is bounded whatever
//! callers do (see [`table`]), and comes behind the proof: what a stranger does
//! throttles nobody who shows the right secret. After a restart all begins anew.
//! It knows neither protocol nor store.

mod bucket;
mod guess;
mod surge;
mod table;
mod wait;

#[cfg(test)]
mod tests;

use crate::{authority::source::Source, metrics::Throttled};
use bucket::Bucket;
pub use guess::TooMany;
use guess::{Guesses, network_of};
use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use surge::{Cooldown, HeldSlot, Surge, Who};
use table::Table;
use tegata_policy::channel::{Channel, ChannelLimits};
use tegata_token::{
    id::{ChannelId, Group},
    kind::Kind,
};
use wait::SECOND;
pub use wait::TooFast;

/// What holds for every channel that has set nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Short-lived tokens a second; LINE's figure is 370.
    pub short_lived: NonZeroU32,
    /// Of each other operation, the checks excepted; LINE's figure is 2,000.
    pub other: NonZeroU32,
    /// Of each of LINE's two checks; without limit unless set.
    pub check: Option<NonZeroU32>,
    /// The storm guard.
    pub surge: SurgeLimit,
}

/// So many issues of a kind in a window, and then a rest.
#[derive(Debug, Clone, Copy)]
pub struct SurgeLimit {
    /// So many; `None` is without bound.
    pub issues: Option<NonZeroU32>,
    /// The window.
    pub window: Duration,
    /// The rest.
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

/// A figure that is not nought.
fn whole(figure: u32) -> NonZeroU32 {
    NonZeroU32::new(figure).unwrap_or(NonZeroU32::MIN)
}

/// What is counted apart: LINE's operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// An issue of that kind.
    Issue(Kind),
    /// The list of key ids.
    KeyIds,
    /// A revocation of a token in JWS form.
    RevokeJws,
    /// A revocation of an opaque one.
    RevokeOpaque,
    /// A check of a token in JWS form.
    VerifyJws,
    /// A check of an opaque one.
    VerifyOpaque,
}

/// Room for so many buckets. One that is full is over, so those that are not are
/// the channels of the last second.
const BUCKETS: usize = 65_536;
/// Room for so many sources that guess, of real channels and of made-up ones.
const GUESSERS: usize = 32_768;
/// Room for so many channels and kinds, each with up to 102 groups.
const STORMS: usize = 8_192;

/// The limits of one server.
pub struct Limits {
    rates: Rates,
    started: Instant,
    buckets: Table<(ChannelId, Operation), Bucket>,
    guesses: Table<(IpAddr, ChannelId), Guesses>,
    /// Apart, so that made-up ids push out made-up ids.
    made_up: Table<(IpAddr, ChannelId), Guesses>,
    /// Wrong administrator's tokens. They throttle nobody; the audit is told.
    administrators: Table<IpAddr, Guesses>,
    storms: Table<(ChannelId, Kind), Surge>,
    /// What the audit is still to be told in this minute.
    told: Mutex<Bucket>,
    throttled: Throttled,
}

/// Issuing of a kind that rests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveCooldown {
    /// Of which kind.
    pub kind: Kind,
    /// For whom.
    pub whose: Whose,
    /// For how long, in seconds.
    pub seconds: u64,
}

/// Whose issuing rests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Of those that name no group.
    NoGroup,
    /// A group's.
    Group(Group),
    /// Of all groups beyond the hundred that a channel can have at once.
    OtherGroups,
}

impl Whose {
    /// For people and programs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoGroup => "no-group",
            Self::Group(_) => "group",
            Self::OtherGroups => "other-groups",
        }
    }

    /// The group, if it is one.
    #[must_use]
    pub fn group(&self) -> Option<&Group> {
        match self {
            Self::Group(group) => Some(group),
            Self::NoGroup | Self::OtherGroups => None,
        }
    }
}

/// A place in the storm guard's count, held while an issue is under way. Dropped with
/// nothing said it counts: whoever waited for the issue went away, and it may happen
/// all the same.
#[must_use = "an issue that happened counts, one that did not gives its place back"]
pub struct Reservation<'a> {
    limits: &'a Limits,
    held: Option<((ChannelId, Kind), HeldSlot)>,
}

impl Reservation<'_> {
    /// The issue happened, or it did not.
    pub fn settle(mut self, issued: bool) {
        self.settle_once(issued);
    }

    fn settle_once(&mut self, issued: bool) {
        if let Some((name, held)) = self.held.take() {
            self.limits.storms.with_existing(&name, |surge| surge.settle(&held, issued));
        }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.settle_once(true);
    }
}

impl Limits {
    /// Nothing used up yet; what is turned away is counted in `throttled`.
    #[must_use]
    pub fn new(rates: Rates, throttled: Throttled, now: Instant) -> Self {
        Self {
            rates,
            started: now,
            buckets: Table::new(BUCKETS),
            guesses: Table::new(GUESSERS),
            made_up: Table::new(GUESSERS),
            administrators: Table::new(GUESSERS),
            storms: Table::new(STORMS),
            told: Mutex::default(),
            throttled,
        }
    }

    /// Takes one use of an operation out of the channel's bucket, which holds one
    /// second's worth.
    ///
    /// # Errors
    /// [`TooFast`]: the bucket is empty.
    pub fn take(
        &self,
        operation: Operation,
        channel: &Channel,
        now: Instant,
    ) -> Result<(), TooFast> {
        let own = &channel.limits;
        let rate = match operation {
            Operation::Issue(Kind::ShortLived) => {
                own.issue_rate_short_lived.unwrap_or(self.rates.short_lived)
            }
            _ => own.issue_rate.unwrap_or(self.rates.other),
        };
        self.take_of(operation, channel.id, rate, now)
    }

    /// Takes one of LINE's checks, where those are limited at all: by the channel's
    /// `own` rate, or else for all.
    ///
    /// # Errors
    /// [`TooFast`]: the bucket is empty.
    pub fn check(
        &self,
        operation: Operation,
        channel: ChannelId,
        own: Option<NonZeroU32>,
        now: impl FnOnce() -> Instant,
    ) -> Result<(), TooFast> {
        let Some(rate) = own.or(self.rates.check) else { return Ok(()) };
        self.take_of(operation, channel, rate, now())
    }

    fn take_of(
        &self,
        operation: Operation,
        channel: ChannelId,
        rate: NonZeroU32,
        now: Instant,
    ) -> Result<(), TooFast> {
        let now = self.nanoseconds(now);
        let take = |bucket: &mut Bucket| bucket.take(rate, now);
        let taken = self.buckets.with((channel, operation), now, Bucket::default, take);
        if taken.is_err() {
            self.throttled.rate.inc();
        }
        taken
    }

    /// Asks the storm guard for a place for one more issue; answers with it the
    /// rests that begin now.
    pub fn surge(
        &self,
        channel: &Channel,
        kind: Kind,
        group: Option<&Group>,
        now: Instant,
    ) -> (Result<Reservation<'_>, TooFast>, Vec<ActiveCooldown>) {
        let free = Reservation { limits: self, held: None };
        // What has no cap wears nothing out.
        let Some(rule) = kind.is_stored().then(|| self.rule(&channel.limits)).flatten() else {
            return (Ok(free), Vec::new());
        };
        let now = self.nanoseconds(now);
        let name = (channel.id, kind);
        let mut begun = Vec::new();
        let ask = |surge: &mut Surge| surge.ask(group, rule, now, &mut begun);
        let asked = self.storms.with(name, now, || Surge::new(now), ask);
        if asked.is_err() {
            self.throttled.surge.inc();
        }
        self.throttled.cooldowns.inc_by(begun.len() as u64);
        let place = asked.map(|held| Reservation { limits: self, held: Some((name, held)) });
        (place, begun.into_iter().map(|cooldown| named(kind, cooldown, now)).collect())
    }

    fn rule(&self, own: &ChannelLimits) -> Option<surge::SurgeRule> {
        let usual = self.rates.surge;
        let nanoseconds = |own: Option<NonZeroU32>, usual: Duration| match own {
            Some(seconds) => u64::from(seconds.get()) * SECOND,
            None => u64::try_from(usual.as_nanos()).unwrap_or(u64::MAX / 4),
        };
        Some(surge::SurgeRule {
            issues: own.surge_limit.map_or(usual.issues, NonZeroU32::new)?,
            window: nanoseconds(own.surge_window_seconds, usual.window),
            cooldown: nanoseconds(own.surge_cooldown_seconds, usual.cooldown),
        })
    }

    /// What of the channel's issuing rests.
    #[must_use]
    pub fn cooldowns_of(&self, channel: ChannelId, now: Instant) -> Vec<ActiveCooldown> {
        let now = self.nanoseconds(now);
        let of_kind = |kind: Kind| {
            let read = |surge: &mut Surge| surge.cooldowns(now).collect::<Vec<_>>();
            let cooldowns = self.storms.with_existing(&(channel, kind), read).unwrap_or_default();
            cooldowns.into_iter().map(move |cooldown| named(kind, cooldown, now))
        };
        Kind::all().flat_map(of_kind).collect()
    }

    /// How many rests there are at the moment, of all channels.
    #[must_use]
    pub fn active_cooldowns(&self, now: Instant) -> usize {
        let now = self.nanoseconds(now);
        self.storms.sum(|surge| surge.cooldowns(now).count())
    }

    /// Counts a wrong secret, shown for a channel that there is or is not. Answers
    /// whether throttling begins with this one.
    ///
    /// # Errors
    /// [`TooMany`] of them.
    pub fn guess(
        &self,
        source: Source,
        channel: ChannelId,
        is_known: bool,
        now: Instant,
    ) -> Result<(), TooMany> {
        let now = self.nanoseconds(now);
        let table = if is_known { &self.guesses } else { &self.made_up };
        let name = (network_of(source.0), channel);
        let added = table.with(name, now, || Guesses::new(now), |it| it.add(now));
        if added.is_err() {
            self.throttled.guess.inc();
        }
        added
    }

    /// Counts a wrong administrator's token; answers whether with this one they are
    /// too many for a mistake, once in a window.
    pub fn guess_administrator(&self, source: Source, now: Instant) -> bool {
        let now = self.nanoseconds(now);
        let name = network_of(source.0);
        let added = self.administrators.with(name, now, || Guesses::new(now), |it| it.add(now));
        added.is_err_and(|it| it.begins)
    }

    /// Whether one more event may be told to the audit: sixty at once, and sixty a
    /// minute. They come of what strangers do, and each is a commit.
    #[must_use]
    pub fn may_tell(&self, now: Instant) -> bool {
        // A bucket whose time runs sixty times as slowly.
        let now = self.nanoseconds(now) / 60;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.take(whole(60), now).is_ok()
    }

    /// Lets go of what is over.
    pub fn tidy(&self, now: Instant) {
        let now = self.nanoseconds(now);
        self.buckets.tidy(now);
        self.guesses.tidy(now);
        self.made_up.tidy(now);
        self.administrators.tidy(now);
        self.storms.tidy(now);
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
    ActiveCooldown { kind, whose, seconds: TooFast::after(cooldown.until.saturating_sub(now)).0 }
}
