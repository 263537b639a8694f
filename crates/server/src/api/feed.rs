//! The feed for verifiers: snapshots, changes and reports of uses. `docs/feed.md` is its
//! description.

use super::{app::App, form, header::bearer, reply};
use crate::authority::feed::{Encoding, FeedResponse, Refused};
use axum::{
    Router,
    body::Body,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::body::{Frame, SizeHint};
use std::{
    borrow::Cow,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    vec,
};
use tegata_token::feed::{BadParameter, ChangesQuery, FeedQuery, UsageReport, VERSION};

/// `/feed/snapshot`, `/feed/changes` and `/feed/usage`.
pub fn router() -> Router<Arc<App>> {
    let snapshot =
        async |State(app): State<Arc<App>>, RawQuery(query): RawQuery, headers: HeaderMap| {
            let answer = snapshot(&app, &headers, query.as_deref().unwrap_or("")).await;
            respond(&app, "snapshot", answer)
        };
    let changes =
        async |State(app): State<Arc<App>>, RawQuery(query): RawQuery, headers: HeaderMap| {
            let answer = changes(&app, headers, query.unwrap_or_default()).await;
            respond(&app, "changes", answer)
        };
    let usage = async |State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes| {
        let answer = usage(&app, &headers, &body).await;
        respond(&app, "usage", answer)
    };
    Router::new()
        .route("/feed/snapshot", get(snapshot))
        .route("/feed/changes", get(changes))
        .route(super::USAGE, post(usage))
}

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

/// A response; `None` has no body.
type Answer = Result<Option<FeedResponse>, Failure>;

async fn snapshot(app: &App, headers: &HeaderMap, query: &str) -> Answer {
    let verifier = app.authority.verifier_of(bearer(headers)).await?;
    let pairs = pairs(query)?;
    let query = FeedQuery::parse(borrowed(&pairs))?;
    Ok(Some(app.authority.feed_snapshot(verifier, query, encoding(headers)).await?))
}

async fn changes(app: &App, headers: HeaderMap, query: String) -> Answer {
    let verifier = app.authority.verifier_of(bearer(&headers)).await?;
    let asked = ChangesQuery::parse(borrowed(&pairs(&query)?))?;
    let encoding = encoding(&headers);
    // The headers keep the buffer of the connection alive, for as long as the hold.
    drop((headers, query));
    Ok(Some(app.authority.feed_changes(verifier, asked, encoding).await?))
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
    let accepts = |it: &str| {
        let mut parts = it.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let weight = |it: &str| it.strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok());
        is_gzip && !parts.any(|it| weight(it) == Some(0.0))
    };
    let all = headers.get_all(header::ACCEPT_ENCODING).iter();
    let mut offers = all.filter_map(|it| it.to_str().ok()).flat_map(|it| it.split(','));
    if offers.any(accepts) { Encoding::Gzip } else { Encoding::Plain }
}

fn respond(app: &App, operation: &'static str, answer: Answer) -> Response {
    let response = match answer {
        Ok(None) => StatusCode::NO_CONTENT.into_response(),
        Ok(Some(FeedResponse { parts, encoding })) => whole(parts, encoding),
        Err(failure) => refused(failure),
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

/// The response with this body. Its parts are sent as they are: a snapshot is not copied.
fn whole(parts: Vec<Bytes>, encoding: Encoding) -> Response {
    let length: usize = parts.iter().map(Bytes::len).sum();
    let mut response = Response::new(Body::new(Parts { left: length, parts: parts.into_iter() }));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if encoding == Encoding::Gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn refused(failure: Failure) -> Response {
    let (status, words) = match &failure {
        // A later version that this server does not speak, not a malformed number.
        Failure::Parameter(bad) if speaks_another(bad) => {
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
    reply.into_response()
}

fn speaks_another(bad: &BadParameter) -> bool {
    bad.name == "speaks" && bad.problem.contains("this server speaks")
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
