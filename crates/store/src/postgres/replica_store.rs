//! Every method of [`ReplicaStore`].

use super::{PostgresStore, acknowledgements, readers::ask};
use crate::{Acknowledged, ReplicaStore, Result};
use async_trait::async_trait;
use std::time::Instant;
use tegata_token::time::UnixTime;

#[async_trait]
impl ReplicaStore for PostgresStore {
    fn is_shared(&self) -> bool {
        true
    }

    fn current_as_of(&self, now: Instant) -> Instant {
        self.shared.lease.sent().min(now)
    }

    async fn acknowledge(&self, all: Vec<Acknowledged>) -> Result<()> {
        self.acknowledgements.write(&self.address, &all).await.map_err(Into::into)
    }

    async fn acknowledged(&self) -> Result<Vec<Acknowledged>> {
        ask!(self List, |db| acknowledgements::read(&db))
    }

    async fn leave(&self) {
        self.shared.lease.end();
        self.shared.queue.close();
        self.leaving.leave().await;
    }

    fn store_time(&self) -> Option<UnixTime> {
        self.shared.clock.now()
    }
}
