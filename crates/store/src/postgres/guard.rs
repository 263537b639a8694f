//! The rollback guard: a file of this server that holds how far the database had come. A
//! database that is behind it is an older copy, or lost commits in a failover.

use super::open_error::PostgresOpenError;
use crate::file::{self, Owner};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tegata_token::id::Position;
use tokio::sync::watch;

/// How far a database has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reached {
    /// The end of the log.
    pub position: Position,
    /// The id of the last audit event.
    pub audit: i64,
}

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
struct Text {
    identity: String,
    epoch: u64,
    position: u64,
    audit: i64,
}

/// The file.
#[derive(Debug)]
pub(super) struct GuardFile {
    path: PathBuf,
    identity: String,
    reached: Reached,
    written: Option<Reached>,
}

impl GuardFile {
    /// Compares a database with the file, which is created if it does not exist.
    ///
    /// # Errors
    /// The database is behind, or another one; or the file cannot be used.
    pub fn open(
        path: PathBuf,
        identity: &[u8],
        reached: Reached,
    ) -> Result<Self, PostgresOpenError> {
        let wrong = |path: &PathBuf, error| PostgresOpenError::Guard(path.clone(), error);
        compare(&path, identity, reached)?;
        let identity = HEXLOWER.encode(identity);
        let mut guard = Self { path, identity, reached, written: None };
        guard.write().map_err(|error| wrong(&guard.path, error))?;
        Ok(guard)
    }

    /// Notes how far the database has come.
    pub fn reached(&mut self, reached: Reached) {
        self.reached = reached;
    }

    /// Whether there is anything new to write.
    pub fn is_behind(&self) -> bool {
        self.written != Some(self.reached)
    }

    /// Writes the file, if there is anything new.
    pub fn renew(&mut self) {
        if self.is_behind()
            && let Err(error) = self.write()
        {
            tracing::error!(%error, path = %self.path.display(), "the rollback guard cannot be written");
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let Reached { position, audit } = self.reached;
        let identity = self.identity.clone();
        let text = Text { identity, epoch: position.epoch, position: position.number, audit };
        let text = serde_json::to_vec(&text)?;
        file::replace(&self.path, &text, Owner::of(&self.path)?)?;
        self.written = Some(self.reached);
        Ok(())
    }
}

impl Drop for GuardFile {
    fn drop(&mut self) {
        self.renew();
    }
}

/// Compares a database with the file, if it exists.
///
/// # Errors
/// The database is behind, or another one; or the file cannot be read.
pub(super) fn compare(
    path: &Path,
    identity: &[u8],
    reached: Reached,
) -> Result<(), PostgresOpenError> {
    let wrong = |error| PostgresOpenError::Guard(path.to_owned(), error);
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(wrong(error)),
    };
    let text: Text = serde_json::from_slice(&text).map_err(|error| wrong(error.into()))?;
    check(path, &text, &HEXLOWER.encode(identity), reached)
}

fn check(
    path: &Path,
    guard: &Text,
    identity: &str,
    reached: Reached,
) -> Result<(), PostgresOpenError> {
    if guard.identity != identity {
        return Err(PostgresOpenError::OtherStore(path.to_owned()));
    }
    let Reached { position, audit } = reached;
    let why = if position.epoch < guard.epoch {
        "it is from before a recovery".to_owned()
    } else if position.epoch > guard.epoch {
        return Ok(());
    } else if position.number < guard.position {
        format!("its log ends at {}, and the guard has seen {}", position.number, guard.position)
    } else if audit < guard.audit {
        format!("its audit ends at {audit}, and the guard has seen {}", guard.audit)
    } else {
        return Ok(());
    };
    Err(PostgresOpenError::WentBack(path.to_owned(), why))
}

/// How often the file is renewed, if there is anything new.
const PAUSE: Duration = Duration::from_secs(1);

/// The file, and how far the database has come.
struct Followed {
    guard: Option<GuardFile>,
    reached: watch::Receiver<Reached>,
}

impl Drop for Followed {
    fn drop(&mut self) {
        // The file is written when it is dropped.
        if let Some(guard) = &mut self.guard {
            guard.reached(*self.reached.borrow());
        }
    }
}

/// Renews the file until it is dropped. The task that follows the log does not wait for the disk.
pub(super) async fn renew(guard: GuardFile, reached: watch::Receiver<Reached>) {
    let mut it = Followed { guard: Some(guard), reached };
    loop {
        tokio::time::sleep(PAUSE).await;
        let Some(mut guard) = it.guard.take() else { return };
        guard.reached(*it.reached.borrow());
        it.guard = renewed(guard).await;
    }
}

/// Writes the file on another thread, since that may take the disk a while.
async fn renewed(mut guard: GuardFile) -> Option<GuardFile> {
    if !guard.is_behind() {
        return Some(guard);
    }
    let write = move || {
        guard.renew();
        guard
    };
    tokio::task::spawn_blocking(write).await.ok()
}
