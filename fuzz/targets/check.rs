//! Checks of Envoy's ext_authz, which a process that reaches its address may send.

use super::token::active;
use http::Request;
use http_body_util::{BodyExt, Full};
use prost::Message;
use std::{
    collections::BTreeSet,
    future::Future,
    net::{IpAddr, Ipv4Addr},
    pin::pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll, Waker},
};
use tegata_gateway::{
    ActiveToken, NotActive, Verify,
    ext_authz::{
        self, Call,
        messages::{CheckRequest, CheckResponse, HttpRequest, HttpResponse},
    },
};
use tegata_token::verify::VerifiedClaims;

static ACTIVE: LazyLock<Arc<VerifiedClaims>> = LazyLock::new(active);

/// Every token is active, or none is.
struct Every(bool);

impl Verify for Every {
    async fn verify(&self, _: &[u8], _: IpAddr) -> Result<ActiveToken, NotActive> {
        let claims = ACTIVE.clone();
        let token = ActiveToken { claims, expires_in: 60, is_stale: false };
        self.0.then_some(token).ok_or(NotActive::Invalid)
    }

    fn count_let_through(&self, _: &ActiveToken, _: IpAddr) {}

    fn count_denied(&self, _: &ActiveToken) {}
}

/// A message is read without a panic. It is let through only with a token that is active, and
/// then no header of the client is left that an API could take for one of Tegata's.
pub fn message(data: &[u8]) {
    let request = CheckRequest::decode(data).ok();
    assert!(!matches!(answer(data, false), Some(HttpResponse::Ok(_))), "no token is active");
    let response = answer(data, true);
    assert_eq!(request.is_some(), response.is_some());
    let (Some(request), Some(HttpResponse::Ok(ok))) = (request, response) else { return };
    let context = request.attributes.unwrap_or_default();
    let known = ["kind", "channel", "group"];
    assert!(context.context_extensions.keys().all(|name| known.contains(&&**name)));
    let http = context.request.and_then(|it| it.http).unwrap_or_default();
    assert_eq!(authorizations(&http), 1);
    let ours = ok.headers.iter().filter_map(|it| it.header.as_ref());
    let ours: BTreeSet<&str> = ours.map(|it| &*it.key).collect();
    assert_eq!(ours.len(), 5);
    let raw = http.header_map.iter().flat_map(|it| &it.headers).map(|it| &it.key);
    for name in http.headers.keys().chain(raw) {
        let is_removed = ok.headers_to_remove.contains(name) || ours.contains(&**name);
        assert!(is_removed || !reads_as_ours(name), "{name:?}");
    }
}

/// The response to a message in the frame of gRPC; `None` if the message is none.
fn answer(data: &[u8], is_active: bool) -> Option<HttpResponse> {
    let length = u32::try_from(data.len()).expect("short");
    let frame = [&[0], &length.to_be_bytes()[..], data].concat();
    let request = Request::post(ext_authz::PATH).header("content-type", "application/grpc");
    let request = request.body(Full::<bytes::Bytes>::from(frame)).expect("a request");
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let call = Call { peer, is_peer_trusted: true, request_id: "id" };
    let verifier = Every(is_active);
    let response = now(ext_authz::respond(&verifier, request, call));
    let body = now(response.into_body().collect()).ok()?.to_bytes();
    let message = CheckResponse::decode(body.get(5..)?).expect("a response");
    message.http_response
}

/// The result of a future that waits for nothing.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("a check waits for nothing but its verification"),
    }
}

fn authorizations(http: &HttpRequest) -> usize {
    let is_it = |name: &String| name.eq_ignore_ascii_case("authorization");
    match &http.header_map {
        Some(raw) => raw.headers.iter().filter(|it| is_it(&it.key)).count(),
        None => http.headers.keys().filter(|it| is_it(it)).count(),
    }
}

/// Whether a name is one of `x-tegata-…` to programs that read only letters and digits of it.
fn reads_as_ours(name: &str) -> bool {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    plain.to_ascii_lowercase().starts_with("x_tegata_")
}
