//! The anchor: the file outside of the database that names the newest checkpoint.

use crate::authority::private_file;
use serde::{Deserialize, Serialize};
use std::{io, path::Path};
use tegata_store::{
    Error, Result, Store,
    audit::{Acceptance, Anchor, Anchored, Checkpoint},
};

/// The contents of the anchor, the file outside of the database.
#[derive(Serialize, Deserialize)]
pub(super) struct Seen {
    #[serde(flatten)]
    pub newest: Anchor,
    pub kept_from: u64,
    /// The last event up to which an operator accepted an unconfirmed end.
    #[serde(default)]
    pub accepted: i64,
    /// The number of the last acceptance that was honoured, where servers share the store.
    #[serde(default)]
    pub honoured: i64,
}

/// Up to where an operator accepted an unconfirmed end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Accepted {
    /// The last event.
    pub through: i64,
    /// The number of the acceptance, where servers share the store.
    pub number: i64,
}

impl From<&Acceptance> for Accepted {
    fn from(it: &Acceptance) -> Self {
        Self { through: it.through, number: it.number }
    }
}

impl Seen {
    /// The anchor of an audit whose newest checkpoint is `last`.
    pub fn at(last: Option<&Checkpoint>, epoch: u64, accepted: Accepted) -> Self {
        let beginning = || Anchor { epoch, number: 0, chain: String::new() };
        Self {
            newest: last.map_or_else(beginning, Anchor::from),
            kept_from: last.map_or(1, |it| it.kept_from),
            accepted: accepted.through,
            honoured: accepted.number,
        }
    }

    /// The anchor of the end that was accepted.
    pub fn of(acceptance: &Acceptance) -> Self {
        Self { newest: acceptance.end.clone(), ..Self::at(None, 0, acceptance.into()) }
    }

    /// What was accepted.
    pub fn accepted(&self) -> Accepted {
        Accepted { through: self.accepted, number: self.honoured }
    }

    /// Whether `last` is the checkpoint that the anchor names or, since a crash may come
    /// between the checkpoint and the file, the one after it. Where another server may have
    /// made checkpoints, any later one, if the one that the anchor names is there.
    pub async fn agrees(&self, store: &dyn Store, last: Option<&Checkpoint>) -> Result<bool> {
        let Anchor { number, chain, .. } = &self.newest;
        let is = |it: &Checkpoint| it.number == *number && it.chain == *chain;
        Ok(match last {
            None => *number == 0,
            Some(last)
                if *number > 0
                    && (last.number == number + 1
                        || store.is_shared() && last.number > number + 1) =>
            {
                let before = (number - 1, i64::MAX - 1);
                store.audit_batch(before, 1).await?.checkpoint.as_ref().is_some_and(is)
            }
            Some(last) => {
                last.number == number + 1 || is(last) || store.is_shared() && *number == 0
            }
        })
    }
}

/// Writes the anchor; a new file is given to the owner of `store`.
pub(super) fn write_seen(file: &Path, seen: &Seen, store: &Path) -> Result<()> {
    let text = serde_json::to_string(seen).map_err(|error| cannot(file, &error))?;
    private_file::replace(file, &text, store).map_err(|error| cannot(file, &error))
}

/// Reads the newest checkpoint from the anchor's file.
#[must_use]
pub fn anchored(file: &Path) -> Anchored {
    match read_seen(file) {
        Ok(Some(seen)) => Anchored::At(seen.newest, seen.accepted),
        Ok(None) => Anchored::Missing(format!("there is no anchor at {}", file.display())),
        Err(error) => Anchored::Missing(error.to_string()),
    }
}

fn cannot(file: &Path, error: &dyn std::error::Error) -> Error {
    Error::Unavailable(format!("the audit's anchor {}: {error}", file.display()).into())
}

pub(super) fn read_seen(file: &Path) -> Result<Option<Seen>> {
    match std::fs::read_to_string(file) {
        Ok(text) => {
            let damaged = |error: serde_json::Error| cannot(file, &error);
            serde_json::from_str(&text).map(Some).map_err(damaged)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot(file, &error)),
    }
}
