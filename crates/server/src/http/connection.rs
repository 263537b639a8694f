//! One connection from its first byte to its last.
//!
//! Nothing is allocated for a peer that has sent nothing. An idle connection is parked:
//! its HTTP/1 state and buffers are dropped, and created again when the peer sends
//! something. So thousands of silent connections are cheap, and at the connection limit
//! the longest-idle one is closed.

use super::{
    listener::{Accepted, Handler, Listener, ServerResponse},
    pace::{PARK_AFTER, PATIENCE, Pace, Progress, Slow},
    wire::{Stream, Version, Wire},
};
use hyper::{body::Body, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    net::IpAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

/// How long a peer has to close the connection after it was asked to.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes that are read and dropped when a connection is closed after a request whose body was
/// not read; the longest body that any sender may send is shorter.
const DROPPED: usize = 4 * 1024 * 1024;

impl Accepted {
    /// Waits until the peer sends something; `false` if it closes the connection.
    async fn speaks(&self) -> bool {
        match self {
            Self::Tcp(stream) => {
                // Responses are small and complete; waiting to fill a packet only delays them.
                let _ = stream.set_nodelay(true);
                // Peeked at without reading: readiness alone may be reported spuriously.
                stream.peek(&mut [0]).await.is_ok_and(|seen| seen > 0)
            }
            Self::Unix(stream) => stream.readable().await.is_ok(),
        }
    }
}

impl<H: Handler> Listener<H> {
    /// Serves a connection until it is closed.
    pub(super) async fn connection(self: Arc<Self>, stream: Accepted, peer: IpAddr) {
        let pace = Arc::new(Pace::new(Instant::now()));
        let speaks = tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            speaks = stream.speaks() => speaks,
            () = sleep_until(pace.first_due()) => self.too_slow(Slow::Sending),
            () = self.room.notified() => false,
        };
        if !speaks {
            return;
        }
        let due = pace.first_due();
        let began = tokio::select! {
            () = self.stop.cancelled() => return,
            began = timeout_at(due, Box::pin(self.begin(stream, pace))) => began,
        };
        match began {
            Ok(Some((wire, Version::Http2))) => Box::pin(self.http2(wire, peer)).await,
            Ok(Some((mut wire, Version::Http1))) => {
                loop {
                    let held = self.is_held(wire.ahead());
                    if held && !Box::pin(self.follow(&mut wire, peer)).await {
                        break;
                    }
                    // Requests of a client that always need the library stay with it.
                    let leaves = !self.is_held(wire.ahead());
                    let parked = Box::pin(self.http1(wire, peer, leaves)).await;
                    let Some(parked) = parked else { return };
                    wire = parked;
                    if !self.park(&mut wire).await {
                        break;
                    }
                }
                close(wire).await;
            }
            Ok(None) => {}
            Err(_) => drop(self.too_slow(Slow::Sending)),
        }
    }

    /// Completes the TLS handshake, if there is one, and reads the first bytes.
    async fn begin(&self, stream: Accepted, pace: Arc<Pace>) -> Option<(Wire, Version)> {
        let stream = match (stream, &self.tls) {
            (Accepted::Tcp(stream), None) => Stream::Plain(stream),
            (Accepted::Tcp(stream), Some(tls)) => {
                Stream::Tls(Box::new(tls.acceptor().accept(stream).await.ok()?))
            }
            (Accepted::Unix(stream), _) => Stream::Unix(stream),
        };
        let mut wire = Wire::new(stream, pace);
        let version = wire.version().await.ok()??;
        Some((wire, version))
    }

    fn service(
        self: &Arc<Self>,
        pace: &Arc<Pace>,
        peer: IpAddr,
        version: Version,
    ) -> impl hyper::service::Service<
        hyper::Request<hyper::body::Incoming>,
        Response = ServerResponse,
        Error = Infallible,
        Future = impl Future<Output = Result<ServerResponse, Infallible>> + Send + use<H>,
    > + use<H> {
        let (listener, pace) = (self.clone(), pace.clone());
        service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let (listener, pace) = (listener.clone(), pace.clone());
            async move {
                let under_way = pace.begin(version == Version::Http1, Instant::now());
                // What is left of a body would be taken for the next request.
                let is_whole = request.body().is_end_stream();
                pace.body_follows(!is_whole);
                pace.holds(is_whole && listener.handler.held() == Some(request.uri().path()));
                let mut response = listener.handler.respond(request, peer, under_way.due()).await;
                if version == Version::Http2 {
                    response.body_mut().outgoing = Some(pace.respond(Instant::now()));
                }
                Ok(response)
            }
        })
    }

    /// Serves HTTP/1 until the connection is closed, or returns it to be parked, before the
    /// next request that is held if it `leaves` then.
    async fn http1(self: &Arc<Self>, wire: Wire, peer: IpAddr, leaves: bool) -> Option<Wire> {
        let pace = wire.pace().clone();
        let service = self.service(&pace, peer, Version::Http1);
        let mut connection = self.http1.serve_connection(TokioIo::new(wire), service);
        let mut next_check = pin!(sleep_until(Instant::now() + PARK_AFTER));
        let (mut parked, mut stopping) = (false, false);
        loop {
            let progress = poll_fn(|context| match Pin::new(&mut connection).poll(context) {
                // The next request needs no memory of the library.
                Poll::Pending if leaves && !parked && pace.is_between_holds() => Poll::Ready(None),
                other => other.map(Some),
            });
            tokio::select! {
                biased;
                progress = progress => {
                    let Some(ended) = progress else {
                        parked = true;
                        Pin::new(&mut connection).graceful_shutdown();
                        continue;
                    };
                    // An error of the connection is caused by its peer, and ignored.
                    ended.ok()?;
                    let parts = connection.into_parts();
                    let mut wire = parts.io.into_inner();
                    wire.put_back(parts.read_buf);
                    if parked && !stopping {
                        return Some(wire);
                    }
                    if !stopping && pace.may_send_on() {
                        Box::pin(self.close_after_body(wire)).await;
                    } else {
                        close(wire).await;
                    }
                    return None;
                }
                () = &mut next_check => match pace.progress(Instant::now()) {
                    Progress::Well(next) => next_check.as_mut().reset(next),
                    Progress::TooSlow(at) => {
                        self.too_slow(at);
                        return None;
                    }
                    // An idle connection shuts down at once and reads nothing more from
                    // the wire.
                    Progress::Idle(_) => {
                        parked = true;
                        Pin::new(&mut connection).graceful_shutdown();
                        next_check.as_mut().reset(Instant::now() + PATIENCE);
                    }
                },
                () = self.stop.cancelled(), if !stopping => {
                    stopping = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
        }
    }

    /// Waits until the peer of a parked connection sends something; `false` if the
    /// connection is to be closed.
    async fn park(&self, wire: &mut Wire) -> bool {
        let now = Instant::now();
        let idle = wire.pace().idle_since(now);
        if wire.is_ahead() {
            // The buffered part of the next request came before now.
            wire.pace().bytes_came(idle);
            return true;
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            more = wire.more() => more.unwrap_or(false),
            () = sleep_until(idle + self.idle) => false,
            () = self.room.notified() => false,
        }
    }

    async fn http2(self: &Arc<Self>, wire: Wire, peer: IpAddr) {
        let pace = wire.pace().clone();
        let service = self.service(&pace, peer, Version::Http2);
        let mut connection = pin!(self.http2.serve_connection(TokioIo::new(wire), service));
        let mut next_check = pin!(sleep_until(Instant::now() + PARK_AFTER));
        let (mut is_idle, mut stopping) = (false, false);
        let mut close_by = None;
        // Kept while the connection is idle, since the one that waits longest is notified first.
        let mut room = pin!(self.room.notified());
        loop {
            let leave = tokio::select! {
                biased;
                _ = connection.as_mut() => return,
                () = &mut next_check => {
                    let now = Instant::now();
                    let progress = pace.progress(now);
                    is_idle = matches!(progress, Progress::Idle(_));
                    if !is_idle {
                        room.set(self.room.notified());
                    }
                    let next = match progress {
                        Progress::TooSlow(at) => {
                            self.too_slow(at);
                            return;
                        }
                        Progress::Idle(_) if close_by.is_some_and(|by| now >= by) => return,
                        Progress::Idle(_) => close_by.unwrap_or(now + PARK_AFTER),
                        Progress::Well(next) => next,
                    };
                    next_check.as_mut().reset(next);
                    matches!(progress, Progress::Idle(since) if now >= since + self.idle)
                }
                () = &mut room, if is_idle && close_by.is_none() => true,
                () = self.stop.cancelled(), if !stopping => {
                    stopping = true;
                    true
                }
            };
            if leave && close_by.is_none() {
                connection.as_mut().graceful_shutdown();
                let by = Instant::now() + CLOSE_TIMEOUT;
                close_by = Some(by);
                next_check.as_mut().reset(by);
            }
        }
    }

    /// Closes a connection whose peer may still send a body that was not read. Closed at once, a
    /// peer that sends before it reads would lose the response (RFC 9112, section 9.6).
    async fn close_after_body(&self, wire: Wire) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            // At the connection limit it gives way: it has its response.
            () = self.room.notified() => {}
            _ = timeout(PATIENCE, wire.close_after(DROPPED)) => {}
        }
    }

    /// Counts a peer that is disconnected because it is too slow.
    pub(super) fn too_slow(&self, at: Slow) -> bool {
        match at {
            Slow::Sending => self.handler.counts().cut_sending.inc(),
            Slow::Reading => self.handler.counts().cut_reading.inc(),
        };
        false
    }
}

/// Closes the connection cleanly, if the peer still reads.
async fn close(wire: Wire) {
    let _ = timeout(CLOSE_TIMEOUT, wire.close()).await;
}
