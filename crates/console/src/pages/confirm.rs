//! The page before an act that takes something away: what it would take, and the form that
//! does it.

use super::{FoundToken, PageHead, TokenTable, found::found_list};
use crate::{forms::Field, html::Html};
use askama::Template;

/// A notice with a heading.
#[derive(Debug, Clone)]
pub struct Note {
    /// `bad`, `warn` or `ok`.
    pub class: &'static str,
    /// The most important words.
    pub heading: Html,
    /// The rest.
    pub text: Html,
}

/// An act that takes something away, before it is done.
#[derive(Debug, Clone)]
pub struct ActToConfirm {
    /// Where the form goes.
    pub action: String,
    /// The fields of the form that the person chose on the page before.
    pub hidden: Vec<(&'static str, String)>,
    /// What the act makes if it is done, encrypted; the address of the page has no part of it.
    pub drawn: Option<String>,
    /// What must be known before.
    pub notes: Vec<Note>,
    /// The tokens that it would revoke, of an act that can revoke some.
    pub tokens: Option<TokenTable>,
    /// Whether the form asks for a reason.
    pub reasons: bool,
    /// Whether it asks for how long to wait for verifiers.
    pub waits: bool,
    /// What was entered as the reason before.
    pub reason: Field,
    /// Asks for a code of the authenticator, since the sign-in was too long ago.
    pub again: Option<Field>,
    /// The verb and the object.
    pub button: Html,
    /// Whether it takes something away, so that its button warns.
    pub takes: bool,
    /// Where to go without doing it, and that in words.
    pub keep: (String, &'static str),
    /// The same act on the command line.
    pub commands: Vec<String>,
    /// What could be done instead.
    pub alternatives: Vec<(String, Html)>,
    /// The other tokens that the leak desk found, from which the person comes.
    pub found: Vec<FoundToken>,
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "confirm.html")]
pub struct ConfirmPage {
    page: PageHead,
    act: ActToConfirm,
}

impl ConfirmPage {
    /// The page of an act; its heading is a question with the object and the count.
    #[must_use]
    pub fn new(page: PageHead, act: ActToConfirm) -> Self {
        let t = page.frame.t();
        let reason = ("reason", t.confirm.reason, &act.reason);
        let again = act.again.iter().map(|it| ("again", t.sign_in.code, it));
        Self { page: page.checked([reason].into_iter().chain(again)), act }
    }

    fn found(&self) -> Html {
        found_list(&self.page.frame, &self.act.found)
    }

    fn tokens(&self) -> Option<Html> {
        self.act.tokens.as_ref().map(|it| it.html(&self.page.frame))
    }
}

/// The choices of how long to wait for verifiers, in seconds.
const WAITS: [u64; 4] = [10, 30, 60, 0];
/// The one that is selected at first.
const USUAL_WAIT: u64 = 30;
