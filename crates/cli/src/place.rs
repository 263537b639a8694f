//! The files of an authority, for commands that need no server. They are resolved as
//! `serve` resolves them: from flags, the environment and the settings file.

use crate::serve::{StoreSettings, Unresolved};
use std::path::PathBuf;
use tegata_server::authority::place::Files;

/// The arguments that name the store and the files beside it.
pub type Where = Unresolved<StoreSettings>;

impl Where {
    /// Resolves the files, and the revocation journal that the settings name.
    pub fn find(self) -> anyhow::Result<(Files, Option<PathBuf>)> {
        let settings = self.resolve()?;
        Ok((settings.store.place(), settings.revocation_journal))
    }

    /// Resolves the files, and the administrator's token file that the settings name.
    pub fn find_token(self) -> anyhow::Result<(Files, Option<PathBuf>)> {
        let settings = self.resolve()?;
        Ok((settings.store.place(), settings.admin_token_file))
    }
}
