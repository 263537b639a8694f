//! Receipts: which instances of verifiers have applied an act that takes something away.
//!
//! The only place that makes one. A verifier accepts a revoked token until it has applied
//! the revocation, so an act that takes something away is complete only when no instance
//! is left that could still accept.

use super::{
    Authority,
    feed::{Judged, OpenReceipt},
};
use serde::Serialize;
use std::time::Duration;
use tegata_store::{ReceiptFor, ReceiptRow, Result};
use tegata_token::{
    id::{Position, ProviderId},
    time::UnixTime,
};

/// What an act concerns, and so which verifiers must apply it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concerns {
    /// A provider, one of its channels or tokens: its verifiers and the unlimited ones.
    Provider(ProviderId),
    /// The authority's own keys: all verifiers.
    All,
}

/// An act that has a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommittedAct {
    /// The position of its last change.
    pub position: Position,
    /// From when on nothing accepts what it took away, once the receipt is complete.
    pub effective_at: UnixTime,
    /// What it concerns.
    pub concerns: Concerns,
}

/// Which instances of verifiers have applied an act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Whether an instance is left that could accept after [`Self::effective_at`].
    pub state: ReceiptState,
    /// The position of the act's last change.
    pub position: Position,
    /// When the act takes effect: after the delay of a reissue, else at its time.
    pub effective_at: UnixTime,
    /// The instances that must apply it.
    pub verifiers: Vec<InstanceReceipt>,
}

/// The state of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptState {
    /// An instance could still accept what was taken away.
    Pending,
    /// No instance can.
    Complete,
}

/// One instance's part of a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceReceipt {
    /// The name of its verifier.
    pub name: String,
    /// Its id.
    pub instance: String,
    /// Whether it can still accept.
    pub state: InstanceState,
    /// When it acknowledged the position.
    pub acknowledged_at: Option<UnixTime>,
    /// Why it cannot apply the position, or who removed it.
    pub detail: Option<String>,
}

/// Whether an instance can still accept what an act took away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// It has applied the position.
    Acknowledged,
    /// It may not have applied it yet.
    Waiting,
    /// It has not asked for so long that it treats its own view as stale.
    LeaseExpired,
    /// As [`Self::LeaseExpired`], but it may use a stale view.
    MayStillAccept,
    /// It has reported that it cannot apply the position.
    CannotApply,
    /// It has reported its end.
    Stopped,
    /// An operator removed it.
    Removed,
}

impl Authority {
    /// The receipt of an act; waits up to `wait` until it is complete.
    ///
    /// # Errors
    /// [`Unavailable`](tegata_store::Error::Unavailable).
    pub async fn receipt(&self, act: CommittedAct, wait: Duration) -> Result<Receipt> {
        let CommittedAct { position, effective_at, concerns } = act;
        let provider = match concerns {
            Concerns::Provider(provider) => Some(provider),
            Concerns::All => None,
        };
        match self.receipt_at(position, wait).await? {
            Some(receipt) => Ok(receipt),
            None => {
                // The act found everything done, without a change of its own.
                let about = ReceiptFor { provider, effective_at };
                let row = ReceiptRow { position, about, complete: false, list: None };
                self.wait_for(row, wait).await
            }
        }
    }

    /// The receipt of the act at a position, once it is complete, or after `wait`; `None` if
    /// the act has none.
    ///
    /// # Errors
    /// [`Unavailable`](tegata_store::Error::Unavailable).
    pub async fn receipt_at(&self, at: Position, wait: Duration) -> Result<Option<Receipt>> {
        let feed = self.feed();
        if feed.receipts.judge(at, &feed.instances, self.clock().steady()).is_none() {
            let Some(row) = self.store().receipt(at).await? else { return Ok(None) };
            return self.wait_for(row, wait).await.map(Some);
        }
        let judge = || feed.receipts.judge(at, &feed.instances, self.clock().steady());
        let Some(receipt) = self.watch(judge, wait).await else {
            // It was completed and written meanwhile.
            let Some(row) = self.store().receipt(at).await? else { return Ok(None) };
            return self.wait_for(row, Duration::ZERO).await.map(Some);
        };
        Ok(Some(receipt))
    }

    /// Waits for a receipt that is not in memory.
    async fn wait_for(&self, row: ReceiptRow, wait: Duration) -> Result<Receipt> {
        let (feed, learned) = (self.feed(), self.feed().receipts.learned());
        let unknown = Receipt {
            state: ReceiptState::Pending,
            position: row.position,
            effective_at: row.about.effective_at,
            verifiers: Vec::new(),
        };
        let mut open = OpenReceipt::new(row, learned, &feed.instances);
        let judge = move || Some(open.judge(&feed.instances, self.clock().steady()));
        Ok(self.watch(judge, wait).await.unwrap_or(unknown))
    }

    /// Judges a receipt until it is complete, the time is over, or the server stops; `None`
    /// if it is not there any more.
    async fn watch(
        &self,
        mut judge: impl FnMut() -> Option<Judged>,
        wait: Duration,
    ) -> Option<Receipt> {
        let feed = self.feed();
        let end = tokio::time::Instant::now() + wait;
        let mut news = feed.receipts.news();
        loop {
            news.mark_unchanged();
            let Judged { receipt, next } = judge()?;
            let now = tokio::time::Instant::now();
            let is_over = now >= end || feed.draining.is_cancelled();
            if receipt.state == ReceiptState::Complete || is_over {
                return Some(receipt);
            }
            let until = next.map_or(end, |it| end.min(now + it));
            tokio::select! {
                _ = news.changed() => {}
                () = tokio::time::sleep_until(until) => {}
                () = feed.draining.cancelled() => {}
            }
        }
    }
}
