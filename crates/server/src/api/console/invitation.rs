//! Accepting an invitation.

use super::{Answer, Console, failure::Failure, render, sent::Sent, visit::Visit};
use crate::authority::admin::{Error, OpenedInvitation};
use axum::{Extension, extract::State, response::IntoResponse};
use http::StatusCode;
use std::sync::Arc;
use tegata_console::{
    forms::Field,
    pages::{AcceptPage, InvitationPage, RecoveryCodesPage, ToAccept},
};
use tegata_policy::{password, secret::PlainSecret};
use tegata_store::Error as StoreError;
use zxcvbn::zxcvbn;

/// The form that takes an invitation.
pub async fn form(Extension(visit): Extension<Visit>) -> Answer {
    render(&InvitationPage::new(visit.frame(), Field::default()))
}

/// Shows what an invitation is for, with a fresh secret for the second factor.
pub async fn open(
    State(console): State<Arc<Console>>,
    Extension(visit): Extension<Visit>,
    sent: Sent,
) -> Answer {
    let invitation = invitation(&sent)?;
    match console.authority.open_invitation(&invitation).await {
        Ok(opened) => render(&AcceptPage::new(settled(&visit), to_accept(&invitation, opened))),
        Err(error) => unknown(&console, &visit, error),
    }
}

/// The invitation that was entered: alone, or the link that has it.
fn invitation(sent: &Sent) -> Result<PlainSecret, Failure> {
    let form = sent.form()?;
    let text = form.get("invitation").unwrap_or_default().trim();
    let alone = text.rsplit_once('#').map_or(text, |(_, behind)| behind);
    Ok(PlainSecret::from_caller(alone.to_owned()))
}

fn to_accept(invitation: &PlainSecret, opened: OpenedInvitation) -> ToAccept {
    ToAccept {
        login: opened.person.login,
        name: opened.person.name,
        expires_at: opened.expires_at,
        invitation: invitation.reveal().to_owned(),
        totp_secret: opened.totp_secret.reveal().to_owned(),
        password: Field::default(),
        code: Field::default(),
        strength: None,
    }
}

/// The frame of a page that a form has made: the settings return to the page before.
pub fn settled(visit: &Visit) -> tegata_console::Frame {
    tegata_console::Frame { here: "/console/invitation".to_owned(), ..visit.frame() }
}

/// The form again: an unknown invitation counts as a guess.
fn unknown(console: &Console, visit: &Visit, error: Error) -> Answer {
    let Error::Store(StoreError::NotFound(_)) = error else { return Err(error.into()) };
    if let Some(source) = visit.source {
        console.authority.wrong_administrator(source);
    }
    let wrong = Field::default().wrong(visit.language.texts().invitation.unknown);
    let page = InvitationPage::new(settled(visit), wrong);
    Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&page)?).into_response())
}

/// Sets the password and the second factor, and shows the recovery codes.
pub async fn accept(
    State(console): State<Arc<Console>>,
    Extension(visit): Extension<Visit>,
    sent: Sent,
) -> Answer {
    let invitation = invitation(&sent)?;
    let form = sent.form()?;
    let [password, secret, code] = ["password", "totp_secret", "code"]
        .map(|it| PlainSecret::from_caller(form.get(it).unwrap_or_default().to_owned()));
    let opened = match console.authority.open_invitation(&invitation).await {
        Ok(opened) => opened,
        Err(error) => return unknown(&console, &visit, error),
    };
    let names = [opened.person.login.as_str(), opened.person.name.as_str()];
    let strength = zxcvbn(password.reveal(), &names).score().into();
    let fits = password::check(&password, names[0], names[1]);
    let second = (&secret, &code);
    let accepted =
        console.authority.accept_invitation(&invitation, password, second, visit.source).await;
    let wrong_code = match accepted {
        Ok(accepted) => {
            let codes = accepted.recovery_codes.iter().map(|it| it.reveal().to_owned()).collect();
            return render(&RecoveryCodesPage::new(settled(&visit), codes, strength));
        }
        Err(Error::Unacceptable(..)) => fits.is_ok(),
        Err(error) => return unknown(&console, &visit, error),
    };
    let t = &visit.language.texts().invitation;
    let wrong = |is: bool, why: &str| match is {
        true => Field::default().wrong(why),
        false => Field::default(),
    };
    let it = ToAccept {
        totp_secret: secret.reveal().to_owned(),
        password: wrong(fits.is_err(), t.password_wrong),
        code: wrong(wrong_code, t.code_wrong),
        strength: Some(strength),
        ..to_accept(&invitation, opened)
    };
    let page = AcceptPage::new(settled(&visit), it);
    Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&page)?).into_response())
}
