//! Every method of [`ReplicaStore`].

use super::{PostgresStore, acknowledgements, facts, readers::ask};
use crate::{Acknowledged, ReplicaStore, Result, RootTokenHash, RootTokens, audit::Acceptance};
use async_trait::async_trait;
use std::time::Instant;
use tegata_token::{id::Position, time::UnixTime};

#[async_trait]
impl ReplicaStore for PostgresStore {
    fn is_shared(&self) -> bool {
        true
    }

    fn current_as_of(&self, now: Instant) -> Instant {
        self.shared.lease.sent().min(now)
    }

    fn leave_jobs(&self) {
        self.shared.lease.leave_jobs();
    }

    async fn in_force(&self, position: Position) {
        self.wait_in_force(position).await;
    }

    async fn acknowledge(&self, all: Vec<Acknowledged>) -> Result<()> {
        self.acknowledgements.write(&self.address, &all).await.map_err(Into::into)
    }

    async fn acknowledged(&self) -> Result<Vec<Acknowledged>> {
        ask!(self List, |db| acknowledgements::read(&db))
    }

    async fn audit_acceptance(&self) -> Result<Option<Acceptance>> {
        ask!(self Request, |db| facts::audit_acceptance(&db))
    }

    async fn accept_audit(&self, acceptance: Acceptance) -> Result<()> {
        Ok(facts::accept_audit(&self.address, &acceptance).await?)
    }

    fn root_token(&self) -> Option<RootTokenHash> {
        self.shared.seen().root_token
    }

    async fn root_tokens(&self) -> Result<RootTokens> {
        ask!(self Request, |db| facts::root_tokens(&db))
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
