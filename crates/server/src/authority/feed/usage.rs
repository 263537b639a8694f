//! What verifiers ask and report about tokens.

use super::{Refused, used_revoked::UsedRevoked};
use crate::authority::Authority;
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};
use tegata_store::{RecentUse, Result, VerifierRow};
use tegata_token::{
    claims::Claims,
    feed::{UsageMinute, UsageReport},
    id::{ChannelId, Group, Position, VerifierId},
    verify::Active,
};
use tokio::sync::{Mutex, MutexGuard};

/// Maximum number of tokens of a report whose uses are recorded.
const MOST: usize = 1_000;

/// Records the reports of a verifier one after the other: a report that is sent again while the
/// first is being recorded must count only if that one fails, and whatever a verifier reports, at
/// most one of the store's readers is busy with it.
#[derive(Default)]
pub(super) struct ReportLocks {
    /// A few verifiers share one.
    locks: [Mutex<()>; 32],
    hasher: RandomState,
}

impl ReportLocks {
    async fn lock(&self, verifier: VerifierId) -> MutexGuard<'_, ()> {
        let count = self.locks.len() as u64;
        let place = usize::try_from(self.hasher.hash_one(verifier) % count).unwrap_or(0);
        self.locks[place].lock().await
    }
}

/// A caller that may learn whether tokens are active.
pub enum Introspector {
    /// A verifier: about the tokens of its provider, or of all.
    Verifier(Arc<VerifierRow>),
    /// A channel: about its own tokens, or those of one group.
    Channel(ChannelId, Option<Group>),
}

impl Introspector {
    fn sees(&self, token: &Claims) -> bool {
        match self {
            Self::Verifier(it) => it.provider.is_none_or(|of| of == token.provider),
            Self::Channel(channel, group) => {
                *channel == token.channel && (group.is_none() || *group == token.group)
            }
        }
    }

    /// Its id, the audience of a signed answer.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Verifier(it) => it.id.to_string(),
            Self::Channel(it, _) => it.to_string(),
        }
    }
}

impl Authority {
    /// Verifies a token for a caller; `None`: it is not active, or one that the caller must
    /// learn nothing of. Also returns the position of the view that was used.
    ///
    /// # Errors
    /// [`Unavailable`](tegata_store::Error::Unavailable): whether it is active is not known.
    pub async fn introspect(
        &self,
        caller: &Introspector,
        token: &[u8],
    ) -> Result<(Option<Arc<Active>>, Position)> {
        let (verified, position) = self.verified(token).await?;
        let active = verified.ok().filter(|it| caller.sees(&it.claims));
        if let Some(active) = &active {
            self.last_used.note(&active.claims, None, self.now());
        }
        Ok((active.map(Arc::new), position))
    }

    /// Records the uses that an instance reports. Unknown tokens, and those of other
    /// providers, are ignored.
    ///
    /// # Errors
    /// [`Refused::Unavailable`].
    pub async fn feed_usage(
        &self,
        verifier: &VerifierRow,
        report: UsageReport,
    ) -> std::result::Result<(), Refused> {
        let now = self.now();
        let Some(newest) = report.minutes.iter().map(|it| it.minute).max() else { return Ok(()) };
        let name = (verifier.id, report.instance.clone());
        let (feed, instances) = (self.feed(), &self.feed().instances);
        let _alone = feed.report_locks.lock(verifier.id).await;
        let before = instances.reported(&name);
        // A minute that is sent again, since the response was lost, counts once.
        let is_new = |minute: &&UsageMinute| before.is_none_or(|before| minute.minute > before);
        // A verifier's clock may be wrong, but a use cannot be in the future.
        let (mut names, mut reported) = (Vec::new(), HashMap::<_, Vec<RecentUse>>::new());
        for minute in report.minutes.iter().filter(is_new) {
            let at = minute.minute.min(now);
            for it in &minute.uses {
                let count = u32::try_from(it.count).unwrap_or(u32::MAX);
                // The instance stands for an address that the use does not know.
                let used = RecentUse::times(count, it.source.parse().ok(), at);
                let uses = reported.entry((it.channel, it.token_id)).or_default();
                if uses.is_empty() {
                    names.push((it.channel, it.token_id));
                }
                uses.push(used);
            }
        }
        let left_out = report.minutes.iter().filter(|it| it.dropped > 0).map(|it| it.minute).max();
        let left_out = if names.len() > MOST { Some(newest) } else { left_out };
        // The first of the report, which begins with the most used.
        names.truncate(MOST);
        let mut revoked = Vec::new();
        for token in self.store.used_tokens(names, verifier.provider).await? {
            let uses = reported.remove(&(token.channel, token.id)).unwrap_or_default();
            revoked.extend(UsedRevoked::of(&token, &uses));
            // Of a revoked token, too: who used it last is what its owner asks then.
            for used in uses {
                self.last_used.note_uses(token.channel, token.serial, used, used.minute);
            }
        }
        self.note_revoked(&name, &revoked).await;
        left_out.into_iter().for_each(|at| instances.leave_out(&name, at.min(now)));
        // Last: until its uses are noted, the report is one that was not received.
        instances.report(&name, newest.min(now));
        Ok(())
    }
}
