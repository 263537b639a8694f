//! A `tower` layer that verifies the bearer token of each request.
//!
//! The inner service finds the token's claims as a [`VerifiedToken`] in the request's
//! extensions. All other requests are answered with 401, 403 or 503, as by the authority's
//! own `/gateway/verify`.

use crate::{
    driver::{NotAccepted, TokenVerifier, VerifiedToken},
    gate::{admit, fits},
    standing::Use,
};
use futures_util::future::Either;
use http::{Extensions, HeaderMap, Request, Response};
use std::{
    future::{Future, Ready, ready},
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tegata_gateway::{bearer::bearer, conditions::Conditions, decision::Refusal};
use tegata_token::{
    id::{ChannelId, Group},
    kind::Kind,
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

    /// Verifies the token of a request from memory; `None` if the authority is to be asked.
    fn recall(
        &self,
        headers: &HeaderMap,
        source: Option<IpAddr>,
    ) -> Option<Result<VerifiedToken, Refusal>> {
        match token(headers) {
            Ok(token) => Some(self.conclude(self.verifier.recall(token, self.wanted)?, source)),
            Err(refusal) => Some(Err(refusal)),
        }
    }

    /// Verifies the token of a request, and asks the authority if need be.
    async fn verify(
        &self,
        headers: &HeaderMap,
        source: Option<IpAddr>,
    ) -> Result<VerifiedToken, Refusal> {
        let verified = self.verifier.verify_for(token(headers)?, self.wanted).await;
        self.conclude(verified, source)
    }

    fn conclude(
        &self,
        verified: Result<VerifiedToken, NotAccepted>,
        source: Option<IpAddr>,
    ) -> Result<VerifiedToken, Refusal> {
        let verified = admit(verified, &self.conditions)?;
        self.verifier.record_use(&verified.claims, source);
        Ok(verified)
    }
}

/// The token of a request.
fn token(headers: &HeaderMap) -> Result<&[u8], Refusal> {
    fits(bearer(headers).ok_or(Refusal::NoToken)?)
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

/// The response: a refusal, that of the inner service, or one after the authority was asked.
pub type VerifyFuture<R, E, F> = Either<
    Ready<Result<Response<R>, E>>,
    Either<F, Pin<Box<dyn Future<Output = Result<Response<R>, E>> + Send>>>,
>;

impl<S, B, R> Service<Request<B>> for VerifyService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: From<String>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = VerifyFuture<R, S::Error, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let source = (self.layer.source)(request.extensions());
        // Nearly always from memory: then nothing is cloned or allocated here.
        if let Some(verified) = self.layer.recall(request.headers(), source) {
            return match verified {
                Ok(verified) => {
                    request.extensions_mut().insert(verified);
                    Either::Right(Either::Left(self.inner.call(request)))
                }
                Err(refusal) => Either::Left(ready(Ok(refusal.response()))),
            };
        }
        let layer = self.layer.clone();
        // The instance that was polled is the one that is ready.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Either::Right(Either::Right(Box::pin(async move {
            match layer.verify(request.headers(), source).await {
                Ok(verified) => {
                    request.extensions_mut().insert(verified);
                    inner.call(request).await
                }
                Err(refusal) => Ok(refusal.response()),
            }
        })))
    }
}
