//! Where an authority keeps its files, for commands that need no server: told as
//! `serve` is told, by flags, the environment and the file with settings.

use crate::serve::{Given, StoreAddress};
use std::path::PathBuf;
use tegata_server::authority::place::Place;

/// Which store, and the files beside it.
#[derive(clap::Args)]
pub struct Where {
    /// File with the settings of `serve` [default: tegata.toml, if there is one].
    #[arg(long, env = "TEGATA_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The store [default: sqlite:tegata.db].
    #[arg(long, env = "TEGATA_STORE", value_name = "sqlite:FILE")]
    store: Option<StoreAddress>,
    /// The master key's file [default: master.key beside the store].
    #[arg(long, env = "TEGATA_MASTER_KEY_FILE", value_name = "FILE")]
    master_key_file: Option<PathBuf>,
    /// The store's mark [default: beside the master key].
    #[arg(long, env = "TEGATA_MARK_FILE", value_name = "FILE")]
    mark_file: Option<PathBuf>,
}

impl Where {
    /// The files, and the endings log that the settings name.
    pub fn find(self) -> anyhow::Result<(Place, Option<PathBuf>)> {
        let given = self.given()?;
        let log = given.endings_log.clone();
        Ok((place(given), log))
    }

    /// The files, and the file of the administrator's token that the settings name.
    pub fn find_token(self) -> anyhow::Result<(Place, Option<PathBuf>)> {
        let given = self.given()?;
        let token = given.admin_token_file.clone();
        Ok((place(given), token))
    }

    fn given(self) -> anyhow::Result<Given> {
        let Self { config, store, master_key_file, mark_file } = self;
        let given = Given { store, master_key_file, mark_file, ..Given::default() };
        given.or_file(config.as_deref())
    }
}

fn place(given: Given) -> Place {
    let store = given.store.map_or_else(|| "tegata.db".into(), |StoreAddress(file)| file);
    Place { store, master_key_file: given.master_key_file, mark_file: given.mark_file }
}
