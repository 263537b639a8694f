//! Routes that can be listed, so that a test of all pages covers a new one by itself.

use super::Console;
use axum::{
    Router,
    handler::Handler,
    routing::{self, MethodRouter},
};
use http::Method;
use std::sync::Arc;

/// The routes of the console, and what they are.
#[derive(Default)]
pub struct Routes {
    /// The routes.
    pub router: Router<Arc<Console>>,
    /// Their paths, without the prefix, with their methods.
    pub paths: Vec<(&'static str, Vec<Method>)>,
}

impl Routes {
    /// Adds a route.
    pub fn route(mut self, path: &'static str, methods: Methods) -> Self {
        self.paths.push((path, methods.all));
        Self { router: self.router.route(path, methods.router), ..self }
    }
}

/// The handlers of a path.
pub struct Methods {
    router: MethodRouter<Arc<Console>>,
    all: Vec<Method>,
}

/// A page.
pub fn get<H: Handler<T, Arc<Console>>, T: 'static>(page: H) -> Methods {
    Methods { router: routing::get(page), all: vec![Method::GET] }
}

/// What takes a form.
pub fn post<H: Handler<T, Arc<Console>>, T: 'static>(act: H) -> Methods {
    Methods { router: routing::post(act), all: vec![Method::POST] }
}

impl Methods {
    /// The same, which takes a form, too.
    pub fn post<H: Handler<T, Arc<Console>>, T: 'static>(mut self, act: H) -> Self {
        self.all.push(Method::POST);
        Self { router: self.router.post(act), ..self }
    }
}
