//! Errors, with the next step.

use super::PageHead;
use crate::{
    Frame,
    html::{Bdi, Html, Id},
    pieces::sentence,
};
use askama::Template;

/// What a request has met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such page, or none that the person may see.
    NotFound,
    /// The person may see the object, and may not do this; the names of the Admins there.
    Forbidden(Vec<String>),
    /// A form was sent by another site.
    Foreign,
    /// The form is none of ours; the detail says why, in English.
    BadRequest(String),
    /// The present state does not allow it; the detail says why.
    Conflict(String),
    /// A limit is exceeded for so many seconds.
    TooMany(u64),
    /// The server does not do it now, and has changed nothing; the detail says why.
    NotNow(String),
    /// Whether it was done is not known.
    Unavailable,
    /// The same form was sent before, and whether it was carried out is not known.
    SentBefore,
    /// A bug.
    Internal,
}

/// An error.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    page: PageHead,
    trouble: Trouble,
    request: Option<String>,
    again: Option<FormAgain>,
    back: Option<String>,
}

/// A form that can be sent again, since its act is done once.
#[derive(Debug, Clone)]
pub struct FormAgain {
    /// Where it goes.
    pub action: String,
    /// Its fields.
    pub fields: Vec<(String, String)>,
}

impl ErrorPage {
    /// The page of an error, with the id of its request.
    #[must_use]
    pub fn new(frame: Frame, trouble: Trouble, request: Option<String>) -> Self {
        let t = &frame.t().error;
        let heading = match trouble {
            Trouble::NotFound => t.not_found,
            Trouble::Forbidden(_) => t.forbidden,
            Trouble::Foreign => t.foreign,
            Trouble::BadRequest(_) => t.bad_request,
            Trouble::Conflict(_) => t.conflict,
            Trouble::TooMany(_) => t.too_many,
            Trouble::NotNow(_) => t.not_now,
            Trouble::Unavailable | Trouble::SentBefore => t.unavailable,
            Trouble::Internal => t.internal,
        };
        Self {
            page: PageHead::new(frame, None, heading),
            trouble,
            request,
            again: None,
            back: None,
        }
    }

    /// The same, with the form to send again.
    #[must_use]
    pub fn again(self, again: Option<FormAgain>) -> Self {
        Self { again, ..self }
    }

    /// The same, with the page to go back to.
    #[must_use]
    pub fn back(self, back: Option<String>) -> Self {
        Self { back, ..self }
    }

    fn why(&self) -> String {
        let t = &self.page.frame.t().error;
        match &self.trouble {
            Trouble::NotFound => t.not_found_why.to_owned(),
            Trouble::Forbidden(_) => t.forbidden_why.to_owned(),
            Trouble::Foreign => t.foreign_why.to_owned(),
            Trouble::BadRequest(_) => t.bad_request_why.to_owned(),
            Trouble::Conflict(_) => t.conflict_why.to_owned(),
            Trouble::TooMany(seconds) => {
                let seconds = i64::try_from(*seconds).unwrap_or(i64::MAX);
                (t.too_many_why)(&self.page.frame.times().length(seconds))
            }
            Trouble::NotNow(_) => t.not_now_why.to_owned(),
            Trouble::Unavailable => t.unavailable_why.to_owned(),
            Trouble::SentBefore => t.sent_before_why.to_owned(),
            Trouble::Internal => t.internal_why.to_owned(),
        }
    }

    /// The server's own words, which are in English.
    fn detail(&self) -> Option<String> {
        match &self.trouble {
            Trouble::BadRequest(detail) | Trouble::Conflict(detail) | Trouble::NotNow(detail) => {
                Some(sentence(detail))
            }
            _ => None,
        }
    }

    fn is_unknown(&self) -> bool {
        matches!(self.trouble, Trouble::Unavailable | Trouble::SentBefore)
    }

    /// The people who can help.
    fn admins(&self) -> Option<Html> {
        let Trouble::Forbidden(names) = &self.trouble else { return None };
        let t = self.page.frame.t();
        let names: Vec<_> = names.iter().map(|it| Bdi(it).to_string()).collect();
        let all = Html::trusted(names.join(t.token.comma));
        (!names.is_empty()).then(|| (t.error.admins)(all))
    }

    fn request_id(&self) -> Option<Html> {
        let id = self.request.as_ref()?;
        Some((self.page.frame.t().error.request)(crate::html!("{}", Id(id))))
    }
}
