//! Where an authority keeps its files, for commands that need no server: found as
//! `serve` finds them, by flags, the environment and the file with settings.

use crate::serve::{StoreSettings, Unresolved};
use std::path::PathBuf;
use tegata_server::authority::place::Files;

/// Which store, and the files beside it.
pub type Where = Unresolved<StoreSettings>;

impl Where {
    /// The files, and the endings log that the settings name.
    pub fn find(self) -> anyhow::Result<(Files, Option<PathBuf>)> {
        let settings = self.resolve()?;
        Ok((settings.store.place(), settings.revocation_journal))
    }

    /// The files, and the file of the administrator's token that the settings name.
    pub fn find_token(self) -> anyhow::Result<(Files, Option<PathBuf>)> {
        let settings = self.resolve()?;
        Ok((settings.store.place(), settings.admin_token_file))
    }
}
