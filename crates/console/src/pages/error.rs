//! Errors, with the next step.

use super::PageHead;
use crate::{
    Frame,
    html::{Html, Id},
};
use askama::Template;

/// What a request has met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such page, or none that the person may see.
    NotFound,
    /// The person may see the object, and may not do this.
    Forbidden,
    /// A form was sent by another site.
    Foreign,
    /// The form is none of ours; the detail says why, in English.
    BadRequest(String),
    /// The present state does not allow it; the detail says why.
    Conflict(String),
    /// A limit is exceeded for so many seconds.
    TooMany(u64),
    /// Whether it was done is not known.
    Unavailable,
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
}

impl ErrorPage {
    /// The page of an error, with the id of its request.
    #[must_use]
    pub fn new(frame: Frame, trouble: Trouble, request: Option<String>) -> Self {
        let t = &frame.t().error;
        let heading = match trouble {
            Trouble::NotFound => t.not_found,
            Trouble::Forbidden => t.forbidden,
            Trouble::Foreign => t.foreign,
            Trouble::BadRequest(_) => t.bad_request,
            Trouble::Conflict(_) => t.conflict,
            Trouble::TooMany(_) => t.too_many,
            Trouble::Unavailable => t.unavailable,
            Trouble::Internal => t.internal,
        };
        Self { page: PageHead::new(frame, None, heading), trouble, request }
    }

    fn why(&self) -> String {
        let t = &self.page.frame.t().error;
        match &self.trouble {
            Trouble::NotFound => t.not_found_why.to_owned(),
            Trouble::Forbidden => t.forbidden_why.to_owned(),
            Trouble::Foreign => t.foreign_why.to_owned(),
            Trouble::BadRequest(_) => t.bad_request_why.to_owned(),
            Trouble::Conflict(_) => t.conflict_why.to_owned(),
            Trouble::TooMany(seconds) => {
                let seconds = i64::try_from(*seconds).unwrap_or(i64::MAX);
                (t.too_many_why)(&self.page.frame.times().length(seconds))
            }
            Trouble::Unavailable => t.unavailable_why.to_owned(),
            Trouble::Internal => t.internal_why.to_owned(),
        }
    }

    /// The server's own words, which are in English.
    fn detail(&self) -> Option<&str> {
        match &self.trouble {
            Trouble::BadRequest(detail) | Trouble::Conflict(detail) => Some(detail),
            _ => None,
        }
    }

    fn is_unknown(&self) -> bool {
        self.trouble == Trouble::Unavailable
    }

    fn request_id(&self) -> Option<Html> {
        let id = self.request.as_ref()?;
        Some((self.page.frame.t().error.request)(crate::html!("{}", Id(id))))
    }
}
