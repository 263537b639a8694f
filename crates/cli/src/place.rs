//! The files of an authority, for commands that need no server. They are resolved as
//! `serve` resolves them: from flags, the environment and the settings file.

use crate::serve::{StoreSettings, Unresolved};
use anyhow::anyhow;
use std::path::{Path, PathBuf};
use tegata_server::authority::place::Files;

/// The arguments that name the store and the files beside it.
pub type Where = Unresolved<StoreSettings>;

impl Where {
    /// Resolves the files of a store that must exist, and the revocation journal that the
    /// settings name.
    pub fn find_existing(self) -> anyhow::Result<(Files, Option<PathBuf>)> {
        let (place, journal) = self.find()?;
        check_exists(&place)?;
        Ok((place, journal))
    }

    /// The same, and the administrator's token file that the settings name.
    pub fn find_all(self) -> anyhow::Result<(Files, Option<PathBuf>, Option<PathBuf>)> {
        let settings = self.resolve()?;
        let place = settings.store.place()?;
        check_exists(&place)?;
        Ok((place, settings.revocation_journal, settings.admin_token_file))
    }

    /// Resolves the files, and the revocation journal that the settings name.
    pub fn find(self) -> anyhow::Result<(Files, Option<PathBuf>)> {
        let settings = self.resolve()?;
        Ok((settings.store.place()?, settings.revocation_journal))
    }

    /// Resolves the files of a store that must exist, and the administrator's token file that the settings name.
    pub fn find_token(self) -> anyhow::Result<(Files, Option<PathBuf>)> {
        let settings = self.resolve()?;
        let place = settings.store.place()?;
        check_exists(&place)?;
        Ok((place, settings.admin_token_file))
    }
}

impl Where {
    /// Resolves the SQLite file and the files next to it, for a command that has another
    /// program's work to point to where the store is a database.
    pub fn find_file(self, instead: &str) -> anyhow::Result<(Files, Option<PathBuf>)> {
        let (place, journal) = self.find()?;
        match place.database {
            Some(_) => Err(anyhow!("{instead}")),
            None => Ok((place, journal)),
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
