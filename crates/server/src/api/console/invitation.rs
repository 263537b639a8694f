//! Accepting an invitation.

use super::{Answer, Console, failure::Failure, render, sent::Sent, visit::Visit};
use crate::authority::admin::{Accepted, DrawnCodes, Error, OpenedInvitation};
use axum::{Extension, extract::State, response::IntoResponse};
use http::StatusCode;
use std::sync::Arc;
use tegata_console::{
    forms::Field,
    pages::{AcceptPage, InvitationPage, RecoveryCodesPage, ToAccept},
};
use tegata_policy::{acts::PersonRow, password, secret::PlainSecret};
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
        Ok(opened) => {
            let it = to_accept(&console, &invitation, opened)?;
            render(&AcceptPage::new(settled(&visit), it))
        }
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

fn to_accept(
    console: &Console,
    invitation: &PlainSecret,
    opened: OpenedInvitation,
) -> Result<ToAccept, Failure> {
    Ok(ToAccept {
        login: opened.person.login,
        name: opened.person.name,
        expires_at: opened.expires_at,
        invitation: invitation.reveal().to_owned(),
        totp_secret: opened.totp_secret.reveal().to_owned(),
        codes: console.authority.encrypted(&opened.drawn)?,
        password: Field::default(),
        code: Field::default(),
        strength: None,
    })
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

/// What accepts an invitation.
struct Acceptance {
    invitation: PlainSecret,
    password: PlainSecret,
    totp_secret: PlainSecret,
    code: PlainSecret,
    drawn: Option<DrawnCodes>,
}

impl Acceptance {
    fn of(console: &Console, sent: &Sent) -> Result<Self, Failure> {
        let form = sent.form()?;
        let [password, totp_secret, code] = ["password", "totp_secret", "code"]
            .map(|it| PlainSecret::from_caller(form.get(it).unwrap_or_default().to_owned()));
        let drawn = console.authority.opened(form.get("codes"))?;
        Ok(Self { invitation: invitation(sent)?, password, totp_secret, code, drawn })
    }

    fn second(&self) -> (&PlainSecret, &PlainSecret) {
        (&self.totp_secret, &self.code)
    }

    /// What the form that was sent before has got, as the first one of a double click: its page
    /// was not shown.
    async fn before(&self, console: &Console) -> Result<Option<Accepted>, Failure> {
        let Some(drawn) = &self.drawn else { return Ok(None) };
        let (authority, password) = (&console.authority, self.password.clone());
        Ok(authority.accepted_before(password, self.second(), drawn).await?)
    }

    /// How hard the password of this person is to guess.
    fn strength(&self, person: &PersonRow) -> u8 {
        zxcvbn(self.password.reveal(), &[person.login.as_str(), person.name.as_str()])
            .score()
            .into()
    }
}

/// Sets the password and the second factor, and shows the recovery codes.
pub async fn accept(
    State(console): State<Arc<Console>>,
    Extension(visit): Extension<Visit>,
    sent: Sent,
) -> Answer {
    let it = Acceptance::of(&console, &sent)?;
    let accepted = match console.authority.open_invitation(&it.invitation).await {
        Ok(opened) => {
            let (password, drawn) = (it.password.clone(), it.drawn.as_ref());
            let by = console.authority.accept_invitation(
                &it.invitation,
                password,
                it.second(),
                drawn,
                visit.source,
            );
            match by.await {
                Err(Error::Unacceptable(..)) => return again(&console, &visit, &it, opened),
                accepted => accepted,
            }
        }
        Err(error) => Err(error),
    };
    let accepted = match accepted {
        Err(Error::Store(StoreError::NotFound(what))) => match it.before(&console).await? {
            Some(before) => Ok(before),
            None => Err(StoreError::NotFound(what).into()),
        },
        accepted => accepted,
    };
    match accepted {
        Ok(Accepted { person, recovery_codes }) => {
            let codes = recovery_codes.iter().map(|it| it.reveal().to_owned()).collect();
            render(&RecoveryCodesPage::new(settled(&visit), codes, it.strength(&person)))
        }
        Err(error) => unknown(&console, &visit, error),
    }
}

/// The form again, with what is wrong: the password, or else the code.
fn again(console: &Console, visit: &Visit, sent: &Acceptance, opened: OpenedInvitation) -> Answer {
    let t = &visit.language.texts().invitation;
    let person = &opened.person;
    let fits = password::check(&sent.password, &person.login, &person.name).is_ok();
    let (password, code) = match fits {
        false => (Field::default().wrong(t.password_wrong), Field::default()),
        true => (Field::default(), Field::default().wrong(t.code_wrong)),
    };
    let strength = Some(sent.strength(person));
    let it = to_accept(console, &sent.invitation, opened)?;
    let totp_secret = sent.totp_secret.reveal().to_owned();
    let it = ToAccept { totp_secret, password, code, strength, ..it };
    let page = AcceptPage::new(settled(visit), it);
    Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&page)?).into_response())
}
