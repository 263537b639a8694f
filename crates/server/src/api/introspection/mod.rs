//! Token introspection (RFC 7662, signed: RFC 9701): for verifiers whose view is too old, and
//! for channels about their own tokens.

pub mod credential;

use super::{
    app::App,
    form::Form,
    header::{accepts, bearer},
    reply::{self, Reply},
};
use crate::authority::{
    Error,
    feed::{Introspector, Refused},
    source::Source,
};
use axum::{Router, extract::State, routing::post};
use bytes::Bytes;
use credential::{BadCaller, CallerCredential, WHO};
use http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use std::sync::Arc;
use tegata_policy::{
    assertion::{BadAssertion, UnverifiedAssertion},
    denied::Denied,
    secret::PlainSecret,
};
use tegata_token::{
    id::{ChannelId, Group, Position, TokenId},
    kind::Kind,
    time::UnixTime,
};

/// `/oauth2/introspect`.
pub(super) fn router() -> Router<Arc<App>> {
    let introspect = async |State(app): State<Arc<App>>,
                            extensions: Extensions,
                            headers: HeaderMap,
                            body: Bytes| {
        let source = Source::of(&extensions);
        let mut reply = match introspect(&app, source, &headers, &body).await {
            Ok(reply) | Err(reply) => reply,
        };
        app.metrics.feed.count("introspect", reply.status().as_u16());
        let no_store = HeaderValue::from_static("no-store");
        reply.headers_mut().insert(header::CACHE_CONTROL, no_store);
        reply
    };
    Router::new().route("/oauth2/introspect", post(introspect))
}

/// The answer about a token.
#[derive(Serialize)]
struct Introspection {
    active: bool,
    /// The position of the view that the answer was made from: a verifier whose view is
    /// behind it is stale.
    position: Position,
    #[serde(flatten)]
    token: Option<ActiveToken>,
}

/// The facts of an active token.
#[derive(Serialize)]
struct ActiveToken {
    client_id: ChannelId,
    sub: ChannelId,
    token_type: &'static str,
    iss: String,
    jti: TokenId,
    iat: UnixTime,
    exp: UnixTime,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Group>,
}

/// The media type of a signed answer; its `typ` is the part after the slash.
const SIGNED: (&str, &str) = ("application/token-introspection+jwt", "token-introspection+jwt");

async fn introspect(
    app: &App,
    source: Source,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Reply, Reply> {
    let form = Form::of_body(headers, body);
    let caller = authenticate(app, source, headers, form.as_ref().ok()).await?;
    let form = form.map_err(|bad| invalid_request(&bad.to_string()))?;
    let token = form.get("token").ok_or_else(|| invalid_request("token is missing"))?;
    let found = app.authority.introspect(&caller, token.as_bytes()).await;
    let (found, position) = found.map_err(|error| refused(&error))?;
    let token = found.map(|active| {
        let claims = &active.claims;
        super::subject::set(claims.channel);
        ActiveToken {
            client_id: claims.channel,
            sub: claims.channel,
            token_type: "Bearer",
            iss: app.authority.issuer().to_owned(),
            jti: claims.id,
            iat: claims.issued_at,
            exp: active.until,
            kind: claims.kind,
            group: claims.group.clone(),
        }
    });
    let answer = Introspection { active: token.is_some(), position, token };
    // Strings, numbers and booleans can always be written.
    let answer = serde_json::to_value(&answer).unwrap_or_default();
    if !accepts(headers, SIGNED.0) {
        return Ok(reply::json(StatusCode::OK, answer.to_string()));
    }
    let claims = serde_json::json!({ "aud": caller.name(), "token_introspection": answer });
    let signed = app.authority.statement(SIGNED.1, claims).map_err(|error| refused(&error))?;
    Ok(reply::typed(StatusCode::OK, SIGNED.0, signed))
}

/// The verifier of the bearer token, or the channel that authenticates by its secret or by an
/// assertion.
async fn authenticate(
    app: &App,
    source: Source,
    headers: &HeaderMap,
    form: Option<&Form<'_>>,
) -> Result<Introspector, Reply> {
    let presented = credential::read(headers, form).map_err(|bad| match bad {
        BadCaller::Request(words) => invalid_request(&words),
        BadCaller::Client(scheme, words) => unauthorized(scheme, &words),
    })?;
    match presented {
        CallerCredential::Bearer => {
            let verifier = app.authority.verifier_of(bearer(headers)).await;
            verifier.map(Introspector::Verifier).map_err(|why| match why {
                Refused::Unavailable(why) => refused(&Error::Unavailable(why.into())),
                _ => unauthorized("Bearer", WHO),
            })
        }
        CallerCredential::Secret(scheme, id, secret) => {
            by_secret(app, source, (id, &secret), scheme).await
        }
        CallerCredential::Assertion(assertion) => by_assertion(app, &assertion).await,
    }
}

/// By the channel's secret, in the form or in Basic authentication (RFC 6749, section 2.3.1).
async fn by_secret(
    app: &App,
    source: Source,
    (id, secret): (ChannelId, &PlainSecret),
    scheme: &'static str,
) -> Result<Introspector, Reply> {
    match app.authority.check_secret(id, secret).await {
        Ok(channel) => Ok(Introspector::Channel(channel.id, None)),
        Err(Error::Denied(denied)) => match app.authority.after_secret(denied, source, id) {
            Denied::LimitExceeded { seconds } => {
                let status = StatusCode::TOO_MANY_REQUESTS;
                let reply = oauth_error(status, "invalid_client", "too many wrong secrets");
                Err(reply::retry_after(reply, seconds))
            }
            // A channel that is suspended or unknown gets the answer of a wrong secret.
            _ => Err(unauthorized(scheme, WHO)),
        },
        Err(error) => Err(refused(&error)),
    }
}

/// By an assertion (RFC 7523, section 2.2), by the rules for issuing v2.1 tokens.
async fn by_assertion(app: &App, assertion: &UnverifiedAssertion) -> Result<Introspector, Reply> {
    let wrong = |words: &str| unauthorized("Bearer", words);
    match app.authority.check_assertion(assertion).await {
        Ok((channel, group)) => Ok(Introspector::Channel(channel.id, group)),
        // A suspended channel gets the answer of a wrong signature.
        Err(Error::Denied(Denied::Suspended)) => Err(wrong(&BadAssertion::Signature.to_string())),
        Err(Error::Denied(Denied::UnknownChannel | Denied::UnknownAssertionKey)) => {
            Err(wrong("the channel that iss names has no key with this kid"))
        }
        Err(Error::Denied(denied)) => Err(wrong(&denied.to_string())),
        Err(error) => Err(refused(&error)),
    }
}

fn unauthorized(scheme: &'static str, words: &str) -> Reply {
    let reply = oauth_error(StatusCode::UNAUTHORIZED, "invalid_client", words);
    reply::with(reply, header::WWW_AUTHENTICATE, scheme)
}

fn invalid_request(words: &str) -> Reply {
    oauth_error(StatusCode::BAD_REQUEST, "invalid_request", words)
}

fn refused(error: &Error) -> Reply {
    tracing::warn!(%error, "an introspection gets no answer");
    reply::unavailable()
}

fn oauth_error(status: StatusCode, error: &str, words: &str) -> Reply {
    let body = serde_json::json!({ "error": error, "error_description": words });
    reply::json(status, body.to_string())
}
