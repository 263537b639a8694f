//! The files of an authority, for commands that need no server. They are resolved as
//! `serve` resolves them: from flags, the environment and the settings file.

use crate::serve::{StoreSettings, Unresolved};
use anyhow::anyhow;
use std::path::{Path, PathBuf};
use tegata_server::authority::place::Files;

/// The arguments that name the store and the files beside it.
pub type Where = Unresolved<StoreSettings>;

/// The files of an authority, as the settings name them.
pub struct Found {
    /// The store and its other files.
    pub place: Files,
    /// The revocation journal.
    pub journal: Option<PathBuf>,
    /// The file of the root administrator's token.
    pub admin_token_file: Option<PathBuf>,
}

impl Where {
    /// Resolves the files.
    pub fn find(self) -> anyhow::Result<Found> {
        let settings = self.resolve()?;
        Ok(Found {
            place: settings.store.place()?,
            journal: settings.revocation_journal,
            admin_token_file: settings.admin_token_file,
        })
    }

    /// Resolves the files of a store that must exist.
    pub fn find_existing(self) -> anyhow::Result<Found> {
        let found = self.find()?;
        check_exists(&found.place)?;
        Ok(found)
    }

    /// Resolves the SQLite file and the files next to it, for a command that has another
    /// program's work to point to where the store is a database.
    pub fn find_file(self, instead: &str) -> anyhow::Result<Found> {
        let found = self.find()?;
        match found.place.database {
            Some(_) => Err(anyhow!("{instead}")),
            None => Ok(found),
        }
    }
}

/// Fails if there is no SQLite file: the next error would name a missing part of it, or
/// another file. Whether a database exists shows when it is opened.
fn check_exists(place: &Files) -> anyhow::Result<()> {
    match place.database {
        Some(_) => Ok(()),
        None => check_file_exists(&place.store),
    }
}

/// Fails if there is no SQLite file.
pub fn check_file_exists(store: &Path) -> anyhow::Result<()> {
    // If that cannot be found out, opening it names the reason.
    if store.try_exists().unwrap_or(true) {
        return Ok(());
    }
    let store = std::path::absolute(store)?;
    Err(anyhow!(
        "there is no store at {}; name the one that the server uses with --store, or run this in \
         its folder",
        store.display()
    ))
}
