//! Which tokens were used, summed up by minute, for reports to the authority.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tegata_token::{
    feed::{InstanceId, LONGEST_USAGE, TokenUse, UsageMinute, UsageReport},
    id::{ChannelId, TokenId},
    time::UnixTime,
};

/// Maximum number of different tokens and sources per minute.
const LONGEST_MINUTE: usize = 20_000;
/// Number of minutes that are kept while the authority does not answer.
const MINUTES: usize = 5;
/// A report of a minute has at most this many bytes, so that all of them fit.
const LONGEST: usize = LONGEST_USAGE / MINUTES - 1_024;

type Uses = HashMap<(TokenId, ChannelId, Option<IpAddr>), u64>;

#[derive(Debug, Default, Clone)]
struct Minute {
    uses: Uses,
    dropped: u64,
}

/// Uses of tokens that were not reported yet.
#[derive(Debug, Default)]
pub struct Usage(Mutex<Unreported>);

#[derive(Debug, Default)]
struct Unreported {
    /// Shared, so that a report is made without the lock, which each verification takes.
    minutes: BTreeMap<i64, Arc<Minute>>,
    /// The newest minute whose report was answered for good.
    arrived: Option<i64>,
}

impl Usage {
    /// Counts a use at `now`; the source is the client's address, if it is known.
    pub fn record(
        &self,
        now: UnixTime,
        token: TokenId,
        channel: ChannelId,
        source: Option<IpAddr>,
    ) {
        let mut unreported = self.lock();
        let minute = unreported.minute(now);
        let minutes = &mut unreported.minutes;
        let Minute { uses, dropped } = Arc::make_mut(minutes.entry(minute).or_default());
        let is_full = uses.len() >= LONGEST_MINUTE;
        match uses.entry((token, channel, source)) {
            Entry::Occupied(mut it) => *it.get_mut() += 1,
            Entry::Vacant(_) if is_full => *dropped += 1,
            Entry::Vacant(it) => {
                it.insert(1);
            }
        }
        while minutes.len() > MINUTES {
            let lost = minutes.pop_first().map_or(0, |(_, it)| it.count());
            if let Some(mut next) = minutes.first_entry() {
                Arc::make_mut(next.get_mut()).dropped += lost;
            }
        }
    }

    /// The report of the minutes that are over at `now` and were not reported. The last of
    /// them is reported without uses, too: so the authority knows that there were none.
    #[must_use]
    pub fn report(&self, now: UnixTime, instance: &InstanceId) -> Option<UsageReport> {
        let over: Vec<_> = {
            let mut unreported = self.lock();
            let last = unreported.minute(now) - 60;
            let Unreported { minutes, arrived } = &*unreported;
            let is_missing = *arrived < Some(last) && !minutes.contains_key(&last);
            let missing = is_missing.then(|| (last, Arc::default()));
            let over = minutes.range(..=last).map(|(at, it)| (*at, it.clone()));
            over.chain(missing).collect()
        };
        let minutes: Vec<_> = over.iter().map(|(at, it)| it.report(*at, instance)).collect();
        (!minutes.is_empty()).then(|| UsageReport { instance: instance.clone(), minutes })
    }

    /// Drops the minutes of a report that has arrived.
    pub fn arrived(&self, report: &UsageReport) {
        self.settle(report, 0);
    }

    /// Drops the minutes of a report that the authority has rejected for good. Their uses
    /// count as dropped in the next one.
    pub fn rejected(&self, report: &UsageReport) {
        let uses = report.minutes.iter().flat_map(|it| &it.uses).map(|it| it.count);
        let dropped = report.minutes.iter().map(|it| it.dropped);
        self.settle(report, uses.chain(dropped).fold(0, u64::saturating_add));
    }

    fn settle(&self, report: &UsageReport, lost: u64) {
        let Some(newest) = report.minutes.iter().map(|it| it.minute.0).max() else { return };
        let mut unreported = self.lock();
        unreported.arrived = unreported.arrived.max(Some(newest));
        let minutes = &mut unreported.minutes;
        let settled = report.minutes.iter().filter_map(|it| minutes.remove(&it.minute.0));
        let settled: Vec<_> = settled.collect();
        if lost > 0 {
            let next = Arc::make_mut(minutes.entry(newest + 60).or_default());
            next.dropped = next.dropped.saturating_add(lost);
        }
        drop(unreported);
        // Without the lock: they may be long.
        drop(settled);
    }

    fn lock(&self) -> MutexGuard<'_, Unreported> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unreported {
    /// The minute of `now`. If the authority's clock has gone back, the uses so far are of this
    /// minute: a use is never in the future, or it would seem to come after a revocation.
    fn minute(&mut self, now: UnixTime) -> i64 {
        let mut minute = now.0 - now.0.rem_euclid(60);
        match self.arrived {
            // By less than a minute: the authority would take it for a repetition.
            Some(arrived) if arrived == minute => minute += 60,
            Some(arrived) if arrived > minute => self.arrived = None,
            _ => {}
        }
        while let Some(later) = self.minutes.last_entry().filter(|it| *it.key() > minute) {
            let later = later.remove();
            let into = Arc::make_mut(self.minutes.entry(minute).or_default());
            into.dropped = into.dropped.saturating_add(later.dropped);
            for (token, count) in &later.uses {
                *into.uses.entry(*token).or_default() += count;
            }
        }
        minute
    }
}

impl Minute {
    /// Number of all its uses.
    fn count(&self) -> u64 {
        self.uses.values().sum::<u64>().saturating_add(self.dropped)
    }

    /// The most used tokens that fit in a report.
    fn report(&self, at: i64, instance: &InstanceId) -> UsageMinute {
        let mut all: Vec<_> = self.uses.iter().collect();
        all.sort_unstable_by(|one, other| other.1.cmp(one.1).then_with(|| one.0.cmp(other.0)));
        let mut minute =
            UsageMinute { minute: UnixTime(at), uses: Vec::new(), dropped: self.dropped };
        let mut length = 0;
        for ((token_id, channel, source), count) in all {
            let source = source.map_or_else(|| instance.to_string(), |it| it.to_string());
            // The names, marks and numbers of an entry have less than 120 bytes.
            length += 120 + source.len();
            if length > LONGEST {
                minute.dropped += count;
                continue;
            }
            let (token_id, channel, count) = (*token_id, *channel, *count);
            minute.uses.push(TokenUse { token_id, channel, count, source });
        }
        minute
    }
}
