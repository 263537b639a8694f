//! The addresses where the agent serves health, metrics and tokens.

use super::{config::Config, http, off_loop, shared::Shared};
use rustix::fs::{Mode, OFlags};
use std::{
    fs::{self, Permissions},
    io,
    net::SocketAddr,
    os::{
        fd::AsRawFd,
        unix::fs::{FileTypeExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, UnixListener, UnixStream},
    task::JoinSet,
};

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
            let listener = bind(path).await.map_err(wrong)?;
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

/// Binds the socket. The socket of a killed agent is replaced, that of a running one is
/// not. The callers' secrets and the folder's mode control access.
async fn bind(path: &Path) -> io::Result<UnixListener> {
    // A running agent with a full queue does not accept at once.
    match tokio::time::timeout(off_loop::PATIENCE, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {}
        _ => {
            return Err(io::Error::other(
                "another agent listens there; stop it, or set another socket",
            ));
        }
    }
    if fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket()) {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    open_to_all(path)?;
    Ok(listener)
}

/// Lets every user connect. The mode is changed through a descriptor of the socket
/// itself: the owner of its folder could have put a link in its place meanwhile.
fn open_to_all(path: &Path) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let socket = fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !socket.metadata()?.file_type().is_socket() {
        return Err(io::Error::other("replaced while it was made"));
    }
    let itself = format!("/proc/self/fd/{}", socket.as_raw_fd());
    fs::set_permissions(itself, Permissions::from_mode(0o666))
}
