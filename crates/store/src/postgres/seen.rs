//! What the follower of the log has read.

use super::failed::Failed;
use crate::{ReplicaRow, RootTokenHash};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tegata_token::id::Position;

/// What the follower has read.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// The last round that ended.
    pub round: u64,
    /// Why it has read nothing, if it failed.
    pub failed: Option<Failed>,
    /// Memory has every change up to this one.
    pub applied: Position,
    /// Since when.
    applied_at: Instant,
    /// The root administrator's token that is in force.
    pub root_token: Option<RootTokenHash>,
    /// The servers that share the store.
    pub replicas: Arc<[ReplicaRow]>,
}

impl Seen {
    /// Nothing but the state of a position.
    pub fn at(applied: Position, now: Instant) -> Self {
        let (failed, root_token, replicas) = (None, None, Arc::new([]));
        Self { round: 0, failed, applied, applied_at: now, root_token, replicas }
    }

    /// Notes that memory has the changes up to `position`.
    pub fn apply(&mut self, position: Position, now: Instant) {
        (self.applied, self.applied_at) = (position, now);
    }

    /// Whether memory has had every change up to `position` for that long.
    pub fn has_had(&self, position: Position, long: Duration, now: Instant) -> bool {
        self.applied >= position && now.duration_since(self.applied_at) > long
    }

    /// Whether this server's memory and every other one's have the changes up to `position`.
    pub fn is_everywhere(&self, position: Position) -> bool {
        let has = |it: &ReplicaRow| it.own || it.position >= position;
        self.applied >= position && self.replicas.iter().all(has)
    }
}
