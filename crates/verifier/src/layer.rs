//! A `tower` layer that verifies the bearer token of each request.
//!
//! The inner service finds the token's claims as a [`VerifiedToken`] in the request's
//! extensions. All other requests are answered with 401, 403 or 503, as by the authority's
//! own `/gateway/verify`.

use crate::{
    driver::{NotAccepted, TokenVerifier, VerifiedToken},
    standing::Use,
};
use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use std::{
    future::Future,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tegata_token::{
    id::{ChannelId, Group},
    kind::Kind,
    wire::LONGEST,
};
use tower::{Layer, Service};

/// Verifies the bearer token of each request.
#[derive(Clone)]
pub struct VerifyLayer {
    verifier: TokenVerifier,
    wanted: Use,
    conditions: Arc<Conditions>,
    source: fn(&Extensions) -> Option<IpAddr>,
}

/// The conditions that a token must meet; an empty list means no condition.
#[derive(Clone, Default)]
struct Conditions {
    kinds: Vec<Kind>,
    channels: Vec<ChannelId>,
    groups: Vec<Group>,
}

impl VerifyLayer {
    /// A layer that lets all active tokens through.
    #[must_use]
    pub fn new(verifier: TokenVerifier) -> Self {
        let wanted = verifier.own_use();
        Self { verifier, wanted, conditions: Arc::default(), source: |_| None }
    }

    /// Verifies for this use in place of that of the settings.
    #[must_use]
    pub fn with_use(mut self, wanted: Use) -> Self {
        self.verifier.add_use(wanted);
        self.wanted = wanted;
        self
    }

    /// Lets only tokens of this kind through, or of another one that was added.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        Arc::make_mut(&mut self.conditions).kinds.push(kind);
        self
    }

    /// Lets only tokens of this channel through, or of another one that was added.
    #[must_use]
    pub fn channel(mut self, channel: ChannelId) -> Self {
        Arc::make_mut(&mut self.conditions).channels.push(channel);
        self
    }

    /// Lets only tokens of this group through, or of another one that was added.
    #[must_use]
    pub fn group(mut self, group: Group) -> Self {
        Arc::make_mut(&mut self.conditions).groups.push(group);
        self
    }

    /// Reads the client's address, for the reports of uses, from the request's extensions.
    #[must_use]
    pub fn source(mut self, source: fn(&Extensions) -> Option<IpAddr>) -> Self {
        self.source = source;
        self
    }

    /// Verifies the token of a request.
    async fn verify(
        &self,
        token: &[u8],
        source: Option<IpAddr>,
    ) -> Result<VerifiedToken, Rejection> {
        if token.len() > LONGEST {
            return Err(Rejection::TooLong);
        }
        let verified = self.verifier.verify_for(token, self.wanted).await?;
        if !self.conditions.are_met_by(&verified) {
            return Err(Rejection::Conditions);
        }
        self.verifier.record_use(&verified.claims, source);
        Ok(verified)
    }
}

impl Conditions {
    fn are_met_by(&self, VerifiedToken { claims, .. }: &VerifiedToken) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&claims.kind))
            && (self.channels.is_empty() || self.channels.contains(&claims.channel))
            && (self.groups.is_empty()
                || claims.group.as_ref().is_some_and(|group| self.groups.contains(group)))
    }
}

/// Why a request does not reach the inner service.
enum Rejection {
    NoToken,
    TooLong,
    Invalid,
    Conditions,
    Unknown,
}

impl From<NotAccepted> for Rejection {
    fn from(denied: NotAccepted) -> Self {
        match denied {
            NotAccepted::Invalid(_) | NotAccepted::Inactive => Self::Invalid,
            NotAccepted::Unknown(_) => Self::Unknown,
        }
    }
}

impl Rejection {
    fn response<B: From<String>>(&self) -> Response<B> {
        const CHALLENGE: HeaderValue = HeaderValue::from_static(r#"Bearer error="invalid_token""#);
        const SOON: HeaderValue = HeaderValue::from_static("1");
        type Header = Option<(HeaderName, HeaderValue)>;
        let (status, words, header): (_, _, Header) = match self {
            Self::NoToken => (
                StatusCode::UNAUTHORIZED,
                "Authorization header required. Must follow the scheme, 'Authorization: Bearer <ACCESS TOKEN>'",
                Some((WWW_AUTHENTICATE, CHALLENGE)),
            ),
            Self::Invalid => (
                StatusCode::UNAUTHORIZED,
                "Authentication failed. Confirm that the access token in the authorization header is valid.",
                Some((WWW_AUTHENTICATE, CHALLENGE)),
            ),
            Self::TooLong => {
                (StatusCode::BAD_REQUEST, "The access token is longer than 8192 bytes", None)
            }
            Self::Conditions => (StatusCode::FORBIDDEN, "Access Denied", None),
            Self::Unknown => {
                (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable", Some((RETRY_AFTER, SOON)))
            }
        };
        // None of the words has a character that JSON escapes.
        let mut response = Response::new(B::from(format!(r#"{{"message":"{words}"}}"#)));
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response.headers_mut().extend(header);
        response
    }
}

/// The token of the one `Authorization` header.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

impl<S> Layer<S> for VerifyLayer {
    type Service = VerifyService<S>;
    fn layer(&self, inner: S) -> VerifyService<S> {
        VerifyService { layer: self.clone(), inner }
    }
}

/// A service behind a [`VerifyLayer`].
#[derive(Clone)]
pub struct VerifyService<S> {
    layer: VerifyLayer,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for VerifyService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: From<String>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let layer = self.layer.clone();
        // The instance that was polled is the one that is ready.
        let ready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, ready);
        Box::pin(async move {
            let source = (layer.source)(request.extensions());
            let verified = match bearer(request.headers()) {
                Some(token) => layer.verify(token, source).await,
                None => Err(Rejection::NoToken),
            };
            match verified {
                Ok(verified) => {
                    request.extensions_mut().insert(verified);
                    inner.call(request).await
                }
                Err(rejection) => Ok(rejection.response()),
            }
        })
    }
}
