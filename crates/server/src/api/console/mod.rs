//! The console, `/console`: pages for people, rendered by `tegata_console`.
//!
//! A handler parses its request, calls one method of
//! [`Admin`](crate::authority::admin::Admin), fills a page's value and renders it; it holds no
//! rule. It obtains `Admin` only through [`visit::SignedIn`], which authenticates the request,
//! so no page can omit that. [`gate`] is in front of every route: it rejects forms of other
//! sites, renders errors as pages, and adds the headers.

mod account;
mod assets;
mod audit;
mod channel;
mod confirm;
mod cookie;
mod failure;
mod gate;
mod ids;
mod invitation;
mod notice;
mod once;
mod overview;
mod pager;
mod people;
mod providers;
mod roles;
mod routes;
mod sent;
mod settings;
mod sign_in;
mod visit;

use crate::{api::app::App, authority::Authority};
use axum::{
    Router, middleware,
    response::{IntoResponse, Response},
};
use failure::Failure;
use http::Method;
use routes::{Routes, get, post};
use std::sync::Arc;
use tegata_console::Template;
use visit::SignedIn;

/// What the handlers share.
pub struct Console {
    authority: Arc<Authority>,
    /// Whether the server is for trials.
    dev: bool,
    /// Secrets that the next page shows.
    once: once::OnceShown,
}

/// The prefix of the console.
pub(super) const CONSOLE: &str = "/console";

pub use gate::bare_error;

/// Whether this path belongs to the console, whose errors are pages.
pub fn serves(path: &str) -> bool {
    path.strip_prefix(CONSOLE).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The routes below `/console`.
pub fn router(app: &App) -> Router {
    let console = Arc::new(Console {
        authority: app.authority.clone(),
        dev: app.dev,
        once: Default::default(),
    });
    all()
        .router
        .fallback(async |_: SignedIn| Failure::not_found())
        .method_not_allowed_fallback(async |_: SignedIn| Failure::not_found())
        .layer(middleware::from_fn_with_state(console.clone(), gate::guard))
        .with_state(console)
}

/// All routes.
fn all() -> Routes {
    let all = ROUTES.iter().chain(channel::ROUTES);
    all.fold(Routes::default(), |routes, add| add(routes))
}

/// The paths below `/console` that take this method, with a name for each id.
#[doc(hidden)]
pub fn paths(method: Method) -> impl Iterator<Item = &'static str> {
    let all = all().paths.into_iter();
    all.filter(move |(_, methods)| methods.contains(&method)).map(|(path, _)| path)
}

/// The routes of each page.
const ROUTES: &[fn(Routes) -> Routes] = &[
    |it| it.route("/assets/{name}", get(assets::show)),
    |it| it.route("/sign-in", get(sign_in::form).post(sign_in::sign_in)),
    |it| it.route("/sign-out", post(sign_in::sign_out)),
    |it| it.route("/invitation", get(invitation::form).post(invitation::open)),
    |it| it.route("/invitation/accept", post(invitation::accept)),
    |it| it.route("/account", get(account::show)),
    |it| it.route("/account/sessions", post(account::end_sessions)),
    |it| it.route("/account/password", post(account::change_password)),
    |it| it.route("/account/tokens", post(account::create_token)),
    |it| {
        let both = get(account::ask_delete_token).post(account::delete_token);
        it.route("/account/tokens/{admin_token}/delete", both)
    },
    |it| it.route("/settings", post(settings::set)),
    |it| it.route("/", get(overview::show)),
    |it| it.route("/providers", post(providers::create)),
    |it| it.route("/providers/new", get(providers::new)),
    |it| it.route("/providers/{provider}", get(providers::show)),
    |it| it.route("/providers/{provider}/name", post(providers::rename)),
    |it| {
        let both = get(providers::ask_delete).post(providers::delete);
        it.route("/providers/{provider}/delete", both)
    },
    |it| {
        let both = get(roles::of_provider).post(roles::give_in_provider);
        it.route("/providers/{provider}/roles", both)
    },
    |it| {
        let invite = post(roles::invite_to_provider);
        it.route("/providers/{provider}/roles/invitations", invite)
    },
    |it| it.route("/providers/{provider}/roles/{person}", post(roles::change_in_provider)),
    |it| it.route("/audit", get(audit::of_all)),
    |it| it.route("/audit/verify", get(audit::verify)),
    |it| {
        let both = get(roles::of_channel).post(roles::give_in_channel);
        it.route("/channels/{channel}/roles", both)
    },
    |it| it.route("/channels/{channel}/roles/invitations", post(roles::invite_to_channel)),
    |it| it.route("/channels/{channel}/roles/{person}", post(roles::change_in_channel)),
    |it| it.route("/channels/{channel}/audit", get(audit::of_channel)),
    |it| it.route("/people", get(people::list)),
    |it| it.route("/people/invitations", post(people::invite_operator)),
    |it| it.route("/people/{person}", get(people::show).post(people::change_role)),
    |it| it.route("/people/{person}/disable", get(people::ask_disable).post(people::disable)),
    |it| it.route("/people/{person}/enable", post(people::enable)),
    |it| it.route("/people/{person}/reset", get(people::ask_reset).post(people::reset)),
    |it| it.route("/people/{person}/delete", get(people::ask_delete).post(people::delete)),
    |it| it.route("/providers/{provider}/channels", post(providers::create_channel)),
    |it| it.route("/providers/{provider}/channels/new", get(providers::new_channel)),
];

/// The result of a handler: a response, or what a page of an error shows.
type Answer = Result<Response, Failure>;

/// Renders a page.
fn render(page: &impl Template) -> Answer {
    let html = page.render().map_err(|error| Failure::internal(&error))?;
    Ok(([("content-type", "text/html; charset=utf-8")], html).into_response())
}
