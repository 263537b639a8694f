//! What the operations with a form take from their request.

use super::app::App;
use crate::authority::source::Source;
use axum::{
    extract::{FromRequest, Request},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::HeaderMap;
use std::sync::Arc;

/// A call of an operation, whose form is not parsed yet.
pub struct Call {
    pub app: Arc<App>,
    pub source: Source,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl FromRequest<Arc<App>> for Call {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        let headers = request.headers().clone();
        let source = Source::of(request.extensions());
        // The HTTP layer bounds the body's length and has read it.
        let body = Bytes::from_request(request, app).await.map_err(IntoResponse::into_response)?;
        Ok(Self { app: app.clone(), source, headers, body })
    }
}
