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
}

impl SignInPage {
    /// The form; after the sign-in the browser goes to `next`.
    #[must_use]
    pub fn new(frame: Frame, login: Field, next: String) -> Self {
        let heading = frame.t().sign_in.title;
        Self { page: PageHead::new(frame, None, heading), login, next }
    }
}
