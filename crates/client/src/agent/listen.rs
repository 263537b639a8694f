//! The addresses where the agent serves health, metrics and tokens.

use super::{config::Config, http, shared::Shared};
use std::{fs, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tegata_system::socket;
use tokio::{net::TcpListener, task::JoinSet};

/// The running HTTP servers; dropping one stops it.
#[derive(Default)]
pub struct Servers {
    tcp: Option<Server<SocketAddr>>,
    unix: Option<Server<PathBuf>>,
}

struct Server<At> {
    /// As the settings name it.
    at: At,
    /// As it is bound.
    address: Option<SocketAddr>,
    _task: JoinSet<()>,
}

impl Servers {
    /// Serves at the addresses that the settings name. A server of `before` whose address
    /// is unchanged goes on, and the others are left to the caller.
    ///
    /// # Errors
    /// The address that cannot be used; `before` is unchanged then.
    pub async fn start(
        config: &Config,
        shared: &Arc<Shared>,
        before: &mut Self,
    ) -> Result<Self, String> {
        let mut servers = Self::default();
        let is_kept = before.tcp.as_ref().map(|it| it.at) == config.listen;
        if let Some(at) = config.listen.filter(|_| !is_kept) {
            let wrong = |error| format!("listen {at}: {}", in_use(&error));
            let listener = TcpListener::bind(at).await.map_err(wrong)?;
            let address = listener.local_addr().ok();
            let app = http::router(Arc::clone(shared));
            let mut task = JoinSet::new();
            task.spawn(async move { log_stop(axum::serve(listener, app).await) });
            servers.tcp = Some(Server { at, address, _task: task });
        }
        let same_socket = before.unix.as_ref().map(|it| &it.at) == config.socket.as_ref();
        if let Some(path) = config.socket.as_ref().filter(|_| !same_socket) {
            let wrong = |error| format!("socket {}: {error}", path.display());
            // The callers' secrets and the folder's mode control access.
            let listener = socket::bind(path, "another agent", |_| 0o666).await.map_err(wrong)?;
            let app = http::router(Arc::clone(shared));
            let mut task = JoinSet::new();
            task.spawn(async move { log_stop(axum::serve(listener, app).await) });
            servers.unix = Some(Server { at: path.clone(), address: None, _task: task });
        }
        if is_kept {
            servers.tcp = before.tcp.take();
        }
        if same_socket {
            servers.unix = before.unix.take();
        }
        Ok(servers)
    }

    /// The bound address, if there is one.
    pub fn address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref()?.address
    }

    /// Stops the servers, and removes the socket's file.
    pub async fn stop(self, shared: &Shared, patience: Duration) {
        let Some(Server { at: socket, .. }) = self.unix else { return };
        let removed = shared.off_loop.run(move || fs::remove_file(socket), || ());
        let _ = tokio::time::timeout(patience, removed).await;
    }
}

fn in_use(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program uses this address; stop it, or set another one".to_owned()
        }
        _ => error.to_string(),
    }
}

fn log_stop(outcome: io::Result<()>) {
    if let Err(error) = outcome {
        tracing::error!(%error, "the HTTP server stopped");
    }
}
