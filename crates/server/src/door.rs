//! Where requests come in: connections and their limits, bodies read whole, the
//! headers that every answer bears, the access log, and the way out when the
//! server stops.
//!
//! The three checks are answered here, without the router: they are what a busy
//! server does, and a look at memory must not cost a walk through layers. The
//! router knows them too, so the short cut changes the speed and never the answer.

use crate::{
    chance,
    face::{self, App},
    reply::{self, Reply},
    source::Source,
};
use axum::Router;
use bytes::{Bytes, BytesMut};
use http::{
    HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header, request::Parts,
};
use http_body_util::{BodyExt, Either, Full};
use hyper::{
    body::{Body, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::Level;

/// The longest body that is read, in bytes.
pub const LONGEST_BODY: usize = 64 * 1024;
/// Request line and headers are parsed up to this many bytes.
const LONGEST_HEAD: usize = 64 * 1024;
/// A head, or a body, must be in by then.
const PATIENCE: Duration = Duration::from_secs(10);
/// When the server stops, requests under way have this long; the process must be
/// gone within ten seconds.
const GRACE: Duration = Duration::from_secs(8);
/// Of a body that is too long this much more is read and dropped, so that a
/// client that only reads once it has written still gets its answer.
const DRAINED: usize = 1024 * 1024;

type AnyBody = Either<Full<Bytes>, axum::body::Body>;
type Answer = Response<AnyBody>;

/// Serves `app` to whoever comes to `listener`, `connections` at a time, until
/// `stop`; then sees what is under way to its end.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    connections: usize,
    stop: CancellationToken,
) {
    let door = Arc::new(Door { router: face::router(app.clone()), app });
    let places = Arc::new(Semaphore::new(connections));
    let graceful = GracefulShutdown::new();
    loop {
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                // Out of file descriptors, mostly: some will be free again soon.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        let connection = door.clone().connection(stream, peer, graceful.watcher());
        tokio::spawn(async move {
            connection.await;
            std::mem::drop(place);
        });
    }
    std::mem::drop(listener);
    if timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were still under way at the end");
    }
}

struct Door {
    app: Arc<App>,
    router: Router,
}

impl Door {
    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        watcher: hyper_util::server::graceful::Watcher,
    ) {
        // Answers are small and whole; waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        self.app.metrics.connections.inc();
        let asked = AtomicBool::new(false);
        let door = self.clone();
        let asked = Arc::new(asked);
        let mark = asked.clone();
        let service = service_fn(move |request| {
            mark.store(true, Relaxed);
            let door = door.clone();
            async move { Ok::<_, Infallible>(door.answer(request, peer).await) }
        });
        let builder = builder();
        let connection = watcher.watch(builder.serve_connection(TokioIo::new(stream), service));
        // Before its first request not even the protocol is known, and the
        // protocol's own timers do not run yet.
        let silence = async {
            sleep(PATIENCE).await;
            if asked.load(Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            // How a connection ends is its peer's affair.
            _ = connection => {}
            () = silence => {}
        }
        self.app.metrics.connections.dec();
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Answer {
        let id = chance::request_id();
        let (parts, body) = request.into_parts();
        let source = self.app.trusted_proxies.source(peer.ip(), &parts.headers);
        let log = Log::begin(&self.app, &parts);
        let answer = without_panic(self.answer_bare(parts, body, source)).await;
        let mut answer = answer.unwrap_or_else(|Panicked| {
            self.app.metrics.bugs.inc();
            tracing::error!(request_id = %id, "a request met a bug");
            reply::bug().map(Either::Left)
        });
        if let Some(log) = log {
            log.end(&self.app, &id, source, answer.status());
        }
        dress(&mut answer, &id);
        answer
    }

    async fn answer_bare(&self, parts: Parts, body: Incoming, source: Source) -> Answer {
        if !names_one_host(&parts) {
            let words = "a request names one host: send exactly one Host header";
            return reply::message(StatusCode::BAD_REQUEST, words).map(Either::Left);
        }
        let path = parts.uri.path();
        if parts.method == Method::GET {
            match path {
                "/oauth2/v2.1/verify" => {
                    return face::line::verify_jws(&self.app, parts.uri.query()).map(Either::Left);
                }
                "/gateway/verify" => {
                    let query = parts.uri.query();
                    return face::gateway::verify(&self.app, &parts.headers, query)
                        .map(Either::Left);
                }
                _ => {}
            }
        }
        let body = match read(body).await {
            Ok(body) => body,
            Err(reply) => return reply.map(Either::Left),
        };
        if parts.method == Method::POST && path == "/v2/oauth/verify" {
            return face::line::verify_opaque(&self.app, &parts.headers, &body).map(Either::Left);
        }
        let mut request = Request::from_parts(parts, axum::body::Body::from(body));
        request.extensions_mut().insert(source);
        let Ok(answer) = self.router.clone().oneshot(request).await;
        answer.map(Either::Right)
    }
}

/// Whether a request is meant for one host (RFC 9112, section 3.2). We serve one
/// alone, but whoever stands before us may have gone by another of two.
fn names_one_host(parts: &Parts) -> bool {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => parts.version != Version::HTTP_11,
        (Some(_), two) => two.is_none(),
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(LONGEST_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PATIENCE)
        .keep_alive_timeout(PATIENCE)
        .max_concurrent_streams(128)
        .max_header_list_size(LONGEST_HEAD as u32);
    builder
}

/// Reads a body whole, if it is no longer than a body may be and comes in time.
async fn read(body: Incoming) -> Result<Bytes, Reply> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let too_slow = || reply::message(StatusCode::REQUEST_TIMEOUT, "the body took too long");
    let read = match timeout(PATIENCE, collect(body)).await {
        Ok(read) => read,
        Err(_) => return Err(reply::with(too_slow(), header::CONNECTION, "close")),
    };
    match read {
        Ok(Some(body)) => Ok(body),
        Ok(None) => {
            let words = "the body is longer than 65536 bytes";
            let reply = reply::message(StatusCode::PAYLOAD_TOO_LARGE, words);
            Err(reply::with(reply, header::CONNECTION, "close"))
        }
        Err(_) => Err(reply::message(StatusCode::BAD_REQUEST, "the body broke off")),
    }
}

/// `None`: too long.
async fn collect(mut body: Incoming) -> hyper::Result<Option<Bytes>> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        length += data.len();
        if length > LONGEST_BODY {
            rest.clear();
            if length > LONGEST_BODY + DRAINED {
                return Ok(None);
            }
        } else if first.is_empty() {
            // Nearly all bodies come in one piece, which need not be copied.
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
    }
    let whole = if rest.is_empty() { first } else { rest.freeze() };
    Ok((length <= LONGEST_BODY).then_some(whole))
}

/// What every answer bears. Tokens and what is said of them must not be kept by
/// whoever passes them on; a face that knows better says so itself.
fn dress(answer: &mut Answer, id: &uuid::Uuid) {
    const REQUEST_ID: HeaderName = HeaderName::from_static("x-line-request-id");
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let text = id.hyphenated().encode_lower(&mut text);
    let headers = answer.headers_mut();
    if let Ok(id) = HeaderValue::from_str(text) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("max-age=0, no-cache, no-store"));
}

/// One line of the access log. It knows the path and never the query string: that
/// of a token operation holds a credential.
struct Log {
    method: Method,
    path: String,
    began: std::time::Instant,
    routine: bool,
}

impl Log {
    /// `None` where nobody listens: what is routine is told at DEBUG only.
    fn begin(app: &App, parts: &Parts) -> Option<Self> {
        let path = parts.uri.path();
        let routine = matches!(
            path,
            "/oauth2/v2.1/verify"
                | "/v2/oauth/verify"
                | "/gateway/verify"
                | "/livez"
                | "/readyz"
                | "/metrics"
        );
        let heard = tracing::enabled!(Level::DEBUG) || !routine && tracing::enabled!(Level::INFO);
        heard.then(|| Self {
            method: parts.method.clone(),
            path: loggable(path),
            began: app.authority.clock().steady(),
            routine,
        })
    }

    fn end(self, app: &App, id: &uuid::Uuid, source: Source, status: StatusCode) {
        let took = app.authority.clock().steady().duration_since(self.began);
        let (method, path, status) = (self.method, self.path, status.as_u16());
        let micros = took.as_micros();
        if self.routine {
            tracing::debug!(%method, path, status, micros, %source, request_id = %id, "request");
        } else {
            tracing::info!(%method, path, status, micros, %source, request_id = %id, "request");
        }
    }
}

/// A path as the log may hold it: words of ours and ids stand as they came, all
/// else, which may be a token that somebody put there by mistake, as a star.
fn loggable(path: &str) -> String {
    const WORDS: [&str; 32] = [
        "",
        "oauth2",
        "v2.1",
        "v3",
        "v2",
        "oauth",
        "token",
        "tokens",
        "kid",
        "verify",
        "revoke",
        "accessToken",
        "gateway",
        ".well-known",
        "jwks.json",
        "livez",
        "readyz",
        "metrics",
        "dev",
        "clock",
        "admin",
        "v1",
        "providers",
        "channels",
        "secret",
        "assertion-keys",
        "groups",
        "long-lived-token",
        "explain",
        "revocations",
        "signing-keys",
        "audit",
    ];
    let known = |word: &str| {
        WORDS.contains(&word)
            || (word.len() == 10 && word.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mut parts = path.split('/').map(|word| if known(word) { word } else { "*" });
    // Nothing of ours is deeper; what is, is one star more.
    let mut loggable: Vec<&str> = parts.by_ref().take(8).collect();
    if parts.next().is_some() {
        loggable.push("*");
    }
    loggable.join("/")
}

struct Panicked;

/// Runs `work` to its end, or to its panic: one request's bug must not take the
/// connection's other requests along.
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
    async fn a_panic_is_caught_wherever_in_its_work_it_comes() {
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
