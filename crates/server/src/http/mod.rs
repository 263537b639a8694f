//! The HTTP server: connections and their limits, bodies read whole, the headers of every
//! response, the access log, and the shutdown.
//!
//! The three verification operations, the issue of v2.1 tokens and verifiers' requests for
//! changes are handled here, without the router: they are most of a busy server's requests,
//! and layers would cost more than a verification. The router has them too, so the shortcut changes the speed
//! and never the response.

pub mod body;
mod connection;
pub mod descriptors;
mod following;
mod frames;
mod headers;
mod listener;
mod log;
mod pace;
mod panicked;
mod plain;
pub mod proxies;
mod room;
mod route;
mod tls;
mod trace;
pub mod traces;
mod wire;

pub use listener::{
    ConnectionTerms, Handler, ResponseBody, ServerResponse, Socket, direct, listen_at,
    routed_response, serve_with,
};
pub use room::BodyRoom;
pub use tls::{BadCertificate, CertificateValidity, SELF_SIGNED_CA, Tls, TlsFiles};

use crate::metrics::ConnectionCounts;
use crate::{
    api::{
        self, Shows,
        app::App,
        console::{self, KeptPages},
        feed::{AskedChanges, CHANGES},
        reply,
    },
    authority::{lease::LeaseMark, random, source::Source},
};
use axum::Router;
use body::Allowed;
use headers::{add_headers, set_date, write_headers};
use http::{Request, Response, StatusCode, Version, header, request::Parts};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use listener::{Held, either_response};
use log::{Finished, Log};
use panicked::{Panicked, without_panic};
use plain::{PlainRequest, PlainResponse};
use proxies::TrustedProxies;
use route::{Arriving, Route, Routed, Shortcut, merge_slashes};
use std::{
    future::Future,
    io,
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tegata_gateway::ext_authz;
use tokio::{net::TcpListener, time::Instant};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use trace::Trace;
use uuid::Uuid;

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
    /// The memory for the bodies of all requests, which listeners share.
    pub bodies: BodyRoom,
}

struct Server {
    app: Arc<App>,
    router: Router,
    shows: Shows,
    has_tls: bool,
    trusted_proxies: Arc<TrustedProxies>,
    /// Pages of the console as they were sent.
    pages: Arc<KeptPages>,
    bodies: BodyRoom,
}

/// Serves `app` on `listener` until `stop`, and then completes the requests in progress.
pub async fn serve(app: Arc<App>, listener: TcpListener, terms: Terms, stop: CancellationToken) {
    let Terms { shows, connections, idle, tls, trusted_proxies, bodies } = terms;
    let pages = Arc::default();
    let server = Server {
        router: api::router(app.clone(), shows, &pages)
            .layer(axum::middleware::from_fn_with_state(app.clone(), route::arrive)),
        app,
        shows,
        has_tls: tls.is_some(),
        trusted_proxies,
        pages,
        bodies,
    };
    let terms = ConnectionTerms { connections, idle, tls };
    serve_with(server, Socket::Tcp(listener), terms, stop).await;
}

impl Handler for Server {
    async fn respond(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        due: Instant,
    ) -> ServerResponse {
        let (id, since) = (random::request_id(), self.app.authority.mark());
        let (mut parts, body) = request.into_parts();
        merge_slashes(&mut parts.uri);
        let source = self.trusted_proxies.source(peer, &parts.headers);
        let log = Log::begin(&self.app, &parts);
        let trace = Trace::begin(&parts, &id);
        let (method, path) = (parts.method.clone(), parts.uri.path());
        let (shortcut, form) =
            (Shortcut::of_request(self.shows, &method, path), api::ErrorForm::of(path));
        let of_operator = api::is_of_operator(path);
        let route = shortcut.map_or_else(|| Route::Routed(Arc::default()), Route::Shortcut);
        let work =
            self.work(parts, body, Arrival { id, peer, source, due, route: &route, trace: &trace });
        let (response, subject) = api::subject::during(without_panic(work)).await;
        let since = match &route {
            // Its parts have their own: a hold may be longer than a lease.
            Route::Shortcut(Shortcut::Changes) => self.app.authority.mark(),
            _ => since,
        };
        let may = |response: &_| self.may_answer(response, &route, of_operator, since);
        let mut response = self.answer(response, &id, &route, form, may);
        let channel = route.channel().or(subject.channel);
        let (source, verified) = (subject.source.unwrap_or(source), subject.verified);
        let status = response.status();
        if let Some(log) = log {
            let (route, trace) = (&route, &trace);
            log.end(
                &self.app,
                &Finished { id: &id, source, route, channel, verified, trace, status },
            );
        }
        trace.end(&method, &route, channel, status);
        add_headers(&mut response, &id, self.has_tls);
        if self.app.dev {
            // Else the HTTP library sets it, by the machine's clock.
            set_date(&mut response, self.app.authority.now());
        }
        response
    }

    fn held(&self) -> Option<&'static str> {
        self.shows.public.then_some(CHANGES)
    }

    fn hold(&self, bytes: &[u8], peer: IpAddr) -> Option<Held<'_>> {
        let trace = Trace::unrecorded()?;
        if self.app.dev && !self.app.faults.is_empty() {
            return None;
        }
        let it = PlainRequest::read(bytes, CHANGES)?;
        let PlainRequest { query, authorization, accept_encoding } = it;
        let source = Source(peer.to_canonical());
        let asked =
            api::feed::ask_at_once(&self.app, source, authorization, accept_encoding, query)?;
        Some(Box::pin(self.changes(asked, source, trace)))
    }

    fn counts(&self) -> &ConnectionCounts {
        &self.app.metrics.connections
    }
}

impl Server {
    /// Responds to a request for changes that was read without the HTTP library.
    async fn changes(
        &self,
        asked: AskedChanges,
        source: Source,
        trace: Trace,
    ) -> io::Result<PlainResponse> {
        let id = random::request_id();
        let log = Log::of_changes(&self.app);
        let route = Route::Shortcut(Shortcut::Changes);
        let answered = without_panic(api::feed::answer_changes(&self.app, asked)).await;
        let (authority, tls) = (&self.app.authority, self.has_tls);
        let since = authority.mark();
        let (status, response) = match answered {
            // What thousands of followers get is written without a map of its headers.
            Ok(Ok(answer)) if authority.is_current(since) => {
                let headers = api::feed::headers(answer.encoding);
                let mut response = PlainResponse::new(StatusCode::OK, answer.parts);
                headers.for_each(|(name, value)| response.header(name.as_str(), value.as_bytes()));
                write_headers(&mut response, &id, tls, authority.now());
                (StatusCode::OK, response)
            }
            other => {
                let whole = |it: Result<_, _>| it.map_or_else(|refused| refused, api::feed::whole);
                let other = other.map(whole).map(either_response);
                let may = |response: &_| self.may_answer(response, &route, false, since);
                let form = api::ErrorForm::of(CHANGES);
                let mut response = self.answer(other, &id, &route, form, may);
                add_headers(&mut response, &id, tls);
                set_date(&mut response, authority.now());
                (response.status(), PlainResponse::of(response).await?)
            }
        };
        if let Some(log) = log {
            let (route, trace) = (&route, &trace);
            let (channel, verified) = (None, None);
            log.end(
                &self.app,
                &Finished { id: &id, source, route, channel, verified, trace, status },
            );
        }
        Ok(response)
    }

    /// The response to a request that was handled.
    fn answer(
        &self,
        handled: Result<ServerResponse, Panicked>,
        id: &Uuid,
        route: &Route,
        form: api::ErrorForm,
        may_answer: impl FnOnce(&ServerResponse) -> bool,
    ) -> ServerResponse {
        match handled {
            Ok(response) if may_answer(&response) => response,
            Ok(_) => routed_response(api::signed(api::unavailable(form), id)),
            Err(Panicked) => {
                self.app.metrics.internal_errors.inc();
                tracing::error!(request_id = %id, route = route.template(), "a request failed with an internal error");
                routed_response(api::signed(api::internal_error(form), id))
            }
        }
    }

    /// Whether a response may be sent. Asked of every response, after it was made: if there was
    /// no lease at any moment `since` the request began, what memory said may have been out of
    /// date.
    fn may_answer(
        &self,
        response: &ServerResponse,
        route: &Route,
        of_operator: bool,
        since: LeaseMark,
    ) -> bool {
        self.app.authority.is_current(since)
            || of_operator
            || response.status() == StatusCode::SERVICE_UNAVAILABLE
            // Its protocol has a response of its own for an unknown token.
            || matches!(route, Route::Shortcut(Shortcut::ExtAuthz))
    }

    /// Handles a request. Long work has memory of its own: the future of every request would
    /// be as large otherwise, and it is moved several times.
    async fn work(&self, parts: Parts, body: Incoming, it: Arrival<'_>) -> ServerResponse {
        if let Some(refused) = refused(&parts, &it.id) {
            return refused;
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
                return direct(api::line::verify_jws(&self.app, it.source, query).await);
            }
            Route::Shortcut(Shortcut::Gateway) => {
                return direct(api::gateway::verify(&self.app, it.source, headers, query).await);
            }
            Route::Shortcut(Shortcut::Changes) => {
                let query = query.unwrap_or_default();
                let asked = api::feed::ask_for_changes(&self.app, it.source, headers, query).await;
                // They keep the buffer of the connection alive, for as long as the hold.
                drop((parts, body));
                return either_response(api::feed::changes(&self.app, asked).await);
            }
            Route::Shortcut(Shortcut::ExtAuthz) => {
                return routed_response(Box::pin(self.ext_authz(parts, body, &it)).await);
            }
            Route::Shortcut(Shortcut::VerifyOpaque) => {
                return match body::read(body, Allowed::of(&parts, it.due, &self.bodies)).await {
                    Ok((body, _taken)) => {
                        let verify = api::line::verify_opaque(&self.app, it.source, headers, &body);
                        direct(verify.await)
                    }
                    Err(refused) => routed_response(refused),
                };
            }
            Route::Shortcut(Shortcut::IssueV21) => {
                let issue = Box::pin(async move {
                    match body::read(body, Allowed::of(&parts, it.due, &self.bodies)).await {
                        Ok((body, taken)) => {
                            let asked = api::line::ask_for_v21(&parts.headers, &body);
                            // The connection has memory for its next request without
                            // waiting for the commit.
                            drop((parts, body, taken));
                            direct(api::line::v21(&self.app, it.source, asked).await)
                        }
                        Err(refused) => routed_response(refused),
                    }
                });
                return it.trace.work(&it.id, issue).await;
            }
            Route::Routed(routed) => match self.kept_page(&parts, &body, routed) {
                Some(page) => return page,
                None => routed.clone(),
            },
        };
        let mut request = Request::from_parts(parts, axum::body::Body::new(body));
        let extensions = request.extensions_mut();
        extensions.insert(it.source);
        extensions.insert(api::subject::RequestId(it.id));
        extensions.insert(Arriving { routed, due: it.due, room: self.bodies.clone() });
        let handled = Box::pin(self.router.clone().oneshot(request));
        let Ok(response) = it.trace.work(&it.id, handled).await;
        routed_response(api::signed(response, &it.id))
    }

    /// The page of the console that a request asks for, if it is kept.
    fn kept_page(
        &self,
        parts: &Parts,
        body: &Incoming,
        routed: &OnceLock<Routed>,
    ) -> Option<ServerResponse> {
        let takes = self.shows.admin && body.is_end_stream();
        let page = takes.then(|| console::kept_page(&self.pages, &self.app, parts)).flatten()?;
        // The router sets it for the others, later.
        let _ = routed.set(Routed::new(page.route, page.channel));
        Some(routed_response(page.response))
    }

    async fn ext_authz(
        &self,
        parts: Parts,
        body: Incoming,
        it: &Arrival<'_>,
    ) -> Response<axum::body::Body> {
        let call = ext_authz::Call {
            peer: it.peer,
            is_peer_trusted: self.trusted_proxies.trusts(it.peer),
            request_id: &it.id.to_string(),
        };
        let (body, _taken) = match body::read(body, Allowed::of_check(&parts, it.due, &self.bodies))
            .await
        {
            Ok(whole) => whole,
            Err(refused) => return ext_authz::unread(refused.status()).map(axum::body::Body::new),
        };
        let request = Request::from_parts(parts, Full::new(body));
        api::gateway::ext_authz(&self.app, request, call).await
    }
}

/// What the server knows about a request before it is handled.
struct Arrival<'a> {
    id: Uuid,
    peer: IpAddr,
    source: Source,
    due: Instant,
    route: &'a Route,
    trace: &'a Trace,
}

/// Responds to a request of another service than the authority by the same rules: doubled
/// slashes are merged, exactly one `Host` is required, a panic becomes 500, and the response
/// has a request id and the headers of every response.
pub async fn respond_with<F: Future<Output = ServerResponse>>(
    request: Request<Incoming>,
    work: impl FnOnce(Parts, Incoming, Uuid) -> F,
) -> ServerResponse {
    let id = random::request_id();
    let (mut parts, body) = request.into_parts();
    merge_slashes(&mut parts.uri);
    let mut response = match refused(&parts, &id) {
        None => without_panic(work(parts, body, id)).await.unwrap_or_else(|Panicked| {
            tracing::error!(request_id = %id, "a request failed with an internal error");
            direct(reply::internal_error())
        }),
        Some(refused) => refused,
    };
    add_headers(&mut response, &id, false);
    response
}

/// Maximum number of header fields, as of HTTP/1's library. A field that HTTP/2 has in its table costs
/// the client one byte, and the server seventy, for as long as the body of the request takes.
const MOST_FIELDS: usize = 100;

/// The response to a request whose head is malformed, whatever it asks for.
fn refused(parts: &Parts, id: &Uuid) -> Option<ServerResponse> {
    let hosts = || (!has_one_host(parts)).then_some(api::Unread::Hosts);
    let fields = (parts.headers.len() > MOST_FIELDS).then_some(api::Unread::Fields);
    let unread = fields.or_else(hosts)?;
    Some(routed_response(api::signed(api::refuse(parts.uri.path(), unread), id)))
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
