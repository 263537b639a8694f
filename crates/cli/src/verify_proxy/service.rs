//! The requests that `verify-proxy` answers.

use super::{
    metrics::{self, ProxyMetrics},
    settings,
};
use crate::advice::Advice;
use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::json;
use std::{net::IpAddr, sync::Arc};
use tegata_gateway::{ActiveToken, NotActive, Verify, ext_authz, forward_auth};
use tegata_server::{
    api::{self, reply},
    http::{
        BodyRoom, Handler, ServerResponse,
        body::{self, Allowed},
        direct,
        proxies::TrustedProxies,
        respond_with, routed_response,
    },
    metrics::{ConnectionCounts, reason},
};
use tegata_verifier::{NotAccepted, RequestFailure, TokenVerifier, VerifierHealth};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

/// What a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serves {
    /// Forward authentication, probes and metrics.
    Http,
    /// Envoy's ext_authz.
    ExtAuthz,
}

/// One listener of the proxy.
pub struct Proxy {
    verifier: TokenVerifier,
    metrics: Arc<ProxyMetrics>,
    serves: Serves,
    /// The proxies of this machine: what they write into `X-Forwarded-For` is the source of
    /// a use in reports to the authority.
    trusted: TrustedProxies,
    bodies: BodyRoom,
}

impl Proxy {
    pub fn new(verifier: TokenVerifier, metrics: Arc<ProxyMetrics>, serves: Serves) -> Self {
        let trusted = TrustedProxies::loopback();
        Self { verifier, metrics, serves, trusted, bodies: BodyRoom::default() }
    }

    async fn work(
        &self,
        parts: Parts,
        incoming: Incoming,
        peer: IpAddr,
        due: Instant,
        id: Uuid,
    ) -> ServerResponse {
        if self.serves == Serves::ExtAuthz {
            return self.ext_authz(parts, incoming, peer, due, id).await;
        }
        let path = parts.uri.path();
        if path == forward_auth::PATH {
            // Read first, so that the connection can be used again.
            if let Err(refused) = body::read(incoming, Allowed::of(&parts, due, &self.bodies)).await
            {
                return routed_response(refused);
            }
            let source = self.trusted.source(peer, &parts.headers).0;
            let verifier = ByFeed { proxy: self, api: metrics::GATEWAY };
            let query = parts.uri.query();
            return direct(forward_auth::respond(&verifier, &parts.headers, query, source).await);
        }
        direct(self.operations(&parts.method, path))
    }

    async fn ext_authz(
        &self,
        parts: Parts,
        incoming: Incoming,
        peer: IpAddr,
        due: Instant,
        id: Uuid,
    ) -> ServerResponse {
        let allowed = Allowed::of_check(&parts, due, &self.bodies);
        let (whole, _taken) = match body::read(incoming, allowed).await {
            Ok(whole) => whole,
            Err(refused) => {
                return routed_response(ext_authz::unread(refused.status()).map(Body::new));
            }
        };
        let request = Request::from_parts(parts, Full::new(whole));
        let verifier = ByFeed { proxy: self, api: metrics::EXT_AUTHZ };
        let is_peer_trusted = self.trusted.trusts(peer);
        let call = ext_authz::Call { peer, is_peer_trusted, request_id: &id.to_string() };
        match timeout_at(due, ext_authz::respond(&verifier, request, call)).await {
            Ok(response) => routed_response(response.map(Body::new)),
            Err(_) => routed_response(api::refuse(ext_authz::PATH, api::Unread::TooSlow)),
        }
    }

    fn operations(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if !["/livez", "/readyz", "/metrics"].contains(&path) {
            return reply::message(StatusCode::NOT_FOUND, "Not found");
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            return reply::message(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed");
        }
        match path {
            "/livez" => reply::json(StatusCode::OK, r#"{"status":"alive"}"#),
            "/readyz" => self.ready(),
            _ => {
                let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                reply::typed(StatusCode::OK, form, self.metrics.text(&self.verifier.health()))
            }
        }
    }

    /// 200 or, while the view is stale, 503 with the reason.
    fn ready(&self) -> Response<Full<Bytes>> {
        let health = self.verifier.health();
        let age_ms = health.age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let position = health.position.map(|it| it.to_string());
        let mut body = json!({
            "status": "ready",
            "instance_begins": beginning(&health),
            "position": position,
            "age_ms": age_ms,
        });
        let Some(stale) = health.stale else {
            return reply::json(StatusCode::OK, body.to_string());
        };
        body["status"] = "unready".into();
        body["reason"] = match cause(&health) {
            Some(cause) => format!("{stale}: {cause}").into(),
            None => stale.to_string().into(),
        };
        let reply = reply::json(StatusCode::SERVICE_UNAVAILABLE, body.to_string());
        reply::with(reply, header::RETRY_AFTER, "1")
    }
}

/// How many characters of an instance's id are shown.
const SHOWN: usize = 6;

/// The beginning of the instance's id, by which people find the process that a receipt or `tegata
/// verifier show` names. The whole id is confidential: another program with the same verifier's token
/// could acknowledge in its name.
pub fn beginning(health: &VerifierHealth) -> String {
    health.instance.to_string().chars().take(SHOWN).collect()
}

/// Why the view is not followed, as far as that is known, and the next step.
pub fn cause(health: &VerifierHealth) -> Option<String> {
    const ADVICE: Advice = Advice { address: "--authority", issuer: "--authority-ca" };
    let failed = |it: &RequestFailure| match it {
        RequestFailure::NoResponse { why, .. } => format!("{it}; {}", ADVICE.about(why)),
        RequestFailure::Status(404) => format!("{it}; {}", ADVICE.about("")),
        RequestFailure::Status(_) => it.to_string(),
    };
    let rejected = health.rejected.as_ref().map(|it| format!("{it}; {}", settings::REJECTED));
    let failure = || health.failure.as_ref().map(failed);
    let cannot = || {
        let why = health.cannot.as_ref()?;
        Some(format!("the authority's response cannot be applied: {why}; update this program"))
    };
    // A snapshot that was read before the view is replaced by the next one.
    let behind = || {
        let (at, _) = health.authority_behind.zip(health.stale.as_ref())?;
        Some(format!("the authority is at {at}, before the view; {BEHIND}"))
    };
    let problem = || health.copy_problem.clone();
    rejected.or_else(failure).or_else(cannot).or_else(behind).or_else(problem)
}

/// What to do if the authority does not know what this process knows.
const BEHIND: &str = "recover its store if an older one was put back (`tegata recover`); if it was \
    set up anew, stop this process, remove the file of --copy, and start it again";

impl Handler for Proxy {
    async fn respond(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        due: Instant,
    ) -> ServerResponse {
        respond_with(request, |parts, incoming, id| async move {
            let response = self.work(parts, incoming, peer, due, id).await;
            tracing::debug!(request_id = %id, status = response.status().as_u16(), "request");
            response
        })
        .await
    }

    fn counts(&self) -> &ConnectionCounts {
        &self.metrics.connections
    }
}

/// Verifies by the feed, for one of the APIs.
struct ByFeed<'a> {
    proxy: &'a Proxy,
    api: &'static str,
}

impl Verify for ByFeed<'_> {
    async fn verify(&self, token: &[u8], _: IpAddr) -> Result<ActiveToken, NotActive> {
        let (result, not_active) = match self.proxy.verifier.verify(token).await {
            Ok(verified) => {
                let expires_in = verified.until.since(self.proxy.verifier.now());
                let is_stale = verified.stale.is_some();
                return Ok(ActiveToken { claims: verified.claims, expires_in, is_stale });
            }
            Err(NotAccepted::Invalid(invalid)) => (reason(invalid), NotActive::Invalid),
            Err(NotAccepted::Inactive) => ("inactive", NotActive::Invalid),
            Err(NotAccepted::Unknown(_)) => ("unknown", NotActive::Unknown),
        };
        self.proxy.metrics.count(self.api, result);
        Err(not_active)
    }

    fn count_let_through(&self, token: &ActiveToken, source: IpAddr) {
        let result = if token.is_stale { "active_stale" } else { "active" };
        self.proxy.metrics.count(self.api, result);
        // The proxy's own address says nothing.
        let source = Some(source).filter(|it| !it.is_loopback());
        self.proxy.verifier.record_use(&token.claims, source);
    }

    fn count_denied(&self, _: &ActiveToken) {
        self.proxy.metrics.count(self.api, "denied");
    }
}
