//! Bugs that a test plants in a store, to see that it would find them.

use super::{
    connect::{Address, Conn},
    failed::Failed,
    log::{Advanced, advance},
};
use tegata_token::time::UnixTime;
use tokio::sync::Mutex;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// Transactions see what was committed before they waited for their locks, also in all later
    /// statements, and cannot change what was changed since.
    RepeatableRead,
    /// Acts are decided on what was read before they waited for their locks.
    StaleReads,
    /// Positions are taken in a transaction of their own, so that commits overtake.
    EarlyPositions,
    /// A server answers from memory whether or not it holds its lease.
    NoLease,
    /// An act that takes something away waits without limit for a server that does not
    /// acknowledge it.
    EndlessWait,
    /// No bug: the server is of a later version, see `version.rs`.
    NextVersion,
}

impl Plant {
    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "repeatable-read" => Some(Self::RepeatableRead),
            "stale-reads" => Some(Self::StaleReads),
            "early-positions" => Some(Self::EarlyPositions),
            "no-lease" => Some(Self::NoLease),
            "endless-wait" => Some(Self::EndlessWait),
            _ => None,
        }
    }
}

/// What is planted, if anything, and what it needs.
pub(super) struct Planted {
    pub plant: Option<Plant>,
    /// The connection that takes positions early.
    early: Mutex<Option<Conn>>,
    address: Address,
}

impl Planted {
    pub fn new(plant: Option<Plant>, address: Address) -> Self {
        Self { plant, early: Mutex::default(), address }
    }

    /// Whether acts are decided on what was read before their locks.
    pub fn reads_first(&self) -> bool {
        matches!(self.plant, Some(Plant::StaleReads | Plant::RepeatableRead))
    }

    /// The statements that open a transaction.
    pub fn begin(&self, right: &str) -> String {
        match self.plant {
            Some(Plant::RepeatableRead) => right.replace("READ COMMITTED", "REPEATABLE READ"),
            _ => right.to_owned(),
        }
    }

    /// Takes positions early, if that is planted.
    pub async fn advance(
        &self,
        changes: usize,
        events: usize,
        at: UnixTime,
    ) -> Result<Option<Advanced>, Failed> {
        if self.plant != Some(Plant::EarlyPositions) {
            return Ok(None);
        }
        let mut early = self.early.lock().await;
        if early.as_ref().is_none_or(Conn::is_closed) {
            *early = Some(self.address.connect(None).await?);
        }
        match early.as_ref() {
            Some(conn) => advance(conn, changes, events, at).await.map(Some),
            None => Ok(None),
        }
    }
}
