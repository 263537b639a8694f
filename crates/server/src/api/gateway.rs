//! Forward authentication, and Envoy's ext_authz, by the authority's own memory: see
//! `tegata_gateway`.

use super::{app::App, subject};
use crate::{api::reply::Reply, authority::source::Source, metrics::Verifications};
use axum::{
    Router,
    body::Body,
    extract::{RawQuery, State},
    routing::any,
};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use std::{net::IpAddr, sync::Arc};
use tegata_gateway::{ActiveToken, NotActive, Verify, ext_authz, forward_auth};

/// `/gateway/verify`, for any method: some proxies use the method of the request that
/// they ask about.
pub fn router() -> Router<Arc<App>> {
    let verify = async |State(app): State<Arc<App>>,
                        RawQuery(query): RawQuery,
                        source: Source,
                        headers: HeaderMap| {
        verify(&app, source, &headers, query.as_deref()).await
    };
    Router::new().route("/gateway/verify", any(verify))
}

/// Verifies the bearer token in `headers`, and applies the conditions of `query`.
pub async fn verify(app: &App, source: Source, headers: &HeaderMap, query: Option<&str>) -> Reply {
    let verifier = OwnMemory { app, counts: &app.metrics.verifications_gateway };
    forward_auth::respond(&verifier, headers, query, source.0).await
}

/// A gRPC request of Envoy's about a client's request.
pub async fn ext_authz(
    app: &App,
    request: Request<Full<Bytes>>,
    call: ext_authz::Call<'_>,
) -> Response<Body> {
    let verifier = OwnMemory { app, counts: &app.metrics.verifications_ext_authz };
    ext_authz::respond(&verifier, request, call).await.map(Body::new)
}

/// Verifies by the authority's memory.
struct OwnMemory<'a> {
    app: &'a App,
    counts: &'a Verifications,
}

impl Verify for OwnMemory<'_> {
    fn note_client(&self, address: IpAddr) {
        subject::set_source(Source(address));
    }

    async fn verify(&self, token: &[u8], source: IpAddr) -> Result<ActiveToken, NotActive> {
        match self.app.verify(self.counts, token, Source(source)).await {
            Err(_) => Err(NotActive::Unknown),
            Ok(Ok(active)) => {
                let expires_in = active.until.since(self.app.authority.now());
                Ok(ActiveToken { claims: active.claims, expires_in, is_stale: false })
            }
            Ok(Err(invalid)) => {
                self.counts.count_invalid(invalid);
                Err(NotActive::Invalid)
            }
        }
    }

    fn count_let_through(&self, _: &ActiveToken, _: IpAddr) {
        self.counts.active.inc();
    }

    fn count_denied(&self, _: &ActiveToken) {
        self.counts.denied.inc();
    }
}
