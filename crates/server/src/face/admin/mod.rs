//! The administrators' API.

use crate::{authority::Authority, config::AdminToken};
use axum::Router;
use std::sync::Arc;

/// The routes below `/admin/v1`.
pub fn router(_authority: Arc<Authority>, _admin_token: AdminToken) -> Router {
    Router::new()
}
