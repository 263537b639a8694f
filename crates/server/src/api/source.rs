//! Gives a handler the source address of its request.

use crate::authority::source::Source;
use axum::extract::FromRequestParts;
use http::request::Parts;
use std::{convert::Infallible, net::Ipv4Addr};

/// The HTTP server puts it into each request. A request without that layer, in a test,
/// has the unspecified address.
impl<S: Sync> FromRequestParts<S> for Source {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let nowhere = Self(Ipv4Addr::UNSPECIFIED.into());
        Ok(parts.extensions.get().copied().unwrap_or(nowhere))
    }
}
