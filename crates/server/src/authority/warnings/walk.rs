//! What the last walk through all channels found, in memory: the most urgent warnings, and
//! how many tokens expire when. The job that delivers warnings makes the walk, so that a page
//! that shows them does not read every channel.

use super::Warning;
use tegata_store::Holding;
use tegata_token::{
    id::{ChannelId, Serial},
    time::UnixTime,
};

/// Maximum number of warnings that are kept.
const WARNINGS: usize = 500;

/// Hours of the calendar that are counted: 31 days, so that a walk that began up to a day ago
/// covers 30.
const HOURS: usize = 31 * 24;

/// Maximum number of tokens that are kept, the first to expire.
const FIRST: usize = 50;

/// For how many seconds a walk is shown. A job that fails for longer has its pages read the
/// store.
const SHOWN: i64 = 1_800;

/// What a walk through all active channels found.
#[derive(Debug, Clone)]
pub struct Walk {
    /// When it began.
    began_at: UnixTime,
    warnings: Vec<(ChannelId, Warning)>,
    /// Whether there were more warnings.
    cut: bool,
    /// How many active tokens expire in each hour after its beginning.
    expire: Box<[u32; HOURS]>,
    /// The active tokens that are the first to expire.
    first: Vec<(UnixTime, ChannelId, Serial)>,
}

impl Walk {
    /// A walk that begins.
    #[must_use]
    pub fn begin(now: UnixTime) -> Self {
        Self {
            began_at: now,
            warnings: Vec::new(),
            cut: false,
            expire: Box::new([0; HOURS]),
            first: Vec::new(),
        }
    }

    /// Adds a channel with its warnings.
    pub fn add(&mut self, held: &Holding, warnings: impl Iterator<Item = Warning>) {
        let channel = held.channel.id;
        self.warnings.extend(warnings.map(|it| (channel, it)));
        if self.warnings.len() > 2 * WARNINGS {
            self.settle();
        }
        for token in &held.tokens {
            let ends = token.expires_at;
            let hour = usize::try_from(ends.since(self.began_at).div_euclid(3_600)).ok();
            if let Some(count) = hour.and_then(|hour| self.expire.get_mut(hour)) {
                *count = count.saturating_add(1);
                self.first.push((ends, channel, token.serial));
            }
        }
        if self.first.len() > 20 * FIRST {
            self.settle();
        }
    }

    /// Keeps what is most urgent.
    fn settle(&mut self) {
        self.warnings.sort_by_cached_key(|(of, it)| (it.urgency(), *of));
        self.cut |= self.warnings.len() > WARNINGS;
        self.warnings.truncate(WARNINGS);
        self.first.sort_unstable();
        self.first.truncate(FIRST);
    }

    /// The walk, complete.
    #[must_use]
    pub fn complete(mut self) -> Self {
        self.settle();
        self
    }

    /// Whether it is recent enough to be shown.
    #[must_use]
    pub fn is_recent(&self, now: UnixTime) -> bool {
        (0..=SHOWN).contains(&now.since(self.began_at))
    }

    /// When it began.
    #[must_use]
    pub fn began_at(&self) -> UnixTime {
        self.began_at
    }

    /// Its warnings, the most urgent first, and whether there were more.
    #[must_use]
    pub fn warnings(&self) -> (&[(ChannelId, Warning)], bool) {
        (&self.warnings, self.cut)
    }

    /// How many tokens expire in each of the `DAYS` days after `now`, to an hour.
    #[must_use]
    pub fn days<const DAYS: usize>(&self, now: UnixTime) -> [usize; DAYS] {
        let mut days = [0; DAYS];
        for (hour, &count) in (0_i64..).zip(self.expire.iter()) {
            let left = self.began_at.plus(hour * 3_600 + 3_599).since(now);
            let day = usize::try_from(left.div_euclid(86_400)).ok();
            if let Some(sum) = day.and_then(|day| days.get_mut(day)) {
                *sum += count as usize;
            }
        }
        days
    }

    /// The active tokens that are the first to expire after `now`.
    pub fn first(&self, now: UnixTime) -> impl Iterator<Item = (ChannelId, Serial)> {
        let after = self.first.iter().filter(move |(ends, ..)| *ends > now);
        after.map(|&(_, channel, serial)| (channel, serial))
    }
}
