//! Gives a handler the source address of its request.

use crate::authority::source::Source;
use axum::extract::FromRequestParts;
use http::{Extensions, request::Parts};
use std::{convert::Infallible, net::Ipv4Addr};

impl Source {
    /// The HTTP server puts it into each request. A request without that layer, in a test,
    /// has the unspecified address.
    pub(in crate::api) fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or(Self(Ipv4Addr::UNSPECIFIED.into()))
    }
}

impl<S: Sync> FromRequestParts<S> for Source {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}
