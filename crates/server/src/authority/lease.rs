//! Answers from memory while other servers may change the store: the lease must be valid from
//! before memory is read until after the decision, and "unknown" and "suspended" are answered
//! only after memory has caught up. On a store with one server both cost nothing.

use super::{Authority, Error, Result};
use std::time::{Duration, Instant};
use tegata_store::RootTokenHash;

/// A moment before memory is read. If the lease runs out after it, what was read does not count,
/// even if the lease is renewed before that is checked.
#[derive(Debug, Clone, Copy)]
pub struct LeaseMark(u64);

impl Authority {
    /// The moment from which the lease must be valid.
    #[must_use]
    pub fn mark(&self) -> LeaseMark {
        LeaseMark(self.store.lapses())
    }

    /// Whether the lease has been valid from that moment until now, so that an answer from
    /// memory may be given. The HTTP server asks after every request that it has handled; what
    /// authenticates or authorizes an act asks before the act.
    #[must_use]
    pub fn is_current(&self, since: LeaseMark) -> bool {
        // In this order: a renewal changes the number first.
        self.store.current() && self.store.lapses() == since.0
    }

    /// How long ago the last renewal of the lease was sent, where servers share the store.
    #[must_use]
    pub fn lease_age(&self) -> Option<Duration> {
        let now = self.clock().steady();
        let sent = self.store.is_shared().then(|| self.store.current_as_of(now))?;
        Some(now.saturating_duration_since(sent))
    }

    /// The root administrator's token that is in force for all servers of the store, as of the
    /// last time that memory caught up; `None`: each server has its own.
    #[must_use]
    pub fn root_token(&self) -> Option<RootTokenHash> {
        self.store.root_token()
    }

    /// What was decided from memory, if memory was current from `since`, before it was read,
    /// until after the decision.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: the server's lease has run out.
    pub(super) fn current<T>(&self, since: LeaseMark, decided: T) -> Result<T> {
        match self.is_current(since) {
            true => Ok(decided),
            false => Err(Error::Unavailable("the lease of this server has run out".into())),
        }
    }

    /// Brings memory up to what is committed, for a request that reads several things from it.
    /// A store with one server has nothing to wait for.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn catch_up(&self) -> Result<()> {
        if self.store.is_shared() {
            self.store.catch_up().await?;
        }
        self.current(self.mark(), ())
    }

    /// A moment up to which memory has every change that was acknowledged to a client: not longer
    /// ago than `oldest`, unless the store does not answer.
    pub(super) async fn recent(&self, oldest: Duration) -> Instant {
        let now = self.clock().steady();
        let as_of = self.store.current_as_of(now);
        let is_recent = now.saturating_duration_since(as_of) <= oldest;
        if is_recent || self.catch_up().await.is_err() { as_of } else { now }
    }

    /// What `decide` decides from memory. If it `lacks` something that another server may have
    /// added by now, it is decided again with everything that was committed before this call.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub(super) async fn decided<T>(
        &self,
        decide: impl Fn() -> T,
        lacks: impl Fn(&T) -> bool,
    ) -> Result<T> {
        match self.decided_at_once(&decide, lacks) {
            Some(found) => found,
            None => {
                self.store.catch_up().await?;
                let since = self.mark();
                self.current(since, decide())
            }
        }
    }

    /// The same without waiting: `None` if memory must catch up first.
    pub(super) fn decided_at_once<T>(
        &self,
        decide: impl FnOnce() -> T,
        lacks: impl FnOnce(&T) -> bool,
    ) -> Option<Result<T>> {
        let since = self.mark();
        let found = decide();
        let is_final = !lacks(&found) || !self.store.is_shared();
        is_final.then(|| self.current(since, found))
    }

    /// Whether to decide something again that `lacks` what another server may have added by
    /// now: memory then has everything that was committed before this call.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub(super) async fn decide_again(&self, lacks: bool) -> Result<bool> {
        let again = lacks && self.store.is_shared();
        if again {
            self.store.catch_up().await?;
        }
        Ok(again)
    }
}
