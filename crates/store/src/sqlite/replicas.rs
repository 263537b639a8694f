//! [`ReplicaStore`] of a store with one server: its memory has every commit before any
//! answer, so it is always current.

use super::SqliteStore;
use crate::{Acknowledged, ReplicaStore, Result};
use async_trait::async_trait;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};
use tegata_token::id::Position;

/// Stands for other servers in tests of a server that shares its store.
#[doc(hidden)]
#[async_trait]
pub trait OtherServers: Send + Sync {
    /// Whether this server's lease is valid.
    fn current(&self) -> bool;
    /// How long ago the last renewal of this server's lease was sent.
    fn renewed_ago(&self) -> Duration;
    /// How often this server's lease had run out when it was renewed.
    fn lapses(&self) -> u64;
    /// What [`Store::catch_up`](crate::Store::catch_up) does.
    async fn catch_up(&self) -> Result<()>;
    /// What [`ReplicaStore::in_force`] does.
    async fn in_force(&self, position: Position);
}

/// The other servers of a test, if there are any.
#[doc(hidden)]
#[derive(Clone, Default)]
pub struct Others(pub Option<Arc<dyn OtherServers>>);

impl Others {
    pub(super) fn current(&self) -> bool {
        self.0.as_ref().is_none_or(|it| it.current())
    }

    pub(super) fn lapses(&self) -> u64 {
        self.0.as_ref().map_or(0, |it| it.lapses())
    }

    pub(super) async fn catch_up(&self) -> Result<()> {
        match &self.0 {
            Some(others) => others.catch_up().await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "other servers" } else { "no other servers" })
    }
}

#[async_trait]
impl ReplicaStore for SqliteStore {
    fn is_shared(&self) -> bool {
        self.others.0.is_some()
    }

    fn current_as_of(&self, now: Instant) -> Instant {
        let ago = self.others.0.as_ref().map_or(Duration::ZERO, |it| it.renewed_ago());
        now.checked_sub(ago).unwrap_or(now)
    }

    fn leave_jobs(&self) {}

    async fn in_force(&self, position: Position) {
        if let Some(others) = &self.others.0 {
            others.in_force(position).await;
        }
    }

    async fn acknowledge(&self, _: Vec<Acknowledged>) -> Result<()> {
        Ok(())
    }

    async fn acknowledged(&self) -> Result<Vec<Acknowledged>> {
        Ok(Vec::new())
    }
}
