//! The embedded store: one SQLite file, one process.
//!
//! WAL with `synchronous=FULL`, so that acknowledged acts survive a power loss; one writer
//! that puts many acts into one commit; readers on connections of their own; locks that
//! refuse a second process.

mod across;
mod admin;
mod apply;
mod audit;
mod audit_list;
mod backup;
mod commit;
mod connect;
mod engine;
mod guard;
mod issue;
mod job;
mod known;
mod load;
mod lock;
mod look;
mod memory;
mod open;
mod open_error;
mod people;
#[cfg(test)]
mod plans;
mod provider_revocation;
mod read;
mod readers;
mod recent;
mod recover;
mod replicas;
mod requests;
mod rows;
mod source;
mod stamps;
mod state;
mod store;
mod sweep;
mod tx;
mod uses;
mod verifiers;
mod warnings;
mod writer;

use crate::Result;
pub use audit::AuditFile;
pub use backup::{Copied, Progress, backed_up_at, backup, migrate, restore};
pub use connect::{Faults, check_own_log};
pub use guard::RollbackGuardFile;
pub use lock::Lock;
pub use look::{Look, LookError, StoreState as Looked};
pub use open::{Options, claim};
pub use open_error::{Backwards, OpenError};
pub use recover::Recovering;
#[doc(hidden)]
pub use replicas::{OtherServers, Others};

pub(crate) use source::Source;

use guard::GuardWriter;
use lock::Watch;
use readers::{For, Readers};
use rusqlite::Connection;
use std::{sync::Arc, time::Duration};
use tegata_policy::acts::Issuer;
use writer::Writer;

/// A store in one SQLite file.
pub struct SqliteStore {
    writer: Writer,
    readers: Arc<Readers>,
    form: Issuer,
    others: Others,
    // Dropped after the writer, so that the rollback guard has the writer's last commit.
    _guard_writer: Option<GuardWriter>,
    _watch: Option<Watch>,
    // Dropped last, after the writer has ended and every connection is closed.
    _lock: Lock,
}

impl SqliteStore {
    /// Reads for a request that waits for it.
    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.readers.ask(For::Request, question).await
    }

    /// Reads for a list or a job.
    async fn list<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.readers.ask(For::List, question).await
    }

    /// Reads a whole table, or all that a start needs.
    async fn walk<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.readers.ask(For::Walk, question).await
    }
}

/// Maximum time of an act; after it the outcome is unknown. Shorter than a server waits
/// for its requests when it stops, and long for any disk that works.
const PATIENCE: Duration = Duration::from_secs(8);
