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

/// Of up to so many channels the store is read instead, which is fast, and has what happened
/// since.
const FEW: usize = 20;

/// What a walk through all active channels found.
#[derive(Debug, Clone)]
pub struct Walk {
    /// When it began.
    began_at: UnixTime,
    /// How many channels there are.
    channels: usize,
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
            channels: 0,
            warnings: Vec::new(),
            cut: false,
            expire: Box::new([0; HOURS]),
            first: Vec::new(),
        }
    }

    /// Adds a channel with its warnings.
    pub fn add(&mut self, held: &Holding, warnings: impl Iterator<Item = Warning>) {
        let channel = held.channel.id;
        self.channels += 1;
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

    /// Whether pages show it: it is recent, and of many channels.
    #[must_use]
    pub fn is_shown(&self, now: UnixTime) -> bool {
        self.channels > FEW && (0..=SHOWN).contains(&now.since(self.began_at))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{channels::tests::any_channel, warnings::Subject};
    use tegata_policy::idle::Idle;
    use tegata_store::{TokenRow, TokenState};
    use tegata_token::{id::TokenId, kind::Kind, time::DAY};

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn token(serial: u64, expires_at: UnixTime) -> TokenRow {
        TokenRow {
            id: TokenId([7; 16]),
            serial: Serial(serial),
            kind: Kind::ShortLived,
            group: None,
            assertion_key: None,
            state: TokenState::Active,
            issued_at: NOW,
            expires_at,
            last_used_at: None,
            idle: Idle::No,
            revocation: None,
            replaced_by: None,
            revoked_act: None,
            revoked_by: None,
            reason: None,
        }
    }

    fn holding(number: u64, tokens: Vec<TokenRow>) -> Holding {
        let channel = any_channel(number, 0);
        Holding { channel, tokens, keys_used: Default::default(), secrets_used: Vec::new() }
    }

    fn expiring(at: UnixTime) -> Warning {
        Warning { what: Subject::SecretExpires { at }, stage: None, since: NOW }
    }

    #[test]
    fn the_most_urgent_warnings_of_all_channels_are_kept() {
        let mut walk = Walk::begin(NOW);
        for number in 1..=1_200_u64 {
            let at = NOW.plus(2_000 - number.cast_signed());
            walk.add(&holding(number, Vec::new()), std::iter::once(expiring(at)));
        }
        let walk = walk.complete();
        let (kept, cut) = walk.warnings();
        assert!(cut && kept.len() == WARNINGS);
        assert_eq!(kept[0].0, ChannelId::from_number(1_200).unwrap());
        assert!(kept.is_sorted_by_key(|(_, it)| it.urgency()));
        assert!(walk.is_shown(NOW) && !walk.is_shown(NOW.plus(SHOWN + 1)));
        assert!(!Walk::begin(NOW).complete().is_shown(NOW), "a small store is read");
    }

    #[test]
    fn expiries_are_counted_by_day_from_the_time_of_the_page() {
        let mut walk = Walk::begin(NOW);
        let at = |hours: i64| NOW.plus(hours * 3_600 + 60);
        let tokens = vec![token(1, at(2)), token(2, at(30)), token(3, at(31)), token(4, at(900))];
        walk.add(&holding(1, tokens), std::iter::empty());
        let walk = walk.complete();
        assert_eq!(walk.days::<30>(NOW)[..3], [1, 2, 0]);
        // Later the first is over, and the others are less than a day away.
        let later = NOW.plus(10 * 3_600);
        assert_eq!(walk.days::<30>(later)[..3], [2, 0, 0]);
        assert_eq!(walk.first(later).map(|it| it.1.0).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(walk.days::<30>(NOW).iter().sum::<usize>(), 3, "30 days alone: {DAY}");
    }
}
