//! The HTTP server: connections and their limits, bodies read whole, the headers of every
//! response, the access log, and the shutdown.
//!
//! The three verification operations and the issue of v2.1 tokens are handled here,
//! without the router: they are most of a busy server's requests, and layers would cost
//! more than a verification. The router has them too, so the shortcut changes the speed
//! and never the response.

mod body;
mod connection;
pub(crate) mod descriptors;
mod frames;
mod log;
mod pace;
pub mod proxies;
mod route;
mod tls;
mod trace;
pub mod traces;
mod wire;

pub use tls::{BadCertificate, CertificateValidity, SELF_SIGNED_CA, Tls, TlsFiles};

use crate::{
    api::{self, Shows, app::App, reply},
    authority::{random, source::Source},
};
use axum::Router;
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Request, Response, StatusCode, Version, header, request::Parts,
};
use http_body_util::{Either, Full};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    server::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use log::{Finished, Log};
use pace::Outgoing;
use proxies::TrustedProxies;
use route::{Arriving, Route, Shortcut, merge_slashes};
use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, UNIX_EPOCH},
};
use tegata_token::time::UnixTime;
use tokio::{
    net::TcpListener,
    sync::{Notify, Semaphore},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use trace::Trace;
use uuid::Uuid;

/// The request line and headers are parsed up to this many bytes.
const LONGEST_HEAD: u32 = 64 * 1024;
/// How long requests in progress have when the server stops; the process must exit within
/// ten seconds.
const GRACE: Duration = Duration::from_secs(8);
/// The minimum time between two log lines about connections that cannot be accepted.
const WARN_EVERY: Duration = Duration::from_secs(30);

/// The settings of a listener.
#[derive(Clone)]
pub struct Terms {
    /// The APIs that it serves.
    pub shows: Shows,
    /// Maximum number of concurrent connections.
    pub connections: usize,
    /// How long a connection without a request is kept open.
    pub idle: Duration,
    /// The certificate, if TLS is used.
    pub tls: Option<Arc<Tls>>,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Arc<TrustedProxies>,
}

struct Server {
    app: Arc<App>,
    router: Router,
    shows: Shows,
    idle: Duration,
    tls: Option<Arc<Tls>>,
    trusted_proxies: Arc<TrustedProxies>,
    /// Notifies the longest-idle connection to close at the connection limit.
    room: Notify,
    stop: CancellationToken,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

/// Serves `app` on `listener` until `stop`, and then completes the requests in progress.
pub async fn serve(app: Arc<App>, listener: TcpListener, terms: Terms, stop: CancellationToken) {
    let server = Arc::new(Server {
        router: api::router(app.clone(), terms.shows)
            .layer(axum::middleware::from_fn(route::arrive)),
        app,
        shows: terms.shows,
        idle: terms.idle,
        tls: terms.tls,
        trusted_proxies: terms.trusted_proxies,
        room: Notify::new(),
        stop,
        http1: http1(),
        http2: http2(),
    });
    let connections = TaskTracker::new();
    tokio::select! {
        () = server.clone().accept(&listener, terms.connections, &connections) => {}
        () = server.stop.cancelled() => {}
    }
    drop(listener);
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

impl Server {
    /// Accepts connections while there are free slots; does not return.
    async fn accept(
        self: Arc<Self>,
        listener: &TcpListener,
        slots: usize,
        connections: &TaskTracker,
    ) {
        let slots = Arc::new(Semaphore::new(slots));
        let mut warned: Option<Instant> = None;
        loop {
            let (stream, peer) = match listener.accept().await {
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
            let open = Open::new(&self.app);
            let connection = self.clone().connection(stream, peer);
            connections.spawn(async move {
                connection.await;
                drop((open, slot));
            });
        }
    }

    async fn respond(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        due: Instant,
    ) -> ServerResponse {
        let id = random::request_id();
        let (mut parts, body) = request.into_parts();
        merge_slashes(&mut parts.uri);
        let source = self.trusted_proxies.source(peer.ip(), &parts.headers);
        let log = Log::begin(&self.app, &parts);
        let trace = Trace::begin(&parts, &id);
        let (method, path) = (parts.method.clone(), parts.uri.path());
        let admin = api::is_admin(path);
        let shortcut = if self.shows.public { Shortcut::of_request(&method, path) } else { None };
        let route = shortcut.map_or_else(|| Route::Routed(Arc::default()), Route::Shortcut);
        let work =
            self.work(parts, body, Arrival { id, source, due, route: &route, trace: &trace });
        let (response, channel, verified) = api::subject::during(without_panic(work)).await;
        let channel = route.channel().or(channel);
        let mut response = response.unwrap_or_else(|Panicked| {
            self.app.metrics.internal_errors.inc();
            tracing::error!(request_id = %id, route = route.template(), "a request failed with an internal error");
            routed_response(api::signed(api::internal_error(admin), &id))
        });
        let status = response.status();
        if let Some(log) = log {
            let (route, trace) = (&route, &trace);
            log.end(
                &self.app,
                &Finished { id: &id, source, route, channel, verified, trace, status },
            );
        }
        trace.end(&method, &route, channel, status);
        add_headers(&mut response, &id, self.tls.is_some());
        if self.app.dev {
            // Else the HTTP library sets it, by the machine's clock.
            set_date(&mut response, self.app.authority.now());
        }
        response
    }

    async fn work(&self, parts: Parts, body: Incoming, it: Arrival<'_>) -> ServerResponse {
        if !has_one_host(&parts) {
            let words = "send exactly one Host header";
            return direct(reply::message(StatusCode::BAD_REQUEST, words));
        }
        if self.app.dev
            && let Some(response) = self.app.faults.take(parts.uri.path())
        {
            let response = api::faulty(response, parts.uri.path()).await;
            return routed_response(api::signed(response, &it.id));
        }
        let (query, headers) = (parts.uri.query(), &parts.headers);
        let routed = match it.route {
            Route::Shortcut(Shortcut::VerifyJws) => {
                return direct(api::line::verify_jws(&self.app, it.source, query));
            }
            Route::Shortcut(Shortcut::Gateway) => {
                return direct(api::gateway::verify(&self.app, it.source, headers, query).await);
            }
            Route::Shortcut(Shortcut::VerifyOpaque) => {
                return match body::read(body, it.due, parts.uri.path()).await {
                    Ok(body) => {
                        direct(api::line::verify_opaque(&self.app, it.source, headers, &body))
                    }
                    Err(refused) => routed_response(refused),
                };
            }
            Route::Shortcut(Shortcut::IssueV21) => {
                let issue = async {
                    match body::read(body, it.due, parts.uri.path()).await {
                        Ok(body) => {
                            let issued = api::line::v21(&self.app, it.source, headers, &body);
                            direct(issued.await)
                        }
                        Err(refused) => routed_response(refused),
                    }
                };
                return it.trace.work(&it.id, issue).await;
            }
            Route::Routed(routed) => routed.clone(),
        };
        let mut request = Request::from_parts(parts, axum::body::Body::new(body));
        let extensions = request.extensions_mut();
        extensions.insert(it.source);
        extensions.insert(Arriving { routed, due: it.due });
        let Ok(response) = it.trace.work(&it.id, self.router.clone().oneshot(request)).await;
        routed_response(api::signed(response, &it.id))
    }
}

/// What the server knows about a request before it is handled.
struct Arrival<'a> {
    id: Uuid,
    source: Source,
    due: Instant,
    route: &'a Route,
    trace: &'a Trace,
}

/// Whether a request has exactly one `Host` (RFC 9112, section 3.2). This server has one
/// host only, but a proxy in front of it may have used the other of two.
fn has_one_host(parts: &Parts) -> bool {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => parts.version != Version::HTTP_11,
        (Some(_), two) => two.is_none(),
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
struct Open(Arc<App>);

impl Open {
    fn new(app: &Arc<App>) -> Self {
        app.metrics.connections.inc();
        Self(app.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics.connections.dec();
    }
}

type ServerResponse = Response<ResponseBody>;

/// The body of a response, complete in memory.
struct ResponseBody {
    body: Either<Full<Bytes>, axum::body::Body>,
    /// Dropped with the body once it is sent.
    outgoing: Option<Outgoing>,
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

/// A response that was made without the router.
fn direct(response: Response<Full<Bytes>>) -> ServerResponse {
    response.map(|body| ResponseBody { body: Either::Left(body), outgoing: None })
}

/// A response of the router.
fn routed_response(response: Response<axum::body::Body>) -> ServerResponse {
    response.map(|body| ResponseBody { body: Either::Right(body), outgoing: None })
}

/// Adds the headers of every response. Tokens and their facts must not be cached; a
/// handler that allows it sets the header itself.
fn add_headers(response: &mut ServerResponse, id: &uuid::Uuid, tls: bool) {
    const REQUEST_ID: HeaderName = HeaderName::from_static("x-line-request-id");
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let text = id.hyphenated().encode_lower(&mut text);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(text) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // No response of ours may be framed by another page, or loads anything; a page that
    // does sets its own policy.
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("max-age=0, no-cache, no-store"));
    if tls {
        // A client that has used TLS must not fall back to plain HTTP.
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
}

/// Sets `Date` to the development clock, so that a client can compare its clock.
fn set_date(response: &mut ServerResponse, now: UnixTime) {
    let since = Duration::from_secs(u64::try_from(now.0).unwrap_or(0));
    // The format ends with the year 9999.
    let latest = Duration::from_secs(253_402_300_799);
    let date = httpdate::fmt_http_date(UNIX_EPOCH + since.min(latest));
    if let Ok(date) = HeaderValue::from_str(&date) {
        response.headers_mut().insert(header::DATE, date);
    }
}

struct Panicked;

/// Runs `work` until it completes or panics: a panic in one request must not affect the
/// other requests of its connection.
async fn without_panic<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut work = pin!(work);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
        Err(_) => Poll::Ready(Err(Panicked)),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_caught_at_any_point_of_the_work() {
        let good = without_panic(async { 7 }).await;
        assert!(matches!(good, Ok(7)));
        let at_once = without_panic(async { panic!("at once") }).await;
        assert!(matches!(at_once, Err::<(), _>(Panicked)));
        let later = without_panic(async {
            tokio::task::yield_now().await;
            panic!("later");
        });
        assert!(matches!(later.await, Err::<(), _>(Panicked)));
    }
}
