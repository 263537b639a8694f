//! Accepting an invitation: a password, a second factor, and recovery codes.

use super::{PageHead, strength::strength};
use crate::{
    Frame,
    forms::{Field, Input},
    html::Html,
    pieces::joined,
    qr,
};
use askama::Template;
use tegata_token::time::UnixTime;

/// The form that takes an invitation. A link has it behind `#`, which browsers do not send, so
/// that no log has it; a script moves it into the form.
#[derive(Debug, Template)]
#[template(path = "invitation.html")]
pub struct InvitationPage {
    page: PageHead,
    invitation: Field,
}

impl InvitationPage {
    /// The form; `invitation` never has the value that was entered.
    #[must_use]
    pub fn new(frame: Frame, invitation: Field) -> Self {
        let t = &frame.t().invitation;
        let (heading, lead) = (t.title, t.lead);
        let page = PageHead::new(frame, None, heading).lead(lead);
        Self { page: page.checked([("invitation", t.invitation, &invitation)]), invitation }
    }

    fn field(&self) -> Html {
        let t = &self.page.frame.t().invitation;
        Input::new("invitation", t.invitation, &self.invitation).hint(t.invitation_hint).html()
    }
}

/// The link of a person whose own sign-in was just reset: with the session that did it, any
/// other page has ended.
#[derive(Debug, Template)]
#[template(path = "own_invitation.html")]
pub struct OwnInvitationPage {
    page: PageHead,
    link: String,
}

impl OwnInvitationPage {
    /// The page, in the frame of a browser that is signed out.
    #[must_use]
    pub fn new(frame: Frame, link: String) -> Self {
        let t = &frame.t().invitation;
        let (heading, lead) = (t.own, t.own_lead);
        Self { page: PageHead::new(frame, None, heading).lead(lead), link }
    }
}

/// What an invitation needs to be accepted.
#[derive(Debug, Clone)]
pub struct ToAccept {
    /// The name to sign in with.
    pub login: String,
    /// The display name.
    pub name: String,
    /// When the invitation expires.
    pub expires_at: UnixTime,
    /// The invitation, which the form sends again.
    pub invitation: String,
    /// The secret of the second factor, in base32.
    pub totp_secret: String,
    /// The recovery codes, encrypted.
    pub codes: String,
    /// What is wrong with the password.
    pub password: Field,
    /// What is wrong with the code.
    pub code: Field,
    /// How hard the password that was entered is to guess, from 0 to 4.
    pub strength: Option<u8>,
}

/// The form that accepts an invitation.
#[derive(Debug, Template)]
#[template(path = "accept.html")]
pub struct AcceptPage {
    page: PageHead,
    it: ToAccept,
}

impl AcceptPage {
    /// The form.
    #[must_use]
    pub fn new(frame: Frame, it: ToAccept) -> Self {
        let t = &frame.t().invitation;
        let (heading, lead) = (t.accept, (t.expires)(frame.times().both(it.expires_at)));
        let password = ("password", t.password, &it.password);
        let code = ("code", frame.t().sign_in.code, &it.code);
        let page = PageHead::new(frame, None, heading).lead(lead);
        Self { page: page.checked([password, code]), it }
    }

    fn password(&self) -> Html {
        let t = &self.page.frame.t().invitation;
        let input = Input::new("password", t.password, &self.it.password).hint(t.password_hint);
        input.password("new-password").html()
    }

    fn code(&self) -> Html {
        let t = self.page.frame.t();
        Input::new("code", t.sign_in.code, &self.it.code).hint(t.invitation.code_hint).code().html()
    }

    fn qr(&self) -> Option<Html> {
        let ToAccept { login, totp_secret, .. } = &self.it;
        let address = format!("otpauth://totp/Tegata:{login}?secret={totp_secret}&issuer=Tegata");
        qr::svg(&address, self.page.frame.t().invitation.qr)
    }

    /// The secret in groups of four, for a person who types it; copied, it has no spaces.
    fn secret_in_fours(&self) -> Html {
        let secret: Vec<char> = self.it.totp_secret.chars().collect();
        let four = |it: &[char]| {
            let text: String = it.iter().collect();
            crate::html!("<span class=\"four\">{}</span>", Html::text(&text))
        };
        joined(&secret.chunks(4).map(four).collect::<Vec<_>>())
    }

    fn strength(&self) -> Html {
        strength(&self.page.frame, "password", self.it.strength)
    }
}

/// The recovery codes, which are shown this once.
#[derive(Debug, Template)]
#[template(path = "recovery_codes.html")]
pub struct RecoveryCodesPage {
    page: PageHead,
    codes: Vec<String>,
    strength: u8,
}

impl RecoveryCodesPage {
    /// The codes of a person who has just accepted an invitation.
    #[must_use]
    pub fn new(frame: Frame, codes: Vec<String>, strength: u8) -> Self {
        let heading = frame.t().invitation.codes;
        Self { page: PageHead::new(frame, None, heading), codes, strength }
    }
}
