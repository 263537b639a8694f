//! What servers that share a store tell each other about the instances that ask them: each
//! follower asks one of them, and a receipt counts the followers of all. See
//! `docs/decisions/0025-many-replicas.md`.

use crate::authority::Authority;
use std::time::{Duration, Instant};
use tegata_store::Result;
use tegata_token::id::Position;
use tokio_util::sync::CancellationToken;

/// How often the servers exchange what they know while a new receipt is not complete.
const WHILE_NEW: Duration = Duration::from_millis(100);
/// How long a receipt is new: followers that are there acknowledge within this time.
const FIRST: Duration = Duration::from_secs(5);
/// The same while one is not complete.
const WHILE_OPEN: Duration = Duration::from_secs(1);
/// How long that matters: later, only instances that may use a stale view are missing.
const LONG: Duration = Duration::from_secs(300);
/// The same else.
const ELSE: Duration = Duration::from_secs(10);
/// After how long a receipt is listed by a server that did not begin it: the one that did
/// lists it within a lease and a commit, unless it is gone.
const ORPHANED: Duration = Duration::from_secs(10);
/// Maximum number of receipts that are read.
const READ: usize = 2_000;

/// How long to wait for the next exchange while the youngest receipt that is not complete has
/// that age. Without an instance nothing is acknowledged.
fn pause(youngest: Option<Duration>, has_no_instance: bool) -> Duration {
    match youngest {
        Some(age) if age < FIRST && !has_no_instance => WHILE_NEW,
        Some(age) if age < LONG => WHILE_OPEN,
        _ => ELSE,
    }
}

impl Authority {
    /// Exchanges what the servers know until `stop`.
    pub(in crate::authority) async fn exchange_until(&self, stop: CancellationToken) {
        if !self.store().is_shared() {
            return;
        }
        let feed = self.feed();
        let mut failing = false;
        loop {
            // First, so that no receipt is missed that is begun meanwhile.
            let mut news = feed.receipts.begun();
            let age = |at| self.clock().steady().saturating_duration_since(at);
            let age = feed.receipts.youngest().map(age);
            tokio::select! {
                () = tokio::time::sleep(pause(age, self.has_no_instance())) => {}
                _ = news.changed(), if age.is_none_or(|it| it >= FIRST) => {}
                () = stop.cancelled() => return,
            }
            match self.exchange().await {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    tracing::warn!(%error, "receipts may be late: the servers cannot exchange what verifiers have acknowledged");
                    failing = true;
                }
                Err(_) => {}
            }
        }
    }

    /// Writes what instances have acknowledged to this server, and reads what they have
    /// acknowledged to others, and which receipts others have begun or completed.
    async fn exchange(&self) -> Result<()> {
        let feed = self.feed();
        let own = feed.instances.unwritten();
        if !own.is_empty()
            && let Err(error) = self.store().acknowledge(own.clone()).await
        {
            feed.instances.write_again(&own);
            return Err(error);
        }
        let began = self.read_instances().await?;
        if feed.receipts.pending() > 0 {
            feed.instances.learn(self.store().acknowledged().await?);
            let open = self.store().open_receipts(READ).await?;
            let read = (began, self.clock().steady());
            feed.receipts.follow(open, READ, &feed.instances, read, ORPHANED);
            feed.receipts.tell();
        }
        Ok(())
    }

    /// Reads which instances there are; those that were registered before this call are in
    /// memory afterwards. Returns when it began.
    async fn read_instances(&self) -> Result<Instant> {
        let instances = &self.feed().instances;
        loop {
            let (began, removals) = (self.clock().steady(), instances.removals());
            let all = self.store().instances().await?;
            if instances.merge(all, began, self.clock().steady(), removals) {
                return Ok(began);
            }
        }
    }

    /// Lists the instances of a receipt that this server's act has begun, once every other
    /// server has applied the act or lost its lease: an instance that registers later gets a
    /// view that has the act. A job stores the list, so that every server can show it.
    ///
    /// # Errors
    /// [`Unavailable`](tegata_store::Error::Unavailable); it is listed later.
    pub(super) async fn list_receipt(&self, at: Position) -> Result<()> {
        let feed = self.feed();
        if !feed.receipts.is_begun(at) {
            return Ok(());
        }
        self.learn_of_instances().await?;
        feed.receipts.list_one(at, &feed.instances);
        Ok(())
    }

    /// Reads which instances there are, so that memory has those that were registered before this
    /// call. A server without others knows all but those that are being registered, which then
    /// get a view that has every act so far. A verifier that is created later is in the log after
    /// them.
    ///
    /// # Errors
    /// [`Unavailable`](tegata_store::Error::Unavailable).
    pub(super) async fn learn_of_instances(&self) -> Result<()> {
        if self.store().is_shared() && !self.has_no_instance() {
            self.read_instances().await?;
        }
        Ok(())
    }

    /// Whether no server can have an instance: this one has read all of them at its start, and
    /// there was no verifier since then, not even one that is deleted by now.
    fn has_no_instance(&self) -> bool {
        !self.memory.verifiers.had_any() && self.feed().instances.is_empty()
    }

    /// The same as [`Self::list_receipt`] for an act whose receipt its caller does not see, if this
    /// needs no read; else a server lists it later.
    pub(in crate::authority) fn list_receipt_of_none(&self, at: Position) {
        if self.store().is_shared() && self.has_no_instance() {
            self.feed().receipts.list_one(at, &self.feed().instances);
        }
    }

    /// Reads the instances anew before a pending signing key waits for them, unless this
    /// server is the only one. `false`: another server has not applied `at` yet.
    ///
    /// # Errors
    /// [`Unavailable`](tegata_store::Error::Unavailable).
    pub(super) async fn all_have(&self, at: Position) -> Result<bool> {
        if !self.store().is_shared() {
            return Ok(true);
        }
        let is_behind = |it: &tegata_store::ReplicaRow| !it.own && it.position < at;
        let behind = |all: Vec<_>| all.iter().any(is_behind);
        if behind(self.store().replicas().await?) {
            return Ok(false);
        }
        self.read_instances().await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_exchange_often_only_while_an_instance_may_acknowledge_something_new() {
        let age = |of: Duration| Some(of);
        assert_eq!(pause(age(Duration::ZERO), false), WHILE_NEW);
        assert_eq!(pause(age(Duration::ZERO), true), WHILE_OPEN);
        assert_eq!(pause(age(FIRST), false), WHILE_OPEN);
        assert_eq!((pause(age(LONG), false), pause(None, false)), (ELSE, ELSE));
    }
}
