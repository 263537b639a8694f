//! How many tokens were verified and issued in each minute of the last day, for charts. In
//! memory alone: a job compares the counters once a minute.

use super::Authority;
use crate::metrics::Metrics;
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};
use tegata_token::{kind::Kind, time::UnixTime};

/// Number of minutes that are kept: a day.
pub const MINUTES: usize = 1_440;

/// What happened in a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveMinute {
    /// Its start.
    pub minute: UnixTime,
    /// Verifications of active tokens at this server.
    pub verified: u64,
    /// Verifications of other tokens.
    pub rejected: u64,
    /// Tokens that were issued.
    pub issued: u64,
}

/// The minutes, oldest first.
#[derive(Default)]
pub struct Activity(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    minutes: VecDeque<ActiveMinute>,
    /// The counters when they were read last.
    last: Option<ActiveMinute>,
}

impl Activity {
    /// Notes the counters at `counted.minute`, whose difference to the last ones happened in
    /// the minute before.
    fn note(&self, counted: ActiveMinute) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // All counters are zero at first.
        let zero = ActiveMinute { verified: 0, rejected: 0, issued: 0, ..counted };
        let last = kept.last.replace(counted).unwrap_or(zero);
        let minute = UnixTime((counted.minute.0 - 60).div_euclid(60) * 60);
        let new = ActiveMinute {
            minute,
            verified: counted.verified.saturating_sub(last.verified),
            rejected: counted.rejected.saturating_sub(last.rejected),
            issued: counted.issued.saturating_sub(last.issued),
        };
        match kept.minutes.back_mut() {
            // The jobs ran twice within a minute.
            Some(same) if same.minute >= minute => {
                same.verified += new.verified;
                same.rejected += new.rejected;
                same.issued += new.issued;
            }
            _ => kept.minutes.push_back(new),
        }
        while kept.minutes.len() > MINUTES {
            kept.minutes.pop_front();
        }
    }

    /// The minutes after `since`, oldest first.
    fn after(&self, since: UnixTime) -> Vec<ActiveMinute> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.minutes.iter().filter(|it| it.minute > since).copied().collect()
    }
}

fn counted(metrics: &Metrics, now: UnixTime) -> ActiveMinute {
    let (verified, rejected) = metrics.verified();
    let issued = Kind::all().map(|kind| metrics.issues(kind).issued.get()).sum();
    ActiveMinute { minute: now, verified, rejected, issued }
}

impl Authority {
    /// Notes what happened since the last call.
    pub fn note_activity(&self) {
        self.activity.note(counted(self.metrics(), self.now()));
    }

    /// What happened in each minute of the last day, oldest first.
    pub(super) fn activity(&self) -> Vec<ActiveMinute> {
        self.activity.after(self.now().plus(-60 * i64::try_from(MINUTES).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64, verified: u64) -> ActiveMinute {
        let minute = UnixTime(1_790_000_040 + minute * 60);
        ActiveMinute { minute, verified, rejected: 1, issued: verified / 2 }
    }

    #[test]
    fn a_minute_has_what_happened_since_the_last_and_a_day_is_kept() {
        let activity = Activity::default();
        activity.note(at(1, 10));
        activity.note(at(2, 14));
        // Twice within a minute.
        activity.note(ActiveMinute { minute: at(2, 0).minute.plus(5), ..at(2, 15) });
        let all = activity.after(UnixTime(0));
        assert_eq!(all[0], ActiveMinute { rejected: 1, ..at(0, 10) });
        assert_eq!((all[1].minute, all[1].verified, all[1].rejected), (at(1, 0).minute, 5, 0));
        assert_eq!(activity.after(at(0, 0).minute).len(), 1);
        for minute in 3..2_000 {
            activity.note(at(minute, 20));
        }
        assert_eq!(activity.after(UnixTime(0)).len(), MINUTES);
    }
}
