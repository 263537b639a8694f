//! Signing in by an identity provider, and linking an account there.
//!
//! A form begins a flow, so that another site cannot, and its answer is a page that goes on to
//! the provider: browsers apply `form-action` to redirects of a form, too, also to those that
//! the provider makes. What the provider sends back leads to a page without it in the address.

use super::{
    Answer, Console, account,
    confirm::{Wrong, asked},
    cookie,
    failure::Failure,
    notice::Notice,
    render,
    routes::{Routes, get, post},
    sent::Sent,
    settings::within,
    sign_in,
    visit::{SignedIn, Visit, redirect},
};
use crate::{
    api::form::Form,
    authority::{
        admin::{self, IdentityError},
        openid::{
            OpenId, OpenIdError, Returned,
            ticket::{AWAY, BACK, Proven, Purpose},
        },
    },
};
use axum::{
    Extension,
    extract::{RawQuery, State},
    response::IntoResponse,
};
use http::{HeaderMap, StatusCode};
use std::sync::Arc;
use tegata_console::{
    Crumb, Frame, Section,
    forms::Field,
    html::Bdi,
    pages::{ContinuePage, IdentityCodePage, PageHead},
};
use tegata_policy::secret::PlainSecret;
use tegata_store::Error as StoreError;

const CODE: &str = "/console/sign-in/identity/code";
const CONFIRM: &str = "/console/account/identity/confirm";
const ACCOUNT: &str = "/console/account";

/// Its routes.
pub const ROUTES: &[fn(Routes) -> Routes] = &[
    |it| it.route("/sign-in/identity", post(begin)),
    |it| it.route("/sign-in/identity/return", get(arrive)),
    |it| it.route("/sign-in/identity/code", get(ask_code).post(sign_in_with_code)),
    |it| it.route("/account/identity/link", get(ask_link).post(link)),
    |it| it.route("/account/identity/confirm", get(ask_confirm).post(confirm)),
];

impl Console {
    /// The provider; without one, these pages are not there.
    fn provider(&self) -> Result<&OpenId, Failure> {
        self.authority.openid().ok_or_else(Failure::not_found)
    }

    /// Whether browsers reach the console by TLS: the address that the provider returns to
    /// says so, also where a request does not.
    fn is_secure(&self) -> bool {
        self.authority.openid().is_some_and(|it| it.is_secure())
    }

    fn ticket<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        cookie::ticket(headers, self.is_secure())
    }

    fn keep_ticket(&self, visit: &Visit, ticket: &str, seconds: i64) {
        visit.set_cookie(cookie::of_ticket(ticket, seconds, self.is_secure()));
    }

    fn drop_ticket(&self, visit: &Visit) {
        self.keep_ticket(visit, "", 0);
    }
}

/// Sends a browser to the provider, to sign in.
pub async fn begin(
    State(console): State<Arc<Console>>,
    Extension(visit): Extension<Visit>,
    sent: Sent,
) -> Answer {
    console.provider()?;
    let next = within(sent.form()?.get("next")).to_owned();
    match depart(&console, &visit, Purpose::SignIn, next.clone()).await {
        Ok(page) => render(&page),
        Err(error) => refused(&console, &visit, next, error),
    }
}

async fn depart(
    console: &Console,
    visit: &Visit,
    purpose: Purpose,
    next: String,
) -> Result<ContinuePage, IdentityError> {
    // A cookie has at most 4 KiB.
    let next = if next.len() <= 1_000 { next } else { "/console".to_owned() };
    let departure = console.authority.depart(purpose, next).await?;
    console.keep_ticket(visit, &departure.ticket, AWAY);
    let frame = Frame { here: "/console".to_owned(), ..visit.frame() };
    Ok(ContinuePage::new(frame, departure.to))
}

/// Takes a browser back from the provider.
pub async fn arrive(
    State(console): State<Arc<Console>>,
    Extension(mut visit): Extension<Visit>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answer {
    console.provider()?;
    let query = query.unwrap_or_default();
    let query = Form::parse(query.as_bytes()).map_err(Failure::bad_request)?;
    let returned = Returned {
        state: query.get("state"),
        code: query.get("code"),
        iss: query.get("iss"),
        error: query.get("error"),
    };
    let ticket = console.ticket(&headers);
    // A ticket is used once, whatever comes of it.
    console.drop_ticket(&visit);
    // Changing the language does not lead back to it.
    visit.here = "/console/sign-in".to_owned();
    let arrived = match console.authority.arrive(ticket, returned, visit.source).await {
        Ok(arrived) => arrived,
        Err(error) => return refused(&console, &visit, "/console".to_owned(), error),
    };
    match arrived.proven.purpose {
        Purpose::Link(_) => {
            console.keep_ticket(&visit, &arrived.ticket, BACK);
            Ok(redirect(CONFIRM))
        }
        Purpose::SignIn if console.authority.asks_for_code() => {
            if let Err(error) = console.authority.is_linked(&arrived.proven).await {
                return refused(&console, &visit, arrived.proven.next, error);
            }
            console.keep_ticket(&visit, &arrived.ticket, BACK);
            Ok(redirect(CODE))
        }
        Purpose::SignIn => finish(&console, &visit, arrived.proven, None).await,
    }
}

/// Begins the session.
async fn finish(
    console: &Console,
    visit: &Visit,
    proven: Proven,
    code: Option<&PlainSecret>,
) -> Answer {
    let by = console.authority.sign_in_by_identity(proven.clone(), code, visit.source);
    match by.await {
        Ok(session) => {
            console.drop_ticket(visit);
            sign_in::begin_anew(visit, &session, console.is_secure()).await;
            Ok(redirect(within(Some(&proven.next))))
        }
        // The account remains proven for another code.
        Err(IdentityError::Admin(error)) if code.is_some() => {
            let wrong = visit.language.texts().confirm.again_wrong;
            let (status, why) = sign_in::why(visit, error, wrong)?;
            let page = code_page(visit, &proven, Field::default().wrong(why));
            Ok((status, render(&page)?).into_response())
        }
        Err(error) => refused(console, visit, proven.next, error),
    }
}

/// Asks for the code, after the provider has signed the person in.
pub async fn ask_code(
    State(console): State<Arc<Console>>,
    Extension(visit): Extension<Visit>,
    headers: HeaderMap,
) -> Answer {
    console.provider()?;
    match console.authority.proven(console.ticket(&headers)) {
        Ok(proven) => render(&code_page(&visit, &proven, Field::default())),
        Err(error) => refused(&console, &visit, "/console".to_owned(), error),
    }
}

fn code_page(visit: &Visit, proven: &Proven, code: Field) -> IdentityCodePage {
    let frame = Frame { here: CODE.to_owned(), ..visit.frame() };
    IdentityCodePage::new(frame, named(proven).to_owned(), code)
}

/// How an account is shown.
fn named(proven: &Proven) -> &str {
    proven.label.as_deref().unwrap_or(&proven.identity.subject)
}

/// Signs in with the code.
pub async fn sign_in_with_code(
    State(console): State<Arc<Console>>,
    Extension(visit): Extension<Visit>,
    headers: HeaderMap,
    sent: Sent,
) -> Answer {
    console.provider()?;
    let code = sent.form()?.get("code").unwrap_or_default().to_owned();
    let code = PlainSecret::from_caller(code);
    match console.authority.proven(console.ticket(&headers)) {
        Ok(proven) => finish(&console, &visit, proven, Some(&code)).await,
        Err(error) => refused(&console, &visit, "/console".to_owned(), error),
    }
}

/// What is wrong, in words.
fn why(visit: &Visit, error: IdentityError) -> Result<(StatusCode, String), Failure> {
    let t = &visit.language.texts().identity;
    let (status, text) = match error {
        IdentityError::OpenId(OpenIdError::NotBegun) => (StatusCode::CONFLICT, t.not_begun),
        IdentityError::OpenId(OpenIdError::Declined) => {
            (StatusCode::UNPROCESSABLE_ENTITY, t.declined)
        }
        IdentityError::OpenId(OpenIdError::Unavailable) => {
            (StatusCode::SERVICE_UNAVAILABLE, t.unavailable)
        }
        IdentityError::OpenId(OpenIdError::Invalid) => {
            (StatusCode::UNPROCESSABLE_ENTITY, t.invalid)
        }
        IdentityError::Unlinked => (StatusCode::UNPROCESSABLE_ENTITY, t.unlinked),
        IdentityError::Admin(error) => {
            return sign_in::why(visit, error, visit.language.texts().sign_in.wrong);
        }
    };
    Ok((status, text.to_owned()))
}

/// The sign-in, with what is wrong.
fn refused(console: &Console, visit: &Visit, next: String, error: IdentityError) -> Answer {
    let (status, why) = why(visit, error)?;
    let page = sign_in::page(console, visit, Field::default(), next).wrong_identity(why);
    Ok((status, render(&page)?).into_response())
}

/// Asks before a person's own account is linked: for a code, if the sign-in is not recent.
pub async fn ask_link(State(console): State<Arc<Console>>, who: SignedIn) -> Answer {
    asking(&console, &who, "link", None, Wrong::default())
}

fn asking(
    console: &Console,
    who: &SignedIn,
    step: &str,
    proven: Option<&Proven>,
    wrong: Wrong,
) -> Answer {
    let openid = console.provider()?;
    let (frame, t) = (who.frame(), who.frame().t());
    let crumbs = [Crumb::new(ACCOUNT, t.frame.account), Crumb::new("", t.identity.link)];
    let issuer = &openid.settings().issuer;
    let (heading, lead) = match proven {
        Some(it) => (
            (t.identity.confirm_question)(Bdi(named(it))),
            (t.identity.confirm_lead)(Bdi(&it.identity.subject), Bdi(&it.identity.issuer)),
        ),
        None => ((t.identity.link_question)(Bdi(issuer)), t.identity.link_lead.into()),
    };
    let page = PageHead::new(frame, Some(Section::Account), heading).below(crumbs).lead(lead);
    let mut act = who.act(format!("{ACCOUNT}/identity/{step}"), t.identity.link, wrong);
    (act.reasons, act.waits) = (false, false);
    act.keep = (ACCOUNT.to_owned(), t.identity.link_keep);
    asked(page, act)
}

/// Sends the browser to the provider, to prove the account.
pub async fn link(State(console): State<Arc<Console>>, mut who: SignedIn, sent: Sent) -> Answer {
    console.provider()?;
    if let Err(code) = who.prove(&sent.form()?).await? {
        let wrong = Wrong { code: Some(code), ..Wrong::default() };
        return asking(&console, &who, "link", None, wrong);
    }
    let purpose = Purpose::Link(who.person.id);
    match depart(&console, &who.visit, purpose, ACCOUNT.to_owned()).await {
        Ok(page) => render(&page),
        Err(error) => not_linked(&console, &who, error).await,
    }
}

/// The own account, with why nothing was linked.
async fn not_linked(console: &Console, who: &SignedIn, error: IdentityError) -> Answer {
    console.drop_ticket(&who.visit);
    let t = &who.frame().t().identity;
    let (status, why) = match error {
        IdentityError::Admin(admin::Error::Store(StoreError::Conflict(_))) => {
            (StatusCode::CONFLICT, t.taken.to_owned())
        }
        other => why(&who.visit, other)?,
    };
    Ok((status, account::with_identity_wrong(console, who, why).await?).into_response())
}

/// Shows the account that was proven, before it is linked.
pub async fn ask_confirm(
    State(console): State<Arc<Console>>,
    who: SignedIn,
    headers: HeaderMap,
) -> Answer {
    console.provider()?;
    match console.authority.proven(console.ticket(&headers)) {
        Ok(it) => asking(&console, &who, "confirm", Some(&it), Wrong::default()),
        Err(error) => not_linked(&console, &who, error).await,
    }
}

/// Links the account that was proven.
pub async fn confirm(
    State(console): State<Arc<Console>>,
    mut who: SignedIn,
    headers: HeaderMap,
    sent: Sent,
) -> Answer {
    console.provider()?;
    let proven = match console.authority.proven(console.ticket(&headers)) {
        Ok(proven) => proven,
        Err(error) => return not_linked(&console, &who, error).await,
    };
    if let Err(code) = who.prove(&sent.form()?).await? {
        let wrong = Wrong { code: Some(code), ..Wrong::default() };
        return asking(&console, &who, "confirm", Some(&proven), wrong);
    }
    match who.admin.link_identity(proven).await {
        Ok(()) => {
            console.drop_ticket(&who.visit);
            Ok(who.done(Notice::Saved, ACCOUNT))
        }
        Err(error) => not_linked(&console, &who, error).await,
    }
}
