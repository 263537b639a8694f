//! Receipts of acts: the only place that makes one for a caller, and waits for it.

use super::receipts::{Judged, OpenReceipt};
use crate::authority::{
    Authority,
    receipt::{CommittedAct, Concerns, InstanceReceipt, Receipt, ReceiptState},
};
use std::time::{Duration, Instant};
use tegata_store::{ReceiptFor, ReceiptRow, Result};
use tegata_token::{
    id::{Position, SigningKeyId},
    key::KeyState,
};

/// How often the row of a receipt without a list is read again.
const UNLISTED: Duration = Duration::from_millis(200);

fn left(end: tokio::time::Instant) -> Duration {
    end.saturating_duration_since(tokio::time::Instant::now())
}

impl Authority {
    /// The receipt of an act; waits up to `wait` until it is complete.
    ///
    /// # Errors
    /// [`Unavailable`](tegata_store::Error::Unavailable).
    pub async fn receipt(&self, act: CommittedAct, wait: Duration) -> Result<Receipt> {
        let CommittedAct { position, effective_at, concerns } = act;
        if let Err(error) = self.list_receipt(position).await {
            tracing::warn!(%error, %position, "a receipt is listed later");
        }
        let provider = match concerns {
            Concerns::Provider(provider) => Some(provider),
            Concerns::All => None,
        };
        let end = tokio::time::Instant::now() + wait;
        let found = self.receipt_at(position, Duration::ZERO).await?;
        if let Some(first) = found.filter(|it| it.provider == provider) {
            let later = match first.state {
                ReceiptState::Complete => None,
                ReceiptState::Pending => self.receipt_at(position, left(end)).await?,
            };
            return Ok(Receipt { effective_at, ..later.unwrap_or(first) });
        }
        // The act found everything done, by another one that may be a moment ago: nothing that was
        // measured before this call counts, and a receipt at this position is that of another act,
        // perhaps on another provider, for whose verifiers it does not wait.
        let about = ReceiptFor { provider, effective_at };
        let row = ReceiptRow { position, about, complete: false, list: None };
        self.learn_of_instances().await?;
        Ok(self.wait_for(row, self.clock().steady(), left(end)).await)
    }

    /// The receipt of the act at a position, once it is complete, or after `wait`; `None` if
    /// the act has none.
    ///
    /// # Errors
    /// [`Unavailable`](tegata_store::Error::Unavailable).
    pub async fn receipt_at(&self, at: Position, wait: Duration) -> Result<Option<Receipt>> {
        let feed = self.feed();
        let judge =
            |is_over| feed.receipts.judge(at, &feed.instances, self.clock().steady(), is_over);
        let end = tokio::time::Instant::now() + wait;
        if judge(false).is_none() {
            let Some((row, is_listed)) = self.listed(at, end).await? else { return Ok(None) };
            // It may have been listed in memory meanwhile.
            if judge(false).is_none() {
                let learned = feed.receipts.learned(at, self.clock().steady());
                let receipt = self.wait_for(row, learned, left(end)).await;
                let state = if is_listed { receipt.state } else { ReceiptState::Pending };
                return Ok(Some(Receipt { state, ..receipt }));
            }
        }
        let Some(mut receipt) = self.watch(judge, left(end)).await else {
            // It was completed and written meanwhile.
            let Some(row) = self.store().receipt(at).await? else { return Ok(None) };
            let learned = feed.receipts.learned(at, self.clock().steady());
            return Ok(Some(self.wait_for(row, learned, Duration::ZERO).await));
        };
        // Stored first: after a crash it is not known any more who has acknowledged.
        let is_complete = receipt.state == ReceiptState::Complete && !receipt.verifiers.is_empty();
        if is_complete && self.store_receipts().await.is_err() {
            receipt.state = ReceiptState::Pending;
        }
        Ok(Some(receipt))
    }

    /// The instances that must learn of the pending signing key before it signs; `None`: the
    /// key is not pending.
    ///
    /// # Errors
    /// [`Unavailable`](tegata_store::Error::Unavailable).
    pub(in crate::authority) async fn instances_without(
        &self,
        key: SigningKeyId,
    ) -> Result<Option<Vec<InstanceReceipt>>> {
        let (feed, view) = (self.feed(), self.view());
        let is_pending = view.key(key).is_some_and(|it| it.state == KeyState::Pending);
        let at = view.position();
        if !is_pending || !self.all_have(at).await? {
            return Ok(None);
        }
        let now = self.clock().steady();
        Ok(Some(feed.receipts.without_key(key, at, &feed.instances, now)))
    }

    /// The row of a receipt that is not in memory, and whether its instances are listed. If a
    /// server is about to list them, this waits for that, until `end`: it alone knows when all
    /// instances can be read.
    async fn listed(
        &self,
        at: Position,
        end: tokio::time::Instant,
    ) -> Result<Option<(ReceiptRow, bool)>> {
        loop {
            let Some(row) = self.store().receipt(at).await? else { return Ok(None) };
            let is_listed = row.complete || row.list.is_some() || !self.store().is_shared();
            let left = left(end);
            if is_listed || left.is_zero() || self.feed().draining.is_cancelled() {
                return Ok(Some((row, is_listed)));
            }
            tokio::time::sleep(left.min(UNLISTED)).await;
        }
    }

    /// Waits for a receipt that is not in memory, and whose position this process learned of by
    /// `learned`.
    async fn wait_for(&self, row: ReceiptRow, learned: Instant, wait: Duration) -> Receipt {
        let feed = self.feed();
        let unknown = Receipt {
            state: ReceiptState::Pending,
            position: row.position,
            effective_at: row.about.effective_at,
            provider: row.about.provider,
            verifiers: Vec::new(),
        };
        let mut open = OpenReceipt::new(row, learned, &feed.instances);
        let judge =
            move |is_over| Some(open.judge(&feed.instances, self.clock().steady(), is_over));
        self.watch(judge, wait).await.unwrap_or(unknown)
    }

    /// Judges a receipt until it is complete, the time is over, or the server stops; `None`
    /// if it is not there any more.
    async fn watch(
        &self,
        mut judge: impl FnMut(bool) -> Option<Judged>,
        wait: Duration,
    ) -> Option<Receipt> {
        let feed = self.feed();
        let end = tokio::time::Instant::now() + wait;
        let mut news = feed.receipts.news();
        loop {
            news.mark_unchanged();
            let now = tokio::time::Instant::now();
            let is_over = now >= end || feed.draining.is_cancelled();
            let next = match judge(is_over)? {
                Judged::Shown(receipt) => return Some(receipt),
                Judged::Waits(next) => next,
            };
            let until = next.map_or(end, |it| end.min(now + it));
            tokio::select! {
                _ = news.changed() => {}
                () = tokio::time::sleep_until(until) => {}
                () = feed.draining.cancelled() => {}
            }
        }
    }
}
