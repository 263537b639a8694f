//! What servers that share a store learn of each other apart from the change log. The only
//! server of a store in a file has nothing to learn.

use crate::{Error, Result, audit::Acceptance};
use async_trait::async_trait;
use std::time::Instant;
use tegata_policy::acts::{RootTokenHash, RootTokens};
use tegata_token::{
    feed::InstanceId,
    id::{Position, VerifierId},
    time::UnixTime,
};

/// What a server knows of an instance that asked it: the others learn it from the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// The instance's verifier.
    pub verifier: VerifierId,
    /// The instance.
    pub instance: InstanceId,
    /// The position that it acknowledged, and when it first did; `None`: none yet.
    pub position: Option<(Position, UnixTime)>,
    /// Why it cannot apply what it received, and the end of the log when it reported that.
    pub cannot: Option<(Position, String)>,
}

/// The part of a [`Store`](crate::Store) that servers need to share it.
#[async_trait]
pub trait ReplicaStore: Send + Sync {
    /// Whether other servers may use the store at the same time.
    fn is_shared(&self) -> bool;
    /// The moment up to which memory has every change that was acknowledged to a client, as
    /// of `now`: where servers share the store, the moment at which the last renewal of the
    /// lease was sent.
    fn current_as_of(&self, now: Instant) -> Instant;
    /// Leaves the jobs to another server for a while, if there is one.
    fn leave_jobs(&self);
    /// Returns when what memory has up to a position is in force on every server: none gives out
    /// any more what it takes away. An answer that says so of another act waits for this.
    async fn in_force(&self, position: Position);
    /// Writes what instances have acknowledged to this server, for the other servers. A
    /// position never goes back.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn acknowledge(&self, all: Vec<Acknowledged>) -> Result<()>;
    /// What instances have acknowledged to any server, as far as it was written.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn acknowledged(&self) -> Result<Vec<Acknowledged>>;
    /// The newest acceptance of the audit's end. Whether the audit's key signed it, the caller
    /// checks. A store in a file has none: the acceptance is in the anchor.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn audit_acceptance(&self) -> Result<Option<Acceptance>> {
        Ok(None)
    }
    /// Adds an acceptance of the audit's end.
    ///
    /// # Errors
    /// [`Taken`](crate::Error::Taken): there is one of that number.
    async fn accept_audit(&self, _: Acceptance) -> Result<()> {
        Err(Error::Unavailable("no servers share this store".into()))
    }
    /// The root administrator's token that is in force for all servers, as of the last time that
    /// memory caught up; `None`: each server has its own.
    fn root_token(&self) -> Option<RootTokenHash> {
        None
    }
    /// All root administrator's tokens that were in force.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn root_tokens(&self) -> Result<RootTokens> {
        Ok(RootTokens::default())
    }
    /// Says that this server answers nothing any more, so that no other one waits for it.
    /// Called when all requests are answered, before the store is closed.
    async fn leave(&self) {}
    /// The time by the clock that all servers of the store have in common, apart from the
    /// offset of a development clock; `None`: the server's own clock counts.
    fn store_time(&self) -> Option<UnixTime> {
        None
    }
}
