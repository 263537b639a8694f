//! The feed for verifiers: snapshots, changes and reports of uses. `docs/feed.md` is its
//! description.
//!
//! The HTTP server handles requests for changes without the router: a change of the log is
//! answered to thousands of followers at once, each of which asks again.

use super::{
    app::App,
    form,
    header::bearer,
    reply::{self, Reply},
};
use crate::authority::{
    feed::{Encoding, FeedResponse, Refused},
    source::Source,
};
use axum::{
    Router,
    body::Body,
    extract::{RawQuery, State},
    response::IntoResponse,
    routing::{get, post},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::body::{Frame, SizeHint};
use std::{
    borrow::Cow,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    vec,
};
use tegata_gateway::bearer::token;
use tegata_store::VerifierRow;
use tegata_token::feed::{BadParameter, ChangesQuery, FeedQuery, UsageReport, VERSION};

/// The path of requests for changes.
pub const CHANGES: &str = "/feed/changes";

/// `/feed/snapshot`, `/feed/changes` and `/feed/usage`.
pub fn router() -> Router<Arc<App>> {
    let snapshot = async |State(app): State<Arc<App>>,
                          source: Source,
                          RawQuery(query): RawQuery,
                          headers: HeaderMap| {
        let answer = snapshot(&app, source, &headers, query.as_deref().unwrap_or("")).await;
        respond(&app, "snapshot", answer).map(Body::new)
    };
    let changes = async |State(app): State<Arc<App>>,
                         source: Source,
                         RawQuery(query): RawQuery,
                         headers: HeaderMap| {
        let asked = ask_for_changes(&app, source, &headers, query.as_deref().unwrap_or("")).await;
        drop((headers, query));
        changes(&app, asked).await.map(Body::new)
    };
    let usage = async |State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes| {
        let answer = usage(&app, &headers, &body).await;
        respond(&app, "usage", answer).map(Body::new)
    };
    Router::new()
        .route("/feed/snapshot", get(snapshot))
        .route(CHANGES, get(changes))
        .route(super::USAGE, post(usage))
}

/// A response: with a body in one piece, or of several parts.
pub type FeedReply = Response<Either<Full<Bytes>, Body>>;

/// Why a request is not answered.
enum Failure {
    Refused(Refused),
    Parameter(BadParameter),
    Malformed(String),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<BadParameter> for Failure {
    fn from(bad: BadParameter) -> Self {
        Self::Parameter(bad)
    }
}

/// Authenticates the sender of a report, before its body is read.
///
/// # Errors
/// The response to a request that is refused.
pub async fn authenticate(app: &App, headers: &HeaderMap) -> Result<(), Reply> {
    let known = app.authority.verifier_of(bearer(headers)).await;
    known.map(drop).map_err(|why| {
        let reply = refused(why.into());
        app.metrics.feed.count("usage", reply.status().as_u16());
        reply
    })
}

/// A response; `None` has no body.
type Answer = Result<Option<FeedResponse>, Failure>;

async fn snapshot(app: &App, source: Source, headers: &HeaderMap, query: &str) -> Answer {
    let verifier = app.authority.verifier_of(bearer(headers)).await?;
    let pairs = pairs(query)?;
    let query = FeedQuery::parse(borrowed(&pairs))?;
    Ok(Some(app.authority.feed_snapshot(verifier, query, encoding(headers), source).await?))
}

/// A request for changes, as it was read: it refers to no part of the request's text, which
/// would keep the buffer of the connection alive for as long as the hold.
pub struct AskedChanges(Result<(Arc<VerifierRow>, ChangesQuery, Encoding), Failure>, Source);

impl AskedChanges {
    fn read(
        verifier: Result<Arc<VerifierRow>, Refused>,
        query: &str,
        encoding: Encoding,
    ) -> Result<(Arc<VerifierRow>, ChangesQuery, Encoding), Failure> {
        let verifier = verifier?;
        let asked = match form::plain_pairs(query) {
            Some(fields) => ChangesQuery::parse(fields)?,
            None => ChangesQuery::parse(borrowed(&pairs(query)?))?,
        };
        Ok((verifier, asked, encoding))
    }
}

/// Authenticates and reads a request for changes.
pub async fn ask_for_changes(
    app: &App,
    source: Source,
    headers: &HeaderMap,
    query: &str,
) -> AskedChanges {
    let verifier = app.authority.verifier_of(bearer(headers)).await;
    AskedChanges(AskedChanges::read(verifier, query, encoding(headers)), source)
}

/// The same from the values of the only `Authorization` and `Accept-Encoding`, without
/// waiting; `None`: the server must learn more first.
pub fn ask_at_once(
    app: &App,
    source: Source,
    authorization: Option<&[u8]>,
    accept_encoding: Option<&[u8]>,
    query: &str,
) -> Option<AskedChanges> {
    let verifier = app.authority.verifier_at_once(authorization.and_then(token))?;
    let encoding = encoding_of(accept_encoding.into_iter());
    Some(AskedChanges(AskedChanges::read(verifier, query, encoding), source))
}

/// Answers a request for changes, at the end of its hold at the latest.
pub async fn changes(app: &App, asked: AskedChanges) -> FeedReply {
    answer_changes(app, asked).await.map_or_else(|refused| refused, whole)
}

/// The same, before it is written; an error is the response to a request that is refused.
///
/// # Errors
/// The request is refused.
pub async fn answer_changes(
    app: &App,
    AskedChanges(asked, source): AskedChanges,
) -> Result<FeedResponse, FeedReply> {
    let answer = match asked {
        Ok((verifier, asked, encoding)) => {
            let answer = app.authority.feed_changes(verifier, asked, encoding, source).await;
            answer.map_err(Failure::from)
        }
        Err(failure) => Err(failure),
    };
    let answer = answer.map_err(|failure| refused(failure).map(Either::Left));
    let status = answer.as_ref().map_or_else(Response::status, |_| StatusCode::OK);
    app.metrics.feed.count("changes", status.as_u16());
    answer
}

async fn usage(app: &App, headers: &HeaderMap, body: &[u8]) -> Answer {
    let verifier = app.authority.verifier_of(bearer(headers)).await?;
    let report = UsageReport::parse(body).map_err(|why| Failure::Malformed(why.to_string()))?;
    app.authority.feed_usage(&verifier, report).await?;
    Ok(None)
}

fn pairs(query: &str) -> Result<Vec<form::Pair<'_>>, Failure> {
    form::pairs(query.as_bytes()).map_err(|bad| Failure::Malformed(bad.to_string()))
}

fn borrowed<'a>(
    pairs: &'a [(Cow<'a, str>, Cow<'a, str>)],
) -> impl Iterator<Item = (&'a str, &'a str)> {
    pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
}

/// Whether the client takes gzip. A weight of zero means that it does not (RFC 9110,
/// section 12.5.3).
fn encoding(headers: &HeaderMap) -> Encoding {
    encoding_of(headers.get_all(header::ACCEPT_ENCODING).iter().map(HeaderValue::as_bytes))
}

fn encoding_of<'a>(values: impl Iterator<Item = &'a [u8]>) -> Encoding {
    let accepts = |it: &str| {
        let mut parts = it.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let weight = |it: &str| it.strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok());
        is_gzip && !parts.any(|it| weight(it) == Some(0.0))
    };
    let texts = values.filter_map(|it| std::str::from_utf8(it).ok());
    let mut offers = texts.flat_map(|it| it.split(','));
    if offers.any(accepts) { Encoding::Gzip } else { Encoding::Plain }
}

fn respond(app: &App, operation: &'static str, answer: Answer) -> FeedReply {
    let response = match answer {
        Ok(None) => StatusCode::NO_CONTENT.into_response().map(Either::Right),
        Ok(Some(answer)) => whole(answer),
        Err(failure) => refused(failure).map(Either::Left),
    };
    app.metrics.feed.count(operation, response.status().as_u16());
    response
}

/// A body of several parts.
struct Parts {
    left: usize,
    parts: vec::IntoIter<Bytes>,
}

impl hyper::body::Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.parts.next();
        self.left -= next.as_ref().map_or(0, Bytes::len);
        Poll::Ready(next.map(|it| Ok(Frame::data(it))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

/// The headers of a response that is not refused, but for its length.
pub fn headers(encoding: Encoding) -> impl Iterator<Item = (HeaderName, &'static str)> {
    let gzip = (encoding == Encoding::Gzip).then_some((header::CONTENT_ENCODING, "gzip"));
    let all = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "Accept-Encoding"),
    ];
    all.into_iter().chain(gzip)
}

/// The response with this body. Its parts are sent as they are: a snapshot is not copied.
pub fn whole(FeedResponse { mut parts, encoding }: FeedResponse) -> FeedReply {
    let length: usize = parts.iter().map(Bytes::len).sum();
    let body = match (parts.len(), parts.pop()) {
        (1, Some(one)) => Either::Left(Full::new(one)),
        (_, last) => {
            parts.extend(last);
            Either::Right(Body::new(Parts { left: length, parts: parts.into_iter() }))
        }
    };
    let mut response = Response::new(body);
    let map = response.headers_mut();
    map.insert(header::CONTENT_LENGTH, length.into());
    map.extend(headers(encoding).map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

fn refused(failure: Failure) -> Reply {
    let (status, words) = match &failure {
        // A later version that this server does not speak, not a malformed number.
        Failure::Parameter(bad) if bad.is_other_version => {
            (StatusCode::UPGRADE_REQUIRED, bad.to_string())
        }
        Failure::Parameter(bad) => (StatusCode::BAD_REQUEST, bad.to_string()),
        Failure::Malformed(why) => (StatusCode::BAD_REQUEST, why.clone()),
        Failure::Refused(refused) => (status(refused), refused.to_string()),
    };
    let mut reply = match status {
        StatusCode::SERVICE_UNAVAILABLE => {
            tracing::debug!(why = words, "a verifier gets no answer");
            reply::unavailable()
        }
        StatusCode::TOO_MANY_REQUESTS => reply::retry_after(reply::message(status, &words), 1),
        StatusCode::UNAUTHORIZED => {
            let challenge = r#"Bearer error="invalid_token""#;
            reply::with(reply::message(status, &words), header::WWW_AUTHENTICATE, challenge)
        }
        StatusCode::UPGRADE_REQUIRED => {
            let upgrade = HeaderValue::from(VERSION);
            let mut reply = reply::message(status, &words);
            reply.headers_mut().insert("tegata-feed", upgrade);
            reply
        }
        _ => reply::message(status, &words),
    };
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

fn status(refused: &Refused) -> StatusCode {
    match refused {
        Refused::Unauthorized => StatusCode::UNAUTHORIZED,
        Refused::Forbidden(_) => StatusCode::FORBIDDEN,
        Refused::Gone(_) => StatusCode::GONE,
        Refused::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
        Refused::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_only_if_the_client_takes_it() {
        let of = |value: &'static str| {
            let headers = [(header::ACCEPT_ENCODING, HeaderValue::from_static(value))];
            encoding(&headers.into_iter().collect())
        };
        for yes in ["gzip", "br, gzip;q=0.5", "GZIP", "deflate,gzip"] {
            assert_eq!(of(yes), Encoding::Gzip, "{yes}");
        }
        for no in ["", "br", "gzip;q=0", "identity, gzip; q=0.0", "xgzip"] {
            assert_eq!(of(no), Encoding::Plain, "{no}");
        }
        assert_eq!(encoding(&HeaderMap::new()), Encoding::Plain);
    }
}
