//! Recent uses of stored tokens: from which addresses, in which minutes, and how often.

use super::{
    Act, ActName, Decided,
    effects::{Effects, Write},
    locked::{Locked, Needs},
    upkeep::{NotedUse, RecentUse, Upkeep, UsesOfRow},
};
// Addresses alone: this crate opens no sockets.
use core::net::IpAddr;
use std::{collections::BTreeMap, sync::Arc};
use tegata_token::time::{DAY, UnixTime};

/// Maximum number of uses that are kept of a token.
pub const USES_PER_TOKEN: usize = 16;

/// How long a use is kept, in seconds.
pub const USES_KEPT: i64 = 7 * DAY;

/// Records uses of stored tokens; those of tokens that do not exist any more are ignored.
#[derive(Debug, Clone)]
pub struct RecordUses {
    /// The uses.
    pub uses: Arc<[NotedUse]>,
    /// Stored uses before this time are dropped.
    pub since: UnixTime,
}

impl Act for RecordUses {
    type Output = ();
    const NAME: ActName = ActName::RecordUses;

    fn needs(&self) -> Needs {
        Needs { upkeep: Upkeep::Uses(self.uses.clone()), ..Needs::default() }
    }

    fn decide(&self, locked: &Locked, _: UnixTime) -> Decided<()> {
        let mut effects = Effects::default();
        for UsesOfRow { row, before, noted } in &locked.upkeep.uses {
            let uses = merged(before.iter().chain(noted), self.since);
            effects.write(Write::Uses { row: *row, uses });
        }
        Ok(((), effects))
    }
}

/// The uses from `since` on that are kept, newest first. Of too many, the oldest ones are
/// dropped whose address has a newer one: a rare address is kept although another is busy.
#[must_use]
pub fn merged<'a>(
    uses: impl IntoIterator<Item = &'a RecentUse>,
    since: UnixTime,
) -> Vec<RecentUse> {
    let mut counts = BTreeMap::<(UnixTime, Option<IpAddr>), u32>::new();
    for used in uses.into_iter().filter(|used| used.minute >= since) {
        let count = counts.entry((used.minute, used.source)).or_default();
        *count = count.saturating_add(used.count);
    }
    let mut kept: Vec<RecentUse> = counts
        .into_iter()
        .rev()
        .map(|((minute, source), count)| RecentUse { source, minute, count })
        .collect();
    while kept.len() > USES_PER_TOKEN {
        let repeated = |at: &usize| kept[..*at].iter().any(|it| it.source == kept[*at].source);
        let oldest = (0..kept.len()).rev().find(repeated);
        kept.remove(oldest.unwrap_or(kept.len() - 1));
    }
    kept
}
