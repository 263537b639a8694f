//! The queue of warnings. Which warnings are due is decided by the server.

use super::{
    Act, ActName, Decided,
    effects::{Effects, Write},
    locked::{Locked, Needs},
    upkeep::{NewWarning, Upkeep},
};
use std::collections::BTreeSet;
use tegata_token::time::UnixTime;

/// Queues warnings, each name only once, and drops those that are out of date; returns
/// how many are new.
#[derive(Debug, Clone)]
pub struct QueueWarnings {
    /// The warnings.
    pub warnings: Vec<NewWarning>,
}

impl Act for QueueWarnings {
    type Output = usize;
    const NAME: ActName = ActName::QueueWarnings;

    fn needs(&self) -> Needs {
        let names = self.warnings.iter().map(|it| it.name.clone()).collect();
        Needs { upkeep: Upkeep::Warnings(names), ..Needs::default() }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<usize> {
        let mut effects = Effects::default();
        let (over, kept): (Vec<_>, Vec<_>) =
            locked.upkeep.warnings.iter().partition(|it| it.keep_until < now);
        let over: BTreeSet<i64> = over.into_iter().map(|it| it.number).collect();
        over.into_iter().for_each(|number| effects.write(Write::WarningDropped(number)));
        let mut known: BTreeSet<&str> = kept.into_iter().map(|it| it.name.as_str()).collect();
        let mut new = 0;
        for warning in &self.warnings {
            if known.insert(&warning.name) {
                effects.write(Write::Warning { new: warning.clone(), next: now });
                new += 1;
            }
        }
        Ok((new, effects))
    }
}

/// Records an attempt to send a warning.
#[derive(Debug, Clone, Copy)]
pub struct WarningTried {
    /// Its number.
    pub number: i64,
    /// When to try again, if at all.
    pub next: Option<UnixTime>,
}

impl Act for WarningTried {
    type Output = ();
    const NAME: ActName = ActName::WarningTried;

    fn needs(&self) -> Needs {
        Needs { upkeep: Upkeep::Warning(self.number), ..Needs::default() }
    }

    fn decide(&self, locked: &Locked, _: UnixTime) -> Decided<()> {
        let mut effects = Effects::default();
        // It may have been dropped while it was sent.
        if let Some(warning) = locked.upkeep.warnings.first() {
            let (number, attempts) = (warning.number, warning.attempts + 1);
            effects.write(Write::WarningTried { number, attempts, next: self.next });
        }
        Ok(((), effects))
    }
}
