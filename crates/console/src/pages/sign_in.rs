//! Signing in.

use super::PageHead;
use crate::{Frame, forms::Field};
use askama::Template;

/// The form to sign in with.
#[derive(Debug, Template)]
#[template(path = "sign_in.html")]
pub struct SignInPage {
    page: PageHead,
    login: Field,
    next: String,
    /// Whether there is an identity provider to sign in by.
    by_identity: bool,
    /// Why that did not succeed.
    wrong_identity: Option<String>,
}

impl SignInPage {
    /// The form; after the sign-in the browser goes to `next`.
    #[must_use]
    pub fn new(frame: Frame, login: Field, next: String) -> Self {
        let heading = frame.t().sign_in.title;
        let label = frame.t().sign_in.login;
        let page = PageHead::new(frame, None, heading).checked([("login", label, &login)]);
        Self { page, login, next, by_identity: false, wrong_identity: None }
    }

    /// The same, with a button to sign in by an identity provider, if there is one.
    #[must_use]
    pub fn by_identity(self, by_identity: bool) -> Self {
        Self { by_identity, ..self }
    }

    /// The same, with why that did not succeed.
    #[must_use]
    pub fn wrong_identity(self, why: String) -> Self {
        let label = self.page.frame.t().identity.sign_in;
        let wrong = Field::default().wrong(why.clone());
        let page = self.page.checked([("identity", label, &wrong)]);
        Self { page, wrong_identity: Some(why), ..self }
    }
}
