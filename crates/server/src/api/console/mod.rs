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
mod form_pages;
mod gate;
mod groups;
#[cfg(feature = "openid-connect")]
mod identity;
mod ids;
mod invitation;
mod kept;
mod leak_desk;
mod live;
mod make;
mod notice;
mod once;
mod overview;
mod pager;
mod people;
mod providers;
mod receipts;
mod revoke;
mod role_change;
mod roles;
mod routes;
mod sent;
mod settings;
mod shown;
mod sign_in;
mod signing_keys;
mod tokens;
mod verifiers;
mod visit;

use crate::{api::app::App, authority::Authority};
use axum::{Extension, extract::State};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    response::{IntoResponse, Response},
};
use failure::Failure;
use form_pages::FormPages;
use http::Method;
use http::StatusCode;
use routes::{Routes, get, post};
use std::sync::Arc;
use tegata_console::Template;
use visit::{SignedIn, Visit, redirect};

/// What the handlers share.
pub struct Console {
    authority: Arc<Authority>,
    /// Whether the server is for trials.
    dev: bool,
    /// Pages as they were sent.
    kept: Arc<KeptPages>,
    /// Which addresses have a page.
    form_pages: FormPages,
}

impl Console {
    /// Whether people can sign in by an identity provider.
    #[cfg(feature = "openid-connect")]
    fn signs_in_by_identity(&self) -> bool {
        self.authority.openid().is_some()
    }

    /// Whether people can sign in by an identity provider: not with this program.
    #[cfg(not(feature = "openid-connect"))]
    fn signs_in_by_identity(&self) -> bool {
        false
    }
}

/// The address of the leak desk, which takes longer texts of people who are signed in.
pub const LEAK_DESK: &str = "/console/leak-desk";
pub use leak_desk::LONGEST_FORM as LONGEST_LEAK;

/// The prefix of the console.
pub(super) const CONSOLE: &str = "/console";

pub use gate::{bare_error, is_signed_in, kept_page};
pub use kept::KeptPages;

/// Whether this path belongs to the console, whose errors are pages.
pub fn serves(path: &str) -> bool {
    path.strip_prefix(CONSOLE).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The routes below `/console`, whose pages are kept there.
pub fn router(app: &App, kept: &Arc<KeptPages>) -> Router {
    let console = Arc::new(Console {
        authority: app.authority.clone(),
        dev: app.dev,
        kept: kept.clone(),
        form_pages: FormPages::of_routes(),
    });
    all()
        .router
        .fallback(async |_: SignedIn| Failure::not_found())
        .method_not_allowed_fallback(of_form)
        // Bodies are read before, up to the length that the path allows.
        .layer(DefaultBodyLimit::max(leak_desk::LONGEST_FORM))
        .layer(middleware::from_fn_with_state(console.clone(), gate::guard))
        .with_state(console)
}

/// A path that takes forms only, opened by its address: its page, which is where the form is.
async fn of_form(
    State(console): State<Arc<Console>>,
    Extension(visit): Extension<Visit>,
    method: Method,
) -> Answer {
    match method {
        Method::GET | Method::HEAD => Ok(redirect(&console.form_pages.of_form(&visit.here))),
        _ if visit.session.is_none() => Err(Failure::SignedOut),
        _ => Err(Failure::not_found()),
    }
}

/// All routes.
fn all() -> Routes {
    let all = ROUTES.iter().chain(channel::ROUTES);
    #[cfg(feature = "openid-connect")]
    let all = all.chain(identity::ROUTES);
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
    |it| {
        let both = get(account::ask_unlink).post(account::unlink);
        it.route("/account/identity/unlink", both)
    },
    |it| it.route("/account/password", post(account::change_password)),
    |it| it.route("/account/tokens", post(account::create_token)),
    |it| {
        let both = get(account::ask_delete_token).post(account::delete_token);
        it.route("/account/tokens/{admin_token}/delete", both)
    },
    |it| it.route("/settings", post(settings::set)),
    |it| it.route("/", get(overview::show)),
    |it| it.route("/channels/{channel}/tokens", get(tokens::list)),
    |it| it.route("/channels/{channel}/tokens/{token}", get(tokens::show)),
    |it| it.route("/channels/{channel}/revoke", get(revoke::review).post(revoke::revoke)),
    |it| it.route("/channels/{channel}/groups", get(groups::list)),
    |it| it.route("/channels/{channel}/groups/{group}", get(groups::show).post(groups::set)),
    |it| {
        let path = "/channels/{channel}/groups/{group}/delete";
        it.route(path, get(groups::review).post(groups::delete))
    },
    |it| it.route("/leak-desk", get(leak_desk::start).post(leak_desk::look_up)),
    |it| it.route("/verifiers", get(verifiers::list)),
    |it| it.route("/verifiers/new", get(verifiers::form).post(verifiers::create)),
    |it| it.route("/verifiers/{verifier}/created", get(verifiers::created)),
    |it| {
        let path = "/verifiers/{verifier}/delete";
        it.route(path, get(verifiers::review_delete).post(verifiers::delete))
    },
    |it| {
        let path = "/verifiers/{verifier}/instances/{instance}/remove";
        it.route(path, get(verifiers::review_remove).post(verifiers::remove))
    },
    |it| it.route("/signing-keys", get(signing_keys::list)),
    |it| {
        let path = "/signing-keys/rotate";
        it.route(path, get(signing_keys::review_rotate).post(signing_keys::rotate))
    },
    |it| {
        let path = "/signing-keys/{key}/revoke";
        it.route(path, get(signing_keys::review_revoke).post(signing_keys::revoke))
    },
    |it| it.route("/receipts/{position}", get(receipts::show)),
    |it| it.route("/receipts/{position}/events", get(receipts::events)),
    |it| it.route("/receipts/{position}/signed", get(receipts::download)),
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
    |it| {
        let both = get(role_change::ask_in_provider).post(role_change::change_in_provider);
        it.route("/providers/{provider}/roles/{person}", both)
    },
    |it| {
        let both = get(roles::of_channel).post(roles::give_in_channel);
        it.route("/channels/{channel}/roles", both)
    },
    |it| it.route("/channels/{channel}/roles/invitations", post(roles::invite_to_channel)),
    |it| {
        let both = get(role_change::ask_in_channel).post(role_change::change_in_channel);
        it.route("/channels/{channel}/roles/{person}", both)
    },
    |it| {
        let both = get(role_change::ask_leave).post(role_change::leave);
        it.route("/channels/{channel}/leave", both)
    },
    |it| it.route("/channels/{channel}/audit", get(audit::of_channel)),
    |it| it.route("/audit", get(audit::of_all)),
    |it| it.route("/audit/verify", get(audit::verify)),
    |it| it.route("/people", get(people::list)),
    |it| it.route("/people/invitations", post(people::invite_operator)),
    |it| it.route("/people/{person}", get(people::show)),
    |it| {
        let both = get(role_change::ask_in_authority).post(role_change::change_in_authority);
        it.route("/people/{person}/role", both)
    },
    |it| it.route("/people/{person}/disable", get(people::ask_disable).post(people::disable)),
    |it| it.route("/people/{person}/enable", post(people::enable)),
    |it| it.route("/people/{person}/unlink", get(people::ask_unlink).post(people::unlink)),
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

/// Renders the page of a form that cannot be accepted as it was sent.
fn render_wrong(page: &impl Template) -> Answer {
    Ok((StatusCode::UNPROCESSABLE_ENTITY, render(page)?).into_response())
}
