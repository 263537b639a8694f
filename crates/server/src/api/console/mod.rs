//! The console, `/console`: pages for people, rendered by `tegata_console`.
//!
//! A handler parses its request, calls one method of
//! [`Admin`](crate::authority::admin::Admin), fills a page's value and renders it; it holds no
//! rule. It obtains `Admin` only through [`visit::SignedIn`], which authenticates the request,
//! so no page can omit that. [`gate`] is in front of every route: it rejects forms of other
//! sites, renders errors as pages, and adds the headers.

mod assets;
mod cookie;
mod failure;
mod gate;
mod leak_desk;
mod notice;
mod overview;
mod receipts;
mod revoke;
mod sent;
mod settings;
mod shown;
mod sign_in;
mod tokens;
mod visit;

use crate::{api::app::App, authority::Authority};
use axum::{
    Router, middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use failure::Failure;
use std::sync::Arc;
use tegata_console::Template;
use visit::SignedIn;

/// What the handlers share.
pub struct Console {
    authority: Arc<Authority>,
    /// Whether the server is for trials.
    dev: bool,
}

/// The address of the leak desk, which takes longer texts, and how long its form can be.
pub const LEAK_DESK: (&str, usize) = ("/console/leak-desk", leak_desk::LONGEST_FORM);

/// The prefix of the console.
pub(super) const CONSOLE: &str = "/console";

/// The routes below `/console`.
pub fn router(app: &App) -> Router {
    let console = Arc::new(Console { authority: app.authority.clone(), dev: app.dev });
    let routes = ROUTES.iter().fold(Router::new(), |router, add| add(router));
    routes
        .fallback(async |_: SignedIn| Failure::not_found())
        .method_not_allowed_fallback(async |_: SignedIn| Failure::not_found())
        .layer(middleware::from_fn_with_state(console.clone(), gate::guard))
        .with_state(console)
}

type Routes = Router<Arc<Console>>;

/// The routes of each page.
const ROUTES: &[fn(Routes) -> Routes] = &[
    |it| it.route("/assets/{name}", get(assets::show)),
    |it| it.route("/sign-in", get(sign_in::form).post(sign_in::sign_in)),
    |it| it.route("/sign-out", post(sign_in::sign_out)),
    |it| it.route("/settings", post(settings::set)),
    |it| it.route("/", get(overview::show)),
    |it| it.route("/channels/{channel}/tokens", get(tokens::list)),
    |it| it.route("/channels/{channel}/tokens/{token}", get(tokens::show)),
    |it| it.route("/channels/{channel}/revoke", get(revoke::review).post(revoke::revoke)),
    |it| it.route("/leak-desk", get(leak_desk::start).post(leak_desk::look_up)),
    |it| it.route("/receipts/{position}", get(receipts::show)),
    |it| it.route("/receipts/{position}/events", get(receipts::events)),
    |it| it.route("/receipts/{position}/signed", get(receipts::download)),
];

/// The result of a handler: a response, or what a page of an error shows.
type Answer = Result<Response, Failure>;

/// Renders a page.
fn render(page: &impl Template) -> Answer {
    let html = page.render().map_err(|error| Failure::internal(&error))?;
    Ok(([("content-type", "text/html; charset=utf-8")], html).into_response())
}
