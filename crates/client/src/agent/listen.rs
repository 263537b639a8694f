//! The addresses where the agent serves health, metrics and tokens.

use super::{
    config::Config,
    http::{self, LONGEST_REQUEST},
    shared::Shared,
};
use axum::{Router, serve::Listener};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tegata_system::socket::{self, SocketFile};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

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
    /// The file of a Unix socket.
    file: Option<SocketFile>,
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
            task.spawn(serve(listener, app, LIMITS));
            servers.tcp = Some(Server { at, address, file: None, _task: task });
        }
        let same_socket = before.unix.as_ref().map(|it| &it.at) == config.socket.as_ref();
        if let Some(path) = config.socket.as_ref().filter(|_| !same_socket) {
            let wrong = |error| format!("socket {}: {error}", path.display());
            // The callers' secrets and the folder's mode control access.
            let (listener, file) =
                socket::bind(path, "another agent", |_| 0o666).await.map_err(wrong)?;
            let app = http::router(Arc::clone(shared));
            let mut task = JoinSet::new();
            task.spawn(serve(listener, app, LIMITS));
            servers.unix =
                Some(Server { at: path.clone(), address: None, file: Some(file), _task: task });
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
        let Some(Server { file: Some(file), .. }) = self.unix else { return };
        let removed = shared.off_loop.run(move || file.remove(), || ());
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

/// What clients can make the server hold.
#[derive(Clone, Copy)]
struct Limits {
    /// Maximum number of concurrent connections.
    connections: usize,
    /// How long a connection may take for the head of its request.
    head: Duration,
    /// How long it may take in all: a client that does not read its response holds it up.
    whole: Duration,
}

const LIMITS: Limits = Limits {
    connections: 64,
    head: Duration::from_secs(10),
    whole: LONGEST_REQUEST.saturating_add(Duration::from_secs(15)),
};

/// Serves connections, each on a task of its own and with one request: a client that keeps one
/// open without a request would hold it from another that has one. Beyond the limit, new ones
/// wait. Does not return.
async fn serve<L: Listener>(mut listener: L, app: Router, limits: Limits) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head).keep_alive(false);
    loop {
        // It is never closed.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let (stream, _) = listener.accept().await;
        let service = TowerToHyperService::new(app.clone());
        let connection = http.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            // The client went away, was too slow, or does not speak HTTP.
            let _ = tokio::time::timeout(limits.whole, connection).await;
            drop(slot);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        task::yield_now,
    };

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

    /// Serves at a free port.
    async fn served(app: Router, limits: Limits) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, app, limits));
        address
    }

    async fn asks(address: SocketAddr) -> String {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(REQUEST).await.unwrap();
        let mut response = String::new();
        client.read_to_string(&mut response).await.unwrap();
        response
    }

    fn ok() -> Router {
        Router::new().route("/", get(|| async { "ok" }))
    }

    #[tokio::test]
    async fn a_connection_beyond_the_limit_waits_for_another_to_end() {
        let now = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let (within, seen) = (now.clone(), most.clone());
        let app = Router::new().route(
            "/",
            get(async move || {
                seen.fetch_max(within.fetch_add(1, SeqCst) + 1, SeqCst);
                for _ in 0..20 {
                    yield_now().await;
                }
                within.fetch_sub(1, SeqCst);
                "ok"
            }),
        );
        let address = served(app, Limits { connections: 3, ..LIMITS }).await;
        let mut all = JoinSet::new();
        (0..40).for_each(|_| drop(all.spawn(asks(address))));
        assert!(all.join_all().await.iter().all(|it| it.ends_with("ok")), "each is answered");
        assert_eq!(most.load(SeqCst), 3);
    }

    #[tokio::test]
    async fn clients_that_keep_their_connections_leave_room_for_others() {
        let address = served(ok(), Limits { connections: 1, ..LIMITS }).await;
        let mut kept = Vec::new();
        for _ in 0..3 {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(REQUEST).await.unwrap();
            client.read_exact(&mut [0]).await.unwrap();
            kept.push(client);
        }
        assert!(asks(address).await.contains("connection: close"));
    }

    #[tokio::test]
    async fn a_client_that_sends_no_whole_request_is_disconnected() {
        let head = Duration::from_millis(20);
        let address = served(ok(), Limits { head, ..LIMITS }).await;
        for sent in [&b""[..], b"GET / HTTP/1.1\r\n"] {
            let mut slow = TcpStream::connect(address).await.unwrap();
            slow.write_all(sent).await.unwrap();
            slow.read_to_end(&mut Vec::new()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_its_response_does_not_hold_a_place_for_ever() {
        let app =
            Router::new().route("/", get(|| async { "more than buffers take".repeat(1 << 20) }));
        let limits = Limits { connections: 1, whole: Duration::from_millis(200), ..LIMITS };
        let address = served(app, limits).await;
        let mut deaf = TcpStream::connect(address).await.unwrap();
        deaf.write_all(REQUEST).await.unwrap();
        let mut other = TcpStream::connect(address).await.unwrap();
        other.write_all(REQUEST).await.unwrap();
        let answered = tokio::time::timeout(LIMITS.whole, other.read_u8()).await;
        answered.expect("the place is free again").unwrap();
    }
}
