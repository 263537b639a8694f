//! What a form sent.

use super::{Console, failure::Failure, shown::line};
use crate::api::form::{BadForm, Form};
use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
};
use std::sync::Arc;

/// The body of a form.
pub struct Sent(Bytes);

impl FromRequest<Arc<Console>> for Sent {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &Arc<Console>) -> Result<Self, Failure> {
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, state).await.map_err(Failure::bad_request)?;
        Form::of_body(&headers, &body).map_err(Failure::bad_request)?;
        Ok(Self(body))
    }
}

impl Sent {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its fields.
    ///
    /// # Errors
    /// None: the extractor has read them before.
    pub fn form(&self) -> Result<Form<'_>, Failure> {
        Form::parse(&self.0).map_err(|it: BadForm| Failure::bad_request(it))
    }
}

/// A name: 1 to 100 characters that show something, without those that control a terminal or
/// the direction of writing.
pub fn name(entered: Option<&str>) -> Option<String> {
    line(entered?, 100)
}
