//! Signing in and out.

use super::{
    Answer, Console, cookie,
    failure::Failure,
    render,
    sent::Sent,
    settings::within,
    visit::{SignedIn, Visit, redirect},
};
use crate::{
    api::form::Form,
    authority::admin::{self, NewSession},
};
use axum::{
    Extension,
    extract::{RawQuery, State},
    response::IntoResponse,
};
use http::StatusCode;
use std::sync::Arc;
use tegata_console::{forms::Field, pages::SignInPage};
use tegata_policy::secret::PlainSecret;

/// The form.
pub async fn form(
    State(console): State<Arc<Console>>,
    Extension(visit): Extension<Visit>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = query.unwrap_or_default();
    let query = Form::parse(query.as_bytes()).map_err(Failure::bad_request)?;
    let next = within(query.get("next"));
    match visit.session {
        Some(_) => Ok(redirect(next)),
        None => render(&page(&console, &visit, Field::default(), next.to_owned())),
    }
}

/// The page, with a button of the identity provider if there is one.
pub fn page(console: &Console, visit: &Visit, login: Field, next: String) -> SignInPage {
    SignInPage::new(visit.frame(), login, next).by_identity(console.signs_in_by_identity())
}

/// Begins a session, always with a new token: one that was there before ends.
pub async fn sign_in(
    State(console): State<Arc<Console>>,
    Extension(visit): Extension<Visit>,
    sent: Sent,
) -> Answer {
    let form = sent.form()?;
    let next = within(form.get("next")).to_owned();
    let login = form.get("login").unwrap_or_default().trim().to_owned();
    let [password, code] = ["password", "code"]
        .map(|it| PlainSecret::from_caller(form.get(it).unwrap_or_default().to_owned()));
    match console.authority.sign_in(login.clone(), password, &code, visit.source).await {
        Ok(session) => {
            begin_anew(&visit, &session, visit.tls).await;
            Ok(redirect(&next))
        }
        Err(error) => refused(&console, &visit, login, next, error),
    }
}

/// Ends the session that the browser has, and gives it another one; `tls`: whether the browser
/// uses TLS.
pub async fn begin_anew(visit: &Visit, NewSession { token, session }: &NewSession, tls: bool) {
    if let Some((admin, _)) = &visit.session {
        // It may have ended meanwhile.
        let _ = admin.sign_out().await;
    }
    let seconds = session.expires_at.since(visit.now);
    visit.set_cookie(cookie::of_session(token.reveal(), seconds, tls));
}

/// The form again, with what is wrong.
fn refused(
    console: &Console,
    visit: &Visit,
    login: String,
    next: String,
    error: admin::Error,
) -> Answer {
    let wrong = visit.language.texts().sign_in.wrong;
    let (status, why) = why(visit, error, wrong)?;
    let page = page(console, visit, Field::of(login).wrong(why), next);
    Ok((status, render(&page)?).into_response())
}

/// What is wrong, in words; `wrong` are those for a sign-in that is not right.
pub fn why(
    visit: &Visit,
    error: admin::Error,
    wrong: &str,
) -> Result<(StatusCode, String), Failure> {
    let t = &visit.language.texts().sign_in;
    Ok(match error {
        admin::Error::WrongSignIn => (StatusCode::UNPROCESSABLE_ENTITY, wrong.to_owned()),
        admin::Error::TooManySignIns(seconds) => {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            let length = visit.frame().times().length(seconds);
            (StatusCode::TOO_MANY_REQUESTS, (t.too_many)(&length))
        }
        admin::Error::Busy => (StatusCode::SERVICE_UNAVAILABLE, t.busy.to_owned()),
        other => return Err(other.into()),
    })
}

/// Ends the session.
pub async fn sign_out(who: SignedIn) -> Answer {
    who.admin.sign_out().await?;
    who.visit.forget_session();
    Ok(redirect("/console/sign-in"))
}
