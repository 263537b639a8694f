//! Signing in by an identity provider.

use super::PageHead;
use crate::{
    Frame,
    forms::{Field, Input},
    html::{Bdi, Html},
};
use askama::Template;

/// The page that goes on to the identity provider by itself.
#[derive(Debug, Template)]
#[template(path = "continue.html")]
pub struct ContinuePage {
    page: PageHead,
    to: String,
}

impl ContinuePage {
    /// The page that goes on to `to`, another site.
    #[must_use]
    pub fn new(frame: Frame, to: String) -> Self {
        let heading = frame.t().identity.continue_title;
        Self { page: PageHead::new(frame, None, heading), to }
    }
}

/// The form for the code, after the identity provider has signed the person in.
#[derive(Debug, Template)]
#[template(path = "identity_code.html")]
pub struct IdentityCodePage {
    page: PageHead,
    code: Field,
}

impl IdentityCodePage {
    /// The form; `account` is how the provider names the person.
    #[must_use]
    pub fn new(frame: Frame, account: String, code: Field) -> Self {
        let t = &frame.t().identity;
        let (heading, lead) = (t.code_title, (t.code_lead)(Bdi(&account)));
        let label = frame.t().sign_in.code;
        let page = PageHead::new(frame, None, heading).lead(lead);
        Self { page: page.checked([("code", label, &code)]), code }
    }

    fn code(&self) -> Html {
        let t = &self.page.frame.t().sign_in;
        Input::new("code", t.code, &self.code).hint(t.code_hint).code().html()
    }
}
