//! A store as one of many servers' view of it: whether what a server holds in memory may
//! still be answered from, and what the servers must learn of each other apart from the
//! change log. The only server of a store in a file has nobody to wait for.

use crate::Result;
use async_trait::async_trait;
use std::time::Instant;
use tegata_token::{
    feed::InstanceId,
    id::{Position, VerifierId},
    time::UnixTime,
};

/// A running server of an authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Identifies this run of it: 32 hex digits.
    pub id: String,
    /// Whether it is the server that asks.
    pub is_own: bool,
    /// When it registered, by the database's clock.
    pub registered_at: UnixTime,
    /// It has applied the change log up to here.
    pub position: Position,
    /// Where it listens, if it said so.
    pub address: Option<String>,
}

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

/// The part of a [`Store`](crate::Store) that many servers need.
#[async_trait]
pub trait ReplicaStore: Send + Sync {
    /// Whether other servers may use the store at the same time.
    fn is_shared(&self) -> bool;
    /// Whether answers from memory may be given now: the server's lease has not run out.
    /// Asked after each decision; takes no lock.
    fn is_current(&self) -> bool;
    /// The moment up to which memory has every change that was acknowledged to a client, as
    /// of `now`: with a lease, the moment at which its last renewal was sent.
    fn current_as_of(&self, now: Instant) -> Instant;
    /// Waits until memory has every change that was committed before the call. Calls that
    /// wait at the same time share one read of the database.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn catch_up(&self) -> Result<()>;
    /// Whether this server does the periodic jobs of the authority now. Takes or renews the
    /// lease of the jobs.
    async fn may_run_jobs(&self) -> bool;
    /// The running servers, oldest first; empty if there can be one only.
    async fn replicas(&self) -> Result<Vec<Replica>>;
    /// Writes what instances have acknowledged to this server, for the other servers. A
    /// position never goes back.
    async fn acknowledge(&self, all: Vec<Acknowledged>) -> Result<()>;
    /// What instances have acknowledged to any server, as far as it was written.
    async fn acknowledged(&self) -> Result<Vec<Acknowledged>>;
}
