//! Uses of revoked tokens that instances report.

use super::{
    accepted::AcceptedRevoked,
    acknowledgements::{MINUTE, ROUNDED},
    instances::{Instances, Name},
};
use crate::authority::Authority;
use std::collections::{HashMap, HashSet};
use tegata_store::{RecentUse, UsedToken};
use tegata_token::{feed::OnStale, id::Position, time::UnixTime};

/// A token that was revoked before the last minute in which it was used.
pub(super) struct UsedRevoked {
    revoked_at: UnixTime,
    used: AcceptedRevoked,
}

impl UsedRevoked {
    /// `None`: it was not revoked, or not before.
    pub(super) fn of(token: &UsedToken, uses: &[RecentUse]) -> Option<Self> {
        let (revoked_at, minute) = (token.revoked_at?, uses.iter().map(|it| it.minute).max()?);
        let used = AcceptedRevoked { channel: token.channel, token: token.id, minute };
        (minute > revoked_at).then_some(Self { revoked_at, used })
    }
}

impl Instances {
    /// Notes a use of a revoked token, whose revocation is at or before `through` in the log if
    /// that is known; whether the instance could know of it in the minute of the use. It did if
    /// it had acknowledged the revocation a minute before that one began: after a step of its
    /// clock it reports a use one minute late. It may also not use what it knows any more after
    /// its lease, unless it may use a stale view.
    fn used_revoked(&self, name: &Name, it: &UsedRevoked, through: Option<Position>) -> bool {
        let mut all = self.change();
        let Some(known) = all.get_mut(name) else { return false };
        let UsedRevoked { revoked_at, used } = it;
        let lease = i64::try_from(known.line().lease().as_secs()).unwrap_or(i64::MAX);
        let is_over = used.minute.since(*revoked_at) > lease.saturating_add(ROUNDED);
        let acknowledged = through.and_then(|it| known.acknowledgements.of(it));
        let knew = acknowledged.is_some_and(|at| used.minute.since(at) > MINUTE + ROUNDED);
        let is_faulty = knew || is_over && known.row.on_stale != OnStale::Allow;
        if is_faulty {
            known.accepted = Some(*used);
        }
        is_faulty
    }
}

impl Authority {
    /// Looks for uses of revoked tokens that an instance accepted, although it could know.
    pub(super) async fn note_revoked(&self, name: &Name, all: &[UsedRevoked]) {
        if all.is_empty() {
            return;
        }
        let channels: HashSet<_> = all.iter().map(|it| it.used.channel).collect();
        // The rows of the tokens can be newer than the log in memory.
        let through = match self.catch_up().await {
            Ok(()) => self.feed().tail.newest_of(&channels, self.view().position()),
            Err(_) => HashMap::new(),
        };
        for it in all {
            let used = &it.used;
            if self.feed().instances.used_revoked(name, it, through.get(&used.channel).copied()) {
                self.metrics().feed.accepted_revoked.inc();
                tracing::error!(
                    verifier = %name.0, instance = %name.1, channel = %used.channel, token = %used.token,
                    "a verifier accepted a token that was revoked before: its program is faulty",
                );
            }
        }
    }
}
