//! [`ReplicaStore`] of a store with one server: its memory has every commit before any
//! answer, so it is always current.

use super::SqliteStore;
use crate::{Acknowledged, Replica, ReplicaStore, Result};
use async_trait::async_trait;
use std::time::Instant;

#[async_trait]
impl ReplicaStore for SqliteStore {
    fn is_shared(&self) -> bool {
        false
    }

    fn is_current(&self) -> bool {
        true
    }

    fn current_as_of(&self, now: Instant) -> Instant {
        now
    }

    async fn catch_up(&self) -> Result<()> {
        Ok(())
    }

    async fn may_run_jobs(&self) -> bool {
        true
    }

    async fn replicas(&self) -> Result<Vec<Replica>> {
        Ok(Vec::new())
    }

    async fn acknowledge(&self, _: Vec<Acknowledged>) -> Result<()> {
        Ok(())
    }

    async fn acknowledged(&self) -> Result<Vec<Acknowledged>> {
        Ok(Vec::new())
    }
}
