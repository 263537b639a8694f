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
mod people_store;
mod provider_revocation;
mod read;
mod readers;
mod recent;
mod recover;
mod replicas;
mod requests;
mod revocations;
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

use crate::{Result, Revoked, Taking, WouldTake, taking::Taken};
pub use audit::AuditFile;
pub use backup::{Copied, Progress, backup, migrate, restore};
pub use connect::Faults;
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
use rows::unavailable;
use rusqlite::Connection;
use std::{sync::Arc, time::Duration};
use tegata_policy::acts::{Act, Issuer};
use tegata_token::{id::Position, time::UnixTime};
use writer::{Tx, Writer};

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

    /// Runs an act whose rules are the policy's: load, decide, apply, commit.
    async fn run<A>(&self, at: UnixTime, act: A) -> Result<(A::Output, Position)>
    where
        A: Act<Output: Send> + Send + 'static,
    {
        self.writer.act(at, move |tx| apply::run(tx, &act)).await
    }

    /// Runs any act that takes something away.
    async fn run_any(&self, act: Taking) -> Result<Revoked> {
        match act {
            Taking::Revoke(act) => self.run_taking(act.by.at, act).await,
            Taking::Channel(act) => self.run_taking(act.by.at, act).await,
            Taking::Secret(act) => self.run_taking(act.by.at, act).await,
            Taking::PreviousSecret(act) => self.run_taking(act.by.at, act).await,
            Taking::AssertionKey(act) => self.run_taking(act.by.at, act).await,
            Taking::Group(act) => self.run_taking(act.by.at, act).await,
            Taking::Provider(act) => self.run_taking(act.by.at, act).await,
        }
    }

    /// Runs an act that takes something away, and returns how many tokens.
    async fn run_taking<A>(&self, at: UnixTime, act: A) -> Result<Revoked>
    where
        A: Act<Output = usize> + Send + 'static,
    {
        let (tokens, at, position) = self.run_at(at, act).await?;
        Ok(Revoked { tokens, position, at })
    }

    /// Runs an act, and also returns the time that it was decided at.
    async fn run_at<A>(&self, at: UnixTime, act: A) -> Result<(A::Output, UnixTime, Position)>
    where
        A: Act<Output: Send> + Send + 'static,
    {
        let act = move |tx: &mut Tx<'_>| apply::run(tx, &act).map(|done| (done, tx.now));
        let ((done, at), position) = self.writer.act(at, act).await?;
        Ok((done, at, position))
    }

    /// Decides an act as [`SqliteStore::run`] does, without its effects: returns how many
    /// tokens it would revoke, and the newest `most` of them that are stored.
    async fn decide<A>(&self, at: UnixTime, act: A, most: usize) -> Result<WouldTake>
    where
        A: Act<Output: Taken> + Send + 'static,
    {
        self.read(move |conn| {
            let tx = conn.transaction().map_err(unavailable)?;
            let now = at.max(read::written_at(&tx).map_err(unavailable)?);
            let keys = rows::signing_keys(&tx).map_err(unavailable)?.into();
            let locked = load::load(&tx, &keys, &act.needs(), None).map_err(unavailable)?;
            let (output, effects) = act.decide(&locked, now)?;
            let numbers = effects.taken.iter().rev().copied().take(most);
            let rows = read::rows_of(&tx, numbers, now).map_err(unavailable)?;
            Ok(WouldTake { tokens: output.tokens(), rows })
        })
        .await
    }
}

/// Maximum time of an act; after it the outcome is unknown. Shorter than a server waits
/// for its requests when it stops, and long for any disk that works.
const PATIENCE: Duration = Duration::from_secs(8);
