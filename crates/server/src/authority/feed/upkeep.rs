//! What the feed needs from time to time: receipts are written when they are complete, and
//! instances that have not asked for long are dropped.

use super::judge::Fate;
use crate::{authority::Authority, metrics::FeedState};
use tegata_store::Result;
use tegata_token::{
    feed::{InstanceId, OnStale},
    id::VerifierId,
};

/// Maximum number of receipts that are written in one transaction.
const AT_ONCE: usize = 100;
/// Maximum number of receipts that a start reads.
const READ: usize = 2_000;

impl Authority {
    /// Reads what an earlier process has left: changes, instances and open receipts.
    pub(in crate::authority) async fn begin_feed(&self) -> Result<()> {
        let (feed, now) = (&self.memory.feed, self.clock().steady());
        let most = usize::try_from(super::tail::SLOTS).unwrap_or(usize::MAX);
        feed.fill_tail(self.store.last_changes(most).await?);
        feed.instances.fill(self.store.instances().await?, now);
        let open = self.store.open_receipts(READ).await?;
        feed.receipts.fill(open, &feed.instances, now, self.store.is_shared());
        Ok(())
    }

    /// Writes the receipts that are complete, and renews the rows of instances that are due; the
    /// server that `leads` also drops the rows of those that have not asked for long.
    ///
    /// # Errors
    /// [`Unavailable`](tegata_store::Error::Unavailable).
    pub async fn settle_feed(&self, leads: bool) -> Result<()> {
        let renewed = self.renew_instances().await;
        self.store_receipts().await?;
        let (feed, now) = (&self.memory.feed, self.clock().steady());
        if !leads {
            return renewed;
        }
        let gone = feed.instances.gone(now);
        if !gone.is_empty() {
            feed.receipts.update(&feed.instances);
            self.store.drop_instances(gone).await?;
            feed.instances.forget(now);
        }
        renewed
    }

    /// Writes the receipts that are complete.
    pub(super) async fn store_receipts(&self) -> Result<()> {
        let (feed, now) = (&self.memory.feed, self.clock().steady());
        let rows = feed.receipts.to_store(&feed.instances, now);
        for rows in rows.chunks(AT_ONCE) {
            self.store.settle_receipts(rows.to_vec(), self.now()).await?;
            feed.receipts.stored(rows, now);
        }
        Ok(())
    }

    /// The state of the instances, for `/metrics`.
    #[must_use]
    pub fn feed_state(&self) -> FeedState {
        let feed = &self.memory.feed;
        let mut state = FeedState {
            held: self.held_requests(),
            pending_receipts: feed.receipts.pending(),
            ..FeedState::default()
        };
        for it in feed.instances.listed(None, self.clock().steady()) {
            let count = match (it.lease.is_zero(), it.row.on_stale) {
                (true, OnStale::Allow) => &mut state.may_still_accept,
                (true, _) => &mut state.stale,
                (false, _) if it.cannot.is_some() => &mut state.cannot_apply,
                (false, _) => &mut state.fresh,
            };
            *count += 1;
            state.oldest = state.oldest.max(it.silent.as_secs_f64());
        }
        state
    }

    /// Answers held requests of verifiers, and those that wait for receipts, at once: the
    /// server stops.
    pub fn drain_feed(&self) {
        self.memory.feed.draining.cancel();
        self.memory.feed.notify_all();
    }

    /// Notes that an operator removed instances.
    pub(in crate::authority) fn instances_removed(
        &self,
        names: &[(VerifierId, InstanceId)],
        by: String,
    ) {
        let feed = &self.memory.feed;
        feed.removed(names);
        feed.receipts.gone(names, &Fate::Removed { by }, &feed.instances);
    }
}
