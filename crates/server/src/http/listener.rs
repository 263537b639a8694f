//! A listener: accepts connections up to a limit, and has each of them served until the
//! shutdown. What is served is the [`Handler`]'s.

use super::{Tls, pace::Outgoing, plain::PlainResponse};
use crate::metrics::ConnectionCounts;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Either, Full};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    server::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream},
    sync::{Notify, Semaphore},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The request line and headers are parsed up to this many bytes.
const LONGEST_HEAD: u32 = 64 * 1024;
/// How long requests in progress have when the server stops; the process must exit within
/// ten seconds.
const GRACE: Duration = Duration::from_secs(8);
/// The minimum time between two log lines about connections that cannot be accepted.
const WARN_EVERY: Duration = Duration::from_secs(30);

/// Responds to the requests of a listener's connections.
pub trait Handler: Send + Sync + 'static {
    /// Responds to a request from a peer at this address; a process that uses a Unix socket
    /// has the loopback address. The request's body must have come in by `due`.
    fn respond(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        due: Instant,
    ) -> impl Future<Output = ServerResponse> + Send;

    /// The path of requests that wait long for their responses, and come one after the other
    /// from thousands of peers, if there is one.
    fn held(&self) -> Option<&'static str> {
        None
    }

    /// Takes a request for that path from the bytes that came in; `None`: the HTTP library must
    /// read them.
    fn hold(&self, bytes: &[u8], peer: IpAddr) -> Option<Held<'_>> {
        let _ = (bytes, peer);
        None
    }

    /// The counters of its connections.
    fn counts(&self) -> &ConnectionCounts;
}

/// The response to a request that was taken without the HTTP library.
pub type Held<'a> = Pin<Box<dyn Future<Output = io::Result<PlainResponse>> + Send + 'a>>;

/// A socket that connections are accepted on.
pub enum Socket {
    /// For other machines, or this one.
    Tcp(TcpListener),
    /// For processes of this machine.
    Unix(UnixListener),
}

/// A connection that was accepted.
pub(super) enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    async fn accept(&self) -> io::Result<(Accepted, IpAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Accepted::Tcp(stream), peer.ip()))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Accepted::Unix(stream), Ipv4Addr::LOCALHOST.into()))
            }
        }
    }
}

/// The limits of a listener's connections.
pub struct ConnectionTerms {
    /// Maximum number of concurrent connections.
    pub connections: usize,
    /// How long a connection without a request is kept open.
    pub idle: Duration,
    /// The certificate, if TLS is used.
    pub tls: Option<Arc<Tls>>,
}

/// Maximum number of connections that wait in the kernel to be accepted; the kernel may
/// allow fewer. A client that finds the queue full retries a second later.
const QUEUE: u32 = 4096;

/// Listens on an address.
///
/// # Errors
/// The system's.
pub fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A new process need not wait until the system has dropped the last one's
    // connections.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

pub(super) struct Listener<H> {
    pub handler: H,
    pub idle: Duration,
    pub tls: Option<Arc<Tls>>,
    /// Notifies the longest-idle connection to close at the connection limit.
    pub room: Notify,
    pub stop: CancellationToken,
    pub http1: http1::Builder,
    pub http2: http2::Builder<TokioExecutor>,
}

/// Serves with `handler` on `socket` until `stop`, and then completes the requests in
/// progress.
pub async fn serve_with(
    handler: impl Handler,
    socket: Socket,
    terms: ConnectionTerms,
    stop: CancellationToken,
) {
    let listener = Arc::new(Listener {
        handler,
        idle: terms.idle,
        tls: terms.tls,
        room: Notify::new(),
        stop,
        http1: http1(),
        http2: http2(),
    });
    let connections = TaskTracker::new();
    tokio::select! {
        () = listener.clone().accept(&socket, terms.connections, &connections) => {}
        () = listener.stop.cancelled() => {}
    }
    drop(socket);
    connections.close();
    if timeout(GRACE, connections.wait()).await.is_err() {
        tracing::warn!("some requests were still in progress at the shutdown");
    }
}

fn http1() -> http1::Builder {
    let mut http1 = http1::Builder::new();
    // The library rejects what is not HTTP before there is a request: such a 400 has none
    // of our headers, not even an id, and is not logged. Slow peers are handled by
    // `pace`, for all protocols.
    http1.timer(TokioTimer::new()).header_read_timeout(None);
    // The buffer grows in steps, which may exceed its limit; the limit of the head is
    // exact.
    http1.max_buf_size(LONGEST_HEAD as usize).max_header_size(LONGEST_HEAD as usize);
    http1
}

/// Limits what one connection can make the server hold: concurrent requests, their
/// headers, a window of bodies, and a response each.
fn http2() -> http2::Builder<TokioExecutor> {
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    http2
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .max_header_list_size(LONGEST_HEAD)
        .max_frame_size(16 * 1024)
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(256 * 1024)
        .max_send_buf_size(64 * 1024)
        // Streams that the peer resets before we handle them (CVE-2023-44487), and
        // streams that we reset because of the peer's errors.
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(64);
    http2
}

impl<H: Handler> Listener<H> {
    /// Accepts connections while there are free slots; does not return.
    async fn accept(self: Arc<Self>, socket: &Socket, slots: usize, connections: &TaskTracker) {
        let slots = Arc::new(Semaphore::new(slots));
        let mut warned: Option<Instant> = None;
        loop {
            let (stream, peer) = match socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) if is_peer_error(&error) => continue,
                // Usually out of file descriptors, some of which are soon free again.
                Err(error) => {
                    let now = Instant::now();
                    if warned.is_none_or(|at| now >= at + WARN_EVERY) {
                        warned = Some(now);
                        tracing::warn!(%error, "cannot accept connections; closing idle ones");
                    }
                    self.room.notify_one();
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let slot = match slots.clone().try_acquire_owned() {
                Ok(slot) => slot,
                Err(_) => {
                    self.room.notify_one();
                    // The semaphore is never closed.
                    let Ok(slot) = slots.clone().acquire_owned().await else { return };
                    slot
                }
            };
            let open = Open::new(self.handler.counts());
            let connection = self.clone().connection(stream, peer);
            connections.spawn(async move {
                connection.await;
                drop((open, slot));
            });
        }
    }
}

/// Whether accepting failed for one connection alone, which its peer has closed.
fn is_peer_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// A connection, as the metrics count it.
struct Open(ConnectionCounts);

impl Open {
    fn new(counts: &ConnectionCounts) -> Self {
        counts.open.inc();
        Self(counts.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.dec();
    }
}

/// A response of a [`Handler`].
pub type ServerResponse = Response<ResponseBody>;

/// The body of a response, complete in memory.
pub struct ResponseBody {
    body: Either<Full<Bytes>, axum::body::Body>,
    /// Dropped with the body once it is sent.
    pub(super) outgoing: Option<Outgoing>,
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = <Either<Full<Bytes>, axum::body::Body> as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response that is complete in memory.
pub fn direct(response: Response<Full<Bytes>>) -> ServerResponse {
    response.map(|body| ResponseBody { body: Either::Left(body), outgoing: None })
}

/// A response that is one of both.
pub fn either_response(
    response: Response<Either<Full<Bytes>, axum::body::Body>>,
) -> ServerResponse {
    response.map(|body| ResponseBody { body, outgoing: None })
}

/// A response with any body.
pub fn routed_response(response: Response<axum::body::Body>) -> ServerResponse {
    response.map(|body| ResponseBody { body: Either::Right(body), outgoing: None })
}
