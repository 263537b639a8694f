//! Deleting what is old.

use super::{
    Act, ActName, Decided,
    effects::{Effects, Write},
    locked::{Locked, Needs},
    revoke::REVOCATIONS_KEPT,
    upkeep::{Old, Upkeep},
};
use tegata_token::time::{DAY, UnixTime};

/// How long changes of the log are kept, in seconds; a follower that is further behind
/// gets a snapshot.
const LOG_KEPT: i64 = DAY;

/// Deletes old rows, the oldest first; returns how many.
#[derive(Debug, Clone)]
pub struct Trim {
    /// Which.
    pub old: Old,
}

impl Act for Trim {
    type Output = usize;
    const NAME: ActName = ActName::Trim;

    fn needs(&self) -> Needs {
        Needs { upkeep: Upkeep::Old(self.old.clone()), ..Needs::default() }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<usize> {
        let mut effects = Effects::default();
        let gone = match &self.old {
            Old::LogAndAssertions { .. } => trim_log(locked, now, &mut effects),
            Old::Tokens { before, .. } => sweep(locked, *before, &mut effects),
            Old::Uses { before, .. } => drop_uses(locked, *before, &mut effects),
            Old::Audit { kept_from, .. } => expire(locked, *kept_from, &mut effects),
        };
        Ok((gone, effects))
    }
}

/// Drops old changes of the log, and used assertions that expired long ago.
fn trim_log(locked: &Locked, now: UnixTime, effects: &mut Effects) -> usize {
    let old = |&&(_, at): &&(u64, UnixTime)| at < now.plus(-LOG_KEPT);
    let changes: Vec<_> = locked.upkeep.log.iter().take_while(old).collect();
    if let Some((through, _)) = changes.last() {
        effects.write(Write::LogDropped { through: *through });
    }
    let assertions = locked.upkeep.assertions.iter();
    let expired = assertions.filter(|it| it.expires_at < now.plus(-REVOCATIONS_KEPT));
    let expired: Vec<_> = expired.map(|it| (it.channel, it.fingerprint)).collect();
    let gone = changes.len() + expired.len();
    if !expired.is_empty() {
        effects.write(Write::AssertionsDropped(expired));
    }
    gone
}

/// Drops the rows of tokens that expired or were revoked before `before`. The revocations
/// in the view stay, so no such token becomes active again.
fn sweep(locked: &Locked, before: UnixTime, effects: &mut Effects) -> usize {
    let over = locked.upkeep.tokens.iter().filter(|it| it.times.over_at() < before);
    let mut gone = 0;
    for token in over {
        effects.write(Write::TokenDropped { channel: token.channel, row: token.row });
        gone += 1;
    }
    gone
}

/// Drops the recent uses of tokens that were not used since `before`.
fn drop_uses(locked: &Locked, before: UnixTime, effects: &mut Effects) -> usize {
    let old = locked.upkeep.last_uses.iter().filter(|(_, after)| *after <= before);
    let rows: Vec<i64> = old.map(|(row, _)| *row).collect();
    let gone = rows.len();
    rows.into_iter().for_each(|row| effects.write(Write::UsesDropped { row }));
    gone
}

/// Drops audit events of checkpoints below `kept_from`, if a stored checkpoint has
/// announced that.
fn expire(locked: &Locked, kept_from: u64, effects: &mut Effects) -> usize {
    let announced = locked.upkeep.checkpoint.as_ref().map_or(0, |it| it.kept_from);
    let events = &locked.upkeep.events;
    if announced >= kept_from
        && let Some(&through) = events.last()
    {
        effects.write(Write::AuditDropped { through });
        return events.len();
    }
    0
}
