//! Envoy's external authorization (ext_authz), version 3, over gRPC.
//!
//! The conditions come from the `context_extensions` of Envoy's route, since there is no
//! query; the token and the client's address come from the request that Envoy describes.

pub mod messages;

use crate::{
    bearer,
    conditions::Conditions,
    decision::{ActiveToken, CHALLENGE, RETRY_AFTER, Refusal, Verify, decide},
};
use http::StatusCode;
use http_body::Body;
use messages::{
    AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, HeaderAppendAction,
    HeaderValue, HeaderValueOption, HttpRequest, HttpResponse, HttpStatus, OkHttpResponse, Status,
};
use std::{borrow::Cow, net::IpAddr};
use tonic::{Code, Request, Response, server::Grpc};
use tonic_prost::ProstCodec;
use tower::service_fn;

/// The path of a check.
pub const PATH: &str = "/envoy.service.auth.v3.Authorization/Check";

/// Maximum length of a check, in bytes. Envoy sends the headers of a request, of which it takes
/// 60 KiB, and its path once more.
const LONGEST: usize = 256 * 1024;

/// Maximum length of the body of a gRPC request with a check, in bytes: five stand before it.
pub const LONGEST_BODY: usize = LONGEST + 5;

/// What conditions there may be.
const CONDITIONS: &str = "context_extensions may narrow by kind, channel and group, each with one value or a list with commas";

/// What is known about a check besides its message.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Envoy's own address.
    pub peer: IpAddr,
    /// Whether the peer may say which client a request came from.
    pub is_peer_trusted: bool,
    /// The id of this check, for the client's response.
    pub request_id: &'a str,
}

/// The response to a gRPC request.
pub async fn respond<B>(
    verifier: &impl Verify,
    request: http::Request<B>,
    call: Call<'_>,
) -> http::Response<tonic::body::Body>
where
    B: Body + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    if request.uri().path() != PATH {
        let words = format!("only {PATH} is served here");
        return tonic::Status::unimplemented(words).into_http();
    }
    let codec = ProstCodec::<CheckResponse, CheckRequest>::new();
    let mut grpc = Grpc::new(codec).max_decoding_message_size(LONGEST);
    let check = service_fn(|request: Request<CheckRequest>| async move {
        Ok(Response::new(check(verifier, request.into_inner(), call).await))
    });
    grpc.unary(check, request).await
}

/// The response to a gRPC request whose body was not read, for which HTTP has the status `why`.
#[must_use]
pub fn unread(why: StatusCode) -> http::Response<tonic::body::Body> {
    let (code, words) = match why {
        StatusCode::PAYLOAD_TOO_LARGE => {
            (Code::OutOfRange, format!("a check has at most {LONGEST} bytes"))
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            (Code::Unavailable, "the server reads as many bodies as it may; try again".to_owned())
        }
        StatusCode::REQUEST_TIMEOUT => {
            (Code::DeadlineExceeded, "the check took too long to come in".to_owned())
        }
        _ => (Code::InvalidArgument, "the check broke off".to_owned()),
    };
    tonic::Status::new(code, words).into_http()
}

/// The response to a check.
async fn check(verifier: &impl Verify, request: CheckRequest, call: Call<'_>) -> CheckResponse {
    let context = request.attributes.unwrap_or_default();
    let source =
        if call.is_peer_trusted { client(&context).unwrap_or(call.peer) } else { call.peer };
    let lists = context.context_extensions.iter();
    let conditions =
        Conditions::of_lists(lists.map(|(name, value)| (name.as_str(), value.as_str())));
    let http = context.request.and_then(|it| it.http).unwrap_or_default();
    let authorization = authorization(&http);
    let token = authorization.as_deref().and_then(bearer::token);
    match decide(verifier, conditions, token, source).await {
        Ok(active) => let_through(&active, &http),
        Err(refusal) => denied(&refusal, call.request_id),
    }
}

/// The address of the client, as Envoy determined it.
fn client(context: &AttributeContext) -> Option<IpAddr> {
    let address = context.source.as_ref()?.address.as_ref()?.socket_address.as_ref()?;
    address.address.parse().ok().map(|it: IpAddr| it.to_canonical())
}

/// The value of the only `Authorization` header. Envoy joins those of several into one, with
/// a comma, which no token has.
fn authorization(http: &HttpRequest) -> Option<Cow<'_, [u8]>> {
    const NAME: &str = "authorization";
    let Some(raw) = &http.header_map else {
        return http.headers.get(NAME).map(|value| value.as_bytes().into());
    };
    let mut all = raw.headers.iter().filter(|it| it.key.eq_ignore_ascii_case(NAME));
    let (Some(only), None) = (all.next(), all.next()) else { return None };
    Some(if only.raw_value.is_empty() { only.value.as_bytes() } else { &only.raw_value }.into())
}

fn let_through(active: &ActiveToken, http: &HttpRequest) -> CheckResponse {
    let ours: Vec<_> = active.headers().collect();
    let names = http
        .headers
        .keys()
        .chain(http.header_map.iter().flat_map(|raw| raw.headers.iter().map(|header| &header.key)));
    // Those of ours are overwritten, and would be removed after that.
    let forged = names.filter(|name| is_read_as_ours(name) && !ours.iter().any(|it| it.0 == *name));
    let headers_to_remove = forged.cloned().collect();
    let headers = ours.into_iter().map(|(name, value)| overwrite(name, &value)).collect();
    CheckResponse {
        status: Some(Status { code: Code::Ok.into() }),
        http_response: Some(HttpResponse::Ok(OkHttpResponse { headers, headers_to_remove })),
    }
}

/// Whether some back end reads a header of this name as one of ours: WSGI, CGI, Rack and PHP
/// replace characters by `_`.
fn is_read_as_ours(name: &str) -> bool {
    let same =
        |byte: u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    name.len() >= 9 && name.bytes().map(same).zip(*b"x-tegata-").all(|(one, other)| one == other)
}

fn denied(refusal: &Refusal, request_id: &str) -> CheckResponse {
    let code = match refusal {
        Refusal::Conditions(_) | Refusal::TooLong => Code::InvalidArgument,
        Refusal::NoToken | Refusal::Invalid => Code::Unauthenticated,
        Refusal::Denied => Code::PermissionDenied,
        Refusal::Unknown => Code::Unavailable,
    };
    let mut headers = vec![
        overwrite("content-type", "application/json"),
        overwrite("x-line-request-id", request_id),
    ];
    if refusal.has_challenge() {
        headers.push(overwrite("www-authenticate", CHALLENGE));
    }
    if refusal.may_be_repeated() {
        headers.push(overwrite("retry-after", RETRY_AFTER));
    }
    let body = match refusal {
        Refusal::Conditions(bad) => {
            serde_json::json!({ "message": format!("{bad}; {CONDITIONS}") }).to_string()
        }
        _ => refusal.body(),
    };
    let status = HttpStatus { code: refusal.status().as_u16().into() };
    let denied = DeniedHttpResponse { status: Some(status), headers, body };
    CheckResponse {
        status: Some(Status { code: code.into() }),
        http_response: Some(HttpResponse::Denied(denied)),
    }
}

/// A header in place of all of its name; an empty one, too.
fn overwrite(name: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_owned(),
            value: value.to_owned(),
            raw_value: Vec::new(),
        }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        keep_empty_value: true,
    }
}
