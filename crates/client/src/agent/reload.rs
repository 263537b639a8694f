//! Reads the settings again, with everything that they name, before any of it takes effect:
//! a setting that cannot be used leaves the agent as it was.

use super::{
    config::Config,
    core::Loaded,
    off_loop::{self, HANGS, OffLoop},
    shared::{Known, callers},
    state::Folder,
};
use crate::call::Client;
use std::{fs, path::Path};

/// Settings, and what was read for them.
pub struct Prepared {
    /// The settings.
    pub config: Config,
    /// A client of their authority.
    pub client: Client,
    /// The callers with their secrets.
    pub callers: Vec<Known>,
    /// The kept state.
    pub loaded: Loaded,
    /// The lock of the folder of the kept state; `None` if the folder is unchanged.
    pub lock: Option<Option<fs::File>>,
}

impl Prepared {
    /// Reads the file at `path` again. `before` are the settings in force.
    ///
    /// # Errors
    /// Why the new settings cannot be used.
    pub async fn again(path: &Path, before: &Config, off_loop: &OffLoop) -> Result<Self, String> {
        let (path, state) = (path.to_owned(), before.state.clone());
        let work = move || -> Result<Self, String> {
            let config = Config::read_again(&path).map_err(|error| error.to_string())?;
            let client = Client::new(&config.authority);
            let client = client.map_err(|error| format!("authority: {error}"))?;
            let callers = callers(&config)?;
            let lock = if config.state == state {
                None
            } else {
                let folder = config.state.as_deref().map(Folder::at);
                Some(folder.map(|folder| folder.lock()).transpose()?.flatten())
            };
            let loaded = Loaded::of(&config);
            Ok(Self { config, client, callers, loaded, lock })
        };
        let read = tokio::time::timeout(off_loop::PATIENCE, off_loop.run(work, || ())).await;
        let hangs = || format!("a file of the new settings {HANGS}");
        read.unwrap_or_else(|_| Err(hangs())).and_then(|it| it)
    }
}
