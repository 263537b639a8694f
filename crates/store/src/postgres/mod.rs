//! The store for many servers: a PostgreSQL database, the only thing by which they
//! coordinate.
//!
//! Acts run in READ COMMITTED. What an act is decided on is protected by row locks, taken by
//! one statement in one order; what they protect is loaded by later statements. The
//! `authority` row is locked last and kept until the commit, so that positions have no gaps
//! and commit order is position order. No statement needs a session: none is prepared by
//! name, and there are no advisory locks.

mod acknowledgements;
mod acts;
mod apply;
mod bad_address;
mod boot_clock;
mod clock;
mod commit;
mod connect;
mod facts;
mod failed;
mod follow;
mod guard;
mod hosts;
mod jitter;
mod job;
mod journal;
mod lease;
mod load;
mod locks;
mod log;
mod look;
mod memory;
mod migrations;
mod narrowing;
mod notice;
mod open;
mod open_error;
mod overview_store;
mod own_changes;
mod plant;
mod primary;
mod questions;
mod queue;
mod readers;
mod recover;
mod renewals;
mod replica_store;
mod replicas;
mod round;
mod rows;
mod seen;
mod shared;
mod sql;
mod statements;
mod store;
mod target;
#[cfg(test)]
mod tests;
mod tls;
mod transaction;
mod two_addresses;
mod version;
mod waits;
mod wake;
mod warning;
mod went_back;

pub use bad_address::BadPostgresAddress;
pub use connect::name_of_database;
pub use look::{DatabaseSchema, DatabaseState, PostgresLook, StoreInDatabase, Unreached};
pub use migrations::migrate_database;
pub use open::PostgresOptions;
pub use open_error::PostgresOpenError;
#[doc(hidden)]
pub use plant::Plant;
pub use recover::{BeforeRecovery, RecoveringPostgres};
pub(crate) use target::{Holds, Started, Target};

use acknowledgements::Acknowledgements;
use connect::Address;
use journal::Journal;
use open::{Leaving, Tasks};
use readers::Readers;
use shared::Shared;
use std::sync::Arc;
use tegata_policy::acts::Issuer;

/// A store in a PostgreSQL database, which other servers use at the same time.
pub struct PostgresStore {
    shared: Arc<Shared>,
    readers: Readers,
    journal: Option<Journal>,
    form: Issuer,
    address: Address,
    acknowledgements: Acknowledgements,
    tasks: Tasks,
    plant: Option<Plant>,
    leaving: Leaving,
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}
