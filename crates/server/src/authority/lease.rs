//! Answers from memory while other servers may change the store: each is compared with the
//! lease after it was decided, and "unknown" and "suspended" only after memory has caught
//! up. On a store with one server both cost nothing.

use super::{Authority, Error, Result};
use std::time::Duration;
use tegata_store::RootTokenHash;

impl Authority {
    /// Whether answers from memory may be given now. The HTTP server asks after every request
    /// that it has handled; what authenticates or authorizes an act asks before the act.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.store.current()
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

    /// What was decided from memory, if memory was current until after the decision.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: the server's lease has run out.
    pub(super) fn current<T>(&self, decided: T) -> Result<T> {
        match self.is_current() {
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
        self.current(())
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
                self.current(decide())
            }
        }
    }

    /// The same without waiting: `None` if memory must catch up first.
    pub(super) fn decided_at_once<T>(
        &self,
        decide: impl FnOnce() -> T,
        lacks: impl FnOnce(&T) -> bool,
    ) -> Option<Result<T>> {
        let found = decide();
        let is_final = !lacks(&found) || !self.store.is_shared();
        is_final.then(|| self.current(found))
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
