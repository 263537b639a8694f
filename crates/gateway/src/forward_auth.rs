//! Forward authentication: a proxy asks in a subrequest whether the token of a request is
//! active, and passes the token's facts on to the API behind it.

use crate::{
    bearer::bearer,
    conditions::Conditions,
    decision::{ActiveToken, Refusal, Verify, decide},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body_util::Full;
use std::net::IpAddr;

/// The path of the subrequest.
pub const PATH: &str = "/gateway/verify";

/// The response to a subrequest with these headers and this query.
pub async fn respond(
    verifier: &impl Verify,
    headers: &HeaderMap,
    query: Option<&str>,
    source: IpAddr,
) -> Response<Full<Bytes>> {
    let conditions = Conditions::of_query(query);
    match decide(verifier, conditions, bearer(headers), source).await {
        Ok(active) => let_through(&active),
        Err(refusal) => refused(&refusal),
    }
}

fn let_through(active: &ActiveToken) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    for (name, value) in active.headers() {
        // Always so: the values are visible ASCII.
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

/// A refusal with its message in a header as well: nginx drops the body of the response to
/// its subrequest.
fn refused(refusal: &Refusal) -> Response<Full<Bytes>> {
    const MESSAGE: HeaderName = HeaderName::from_static("x-tegata-message");
    let mut response = refusal.response::<Full<Bytes>>();
    // Always so: messages are visible ASCII.
    if let Ok(message) = HeaderValue::try_from(&*refusal.message()) {
        response.headers_mut().insert(MESSAGE, message);
    }
    response
}
