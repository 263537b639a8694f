//! Why a request gets no page of its own: what the page of an error shows.

use crate::authority::admin;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use std::fmt;
use tegata_console::{pages::Trouble, pieces::sentence};
use tegata_store::Error;

/// Why a request gets no page of its own.
#[derive(Debug, Clone)]
pub enum Failure {
    /// An error, which gets a page.
    Trouble(Trouble),
    /// The request is not made in a session; the browser is sent to the sign-in.
    SignedOut,
}

impl Failure {
    /// There is no such page, or none that the person may see.
    pub fn not_found() -> Self {
        Self::Trouble(Trouble::NotFound)
    }

    /// The person may see the object, and may not do this.
    pub fn forbidden() -> Self {
        // The gate adds the names.
        Self::Trouble(Trouble::Forbidden(Vec::new()))
    }

    /// The form is none of ours.
    pub fn bad_request(why: impl fmt::Display) -> Self {
        Self::Trouble(Trouble::BadRequest(why.to_string()))
    }

    /// A bug.
    pub fn internal(error: &dyn fmt::Display) -> Self {
        tracing::error!(%error, "a page could not be made");
        Self::Trouble(Trouble::Internal)
    }
}

/// Why the present state does not allow an act, for the form that asked for it.
///
/// # Errors
/// Any other error, which gets a page.
pub fn refusal(error: admin::Error) -> Result<String, Failure> {
    match Failure::from(error) {
        Failure::Trouble(Trouble::Conflict(why)) => Ok(sentence(&why)),
        other => Err(other),
    }
}

/// The status of an error's page.
pub fn status(trouble: &Trouble) -> StatusCode {
    match trouble {
        Trouble::NotFound => StatusCode::NOT_FOUND,
        Trouble::Forbidden(_) | Trouble::Foreign => StatusCode::FORBIDDEN,
        Trouble::BadRequest(_) => StatusCode::BAD_REQUEST,
        Trouble::Conflict(_) | Trouble::SentBefore => StatusCode::CONFLICT,
        Trouble::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
        Trouble::Unavailable | Trouble::NotNow(_) => StatusCode::SERVICE_UNAVAILABLE,
        Trouble::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        // The page is made where the language is known: see `gate`.
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        if let Self::Trouble(trouble) = &self {
            *response.status_mut() = status(trouble);
            let seconds = match trouble {
                Trouble::TooMany(seconds) => *seconds,
                Trouble::Unavailable | Trouble::NotNow(_) => 1,
                _ => 0,
            };
            if seconds > 0 {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<admin::Error> for Failure {
    fn from(error: admin::Error) -> Self {
        Self::Trouble(match error {
            admin::Error::Forbidden { .. } | admin::Error::BeyondRights(_) => {
                Trouble::Forbidden(Vec::new())
            }
            admin::Error::TooManySignIns(seconds) => Trouble::TooMany(seconds),
            admin::Error::Busy => Trouble::TooMany(1),
            admin::Error::LoginTaken(..)
            | admin::Error::WrongSignIn
            | admin::Error::Unacceptable(..) => Trouble::Conflict(error.to_string()),
            admin::Error::NotOurToken
            | admin::Error::OtherChannelsToken
            | admin::Error::NothingCreated(_)
            | admin::Error::NoSuch { .. } => Trouble::NotFound,
            admin::Error::Store(error) => return error.into(),
        })
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Trouble(match error {
            Error::NotFound(_) => Trouble::NotFound,
            Error::Denied(denied) => Trouble::Conflict(denied.to_string()),
            Error::Conflict(why) => Trouble::Conflict(why.to_owned()),
            Error::Changed => Trouble::Conflict(error.to_string()),
            Error::NotNow(_) | Error::Taken => Trouble::NotNow(error.to_string()),
            Error::Unavailable(why) => {
                // The store's own error may name paths.
                tracing::error!(%why, "the store is unavailable");
                Trouble::Unavailable
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_store_does_not_take_now_is_503_with_its_text_and_no_mistake_in_a_form() {
        for error in [Error::NotNow("the queue is full".into()), Error::Taken] {
            let text = error.to_string();
            let failure = refusal(admin::Error::Store(error)).unwrap_err();
            assert!(
                matches!(&failure, Failure::Trouble(Trouble::NotNow(why)) if *why == text),
                "{failure:?}"
            );
            let response = failure.into_response();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        }
    }
}
