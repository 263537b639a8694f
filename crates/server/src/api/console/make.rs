//! Forms that create something, or take it away: one that is sent again, as by a double click, gets
//! the result of the first time, unless what it takes away is there again.
//!
//! Each page has a random token in its forms. A form with the same token and the same fields
//! is the same request: the store remembers it, with its result, encrypted. A form without a
//! token, which no page has, is carried out each time.

use super::{Answer, Console, failure::Failure, notice::Notice, sent::Sent, visit::SignedIn};
use crate::{
    api::form::Form,
    authority::admin::{self, Admin, KeyUse, RequestName},
};
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};
use std::{future::Future, time::Duration};
use tegata_console::pages::Trouble;
use tegata_policy::secret::{PlainSecret, sha256};
use tegata_store::Error;
use tegata_token::time::UnixTime;
use zeroize::Zeroizing;

/// What a form has made.
pub struct Made {
    /// The page that shows it.
    page: String,
    /// The secret that the page shows once.
    secret: Option<PlainSecret>,
    notice: Notice,
}

/// The same, as it is remembered.
#[derive(Serialize)]
struct ToRemember<'a> {
    page: &'a str,
    secret: Option<&'a str>,
    notice: &'a str,
}

/// The same, as it was remembered. The secret's text becomes a [`PlainSecret`].
#[derive(Deserialize)]
struct Remembered {
    page: String,
    secret: Option<String>,
    notice: String,
}

impl Made {
    /// What this page shows, with what it says was done.
    pub fn at(page: String, notice: Notice) -> Self {
        Self { page, secret: None, notice }
    }

    /// The same, with a secret that the page shows once.
    pub fn secret(self, secret: PlainSecret) -> Self {
        Self { secret: Some(secret), ..self }
    }

    fn remembered(&self) -> Zeroizing<String> {
        let (secret, notice) =
            (self.secret.as_ref().map(PlainSecret::reveal), self.notice.encoded());
        // Texts can always be written.
        let text = serde_json::to_string(&ToRemember { page: &self.page, secret, notice: &notice });
        Zeroizing::new(text.unwrap_or_default())
    }

    fn recalled(text: &str) -> Option<Self> {
        let Remembered { page, secret, notice } = serde_json::from_str(text).ok()?;
        let secret = secret.map(PlainSecret::from_caller);
        Some(Self { page, secret, notice: Notice::decoded(&notice)? })
    }
}

/// How often, and how long in between, a form waits for the result of the same one.
const WAITS: (u32, Duration) = (50, Duration::from_millis(100));

impl SignedIn {
    /// Makes something with `act`, once for each form, and goes on to its page. The act is
    /// carried out to its end, also after the browser has gone. The inner error is that of the
    /// act, for a page that shows it.
    ///
    /// # Errors
    /// If the same form was sent before, and its result is not known, or is not this person's
    /// any more.
    pub async fn make(
        &self,
        console: &Console,
        sent: &Sent,
        act: impl Future<Output = admin::Result<Made>> + Send + 'static,
    ) -> Result<admin::Result<Response>, Failure> {
        match self.made(sent, act).await? {
            Ok(made) => self.goes_on(console, made).map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Takes something away, and goes on to the page that shows it. A form that is sent again acts
    /// again: it may be unknown whether the first one was done, and what it takes away may be there
    /// again. If nothing is left to take away, it goes where the first one went.
    ///
    /// # Errors
    /// That of the act.
    pub async fn take_away(
        &self,
        sent: &Sent,
        act: impl Future<Output = admin::Result<Made>> + Send + 'static,
    ) -> Answer {
        let name = self.request_name(sent)?;
        // The first one may wait for verifiers before it has its result.
        let before = match &name {
            Some(name) => self.result_before(name, sent.bytes(), wait(&sent.form()?)).await,
            None => Ok(None),
        };
        let before = match before {
            Ok(text) => text.as_ref().and_then(|text| Made::recalled(text)),
            // It is not known whether the first one was done.
            Err(Failure::Trouble(Trouble::SentBefore)) => None,
            Err(failure) => return Err(failure),
        };
        let noted = name.filter(|_| before.is_none());
        let error = match self.carried_out(noted, act).await? {
            Ok(made) => return Ok(self.go_to(&made)),
            Err(error) => error,
        };
        let is_gone = matches!(
            error,
            admin::Error::Store(Error::NotFound(_))
                | admin::Error::NoSuch { .. }
                | admin::Error::Forbidden { .. }
        );
        match before {
            Some(made) if is_gone => Ok(self.go_to(&made)),
            // By the first one or by another: the page shows what is there.
            Some(made) if matches!(error, admin::Error::Store(Error::Changed)) => {
                Ok(Redirect::to(&made.page).into_response())
            }
            _ => Err(error.into()),
        }
    }

    /// Goes on to the page of what has no secret.
    pub fn go_to(&self, made: &Made) -> Response {
        self.done(made.notice.clone(), &made.page)
    }

    async fn made(
        &self,
        sent: &Sent,
        act: impl Future<Output = admin::Result<Made>> + Send + 'static,
    ) -> Result<admin::Result<Made>, Failure> {
        let name = self.request_name(sent)?;
        // The first one may wait for verifiers before it has its result.
        let patience = wait(&sent.form()?);
        if let Some(name) = &name
            && let Some(text) = self.result_before(name, sent.bytes(), patience).await?
        {
            let made = Made::recalled(&text);
            return made.map(Ok).ok_or_else(|| Failure::internal(&"an unknown result"));
        }
        self.carried_out(name, act).await
    }

    /// Carries an act out to its end, also after the browser has gone, and remembers its result
    /// under this name.
    async fn carried_out(
        &self,
        name: Option<RequestName>,
        act: impl Future<Output = admin::Result<Made>> + Send + 'static,
    ) -> Result<admin::Result<Made>, Failure> {
        let admin = self.admin.clone();
        let work = tokio::spawn(async move {
            let made = act.await;
            if let Some(name) = name {
                remember(&admin, &name, made.as_ref().map(Made::remembered)).await;
            }
            made
        });
        work.await.map_err(|it| Failure::internal(&it))
    }

    /// Uses the code of a form, once for each form and code, so that a form that is sent again
    /// has used it as well. Returns when it was used. The inner error is that of the code.
    ///
    /// # Errors
    /// As [`Self::make`].
    pub async fn use_code(&self, form: &Form<'_>) -> Result<admin::Result<UnixTime>, Failure> {
        let code = PlainSecret::from_caller(form.get("code").unwrap_or_default().to_owned());
        let named = |token: &str| RequestName {
            call: self.visit.here.clone(),
            key: sha256(&[b"console code ", token.as_bytes(), b"\n", code.reveal().as_bytes()]),
        };
        let name = form.get("request").map(named);
        if let Some(name) = &name
            && let Some(text) = self.result_before(name, b"", Duration::ZERO).await?
        {
            let at = text.parse().map_err(|_| Failure::internal(&"an unknown time"))?;
            return Ok(Ok(UnixTime(at)));
        }
        let admin = self.admin.clone();
        // To its end, also after the browser has gone: the form that is sent again needs it.
        let work = tokio::spawn(async move {
            let used = admin.use_code(&code).await;
            if let Some(name) = name {
                let at = used.as_ref().map(|at| Zeroizing::new(at.0.to_string()));
                remember(&admin, &name, at).await;
            }
            used
        });
        work.await.map_err(|it| Failure::internal(&it))
    }

    /// What identifies the form.
    fn request_name(&self, sent: &Sent) -> Result<Option<RequestName>, Failure> {
        let form = sent.form()?;
        let Some(token) = form.get("request") else { return Ok(None) };
        // With the fields: a form that was changed is another request.
        let key = sha256(&[b"console form ", token.as_bytes(), b"\n", sent.bytes()]);
        Ok(Some(RequestName { call: self.visit.here.clone(), key }))
    }

    /// The result of the same request, if it was sent before.
    async fn result_before(
        &self,
        name: &RequestName,
        parameters: &[u8],
        patience: Duration,
    ) -> Result<Option<Zeroizing<String>>, Failure> {
        let (times, between) = WAITS;
        let more = patience.as_millis() / between.as_millis();
        for _ in 0..u128::from(times) + more {
            match self.admin.begin_request(name, parameters).await? {
                KeyUse::New => return Ok(None),
                KeyUse::Before(text) => return Ok(Some(Zeroizing::new(text))),
                KeyUse::RolesTaken => return Err(Failure::forbidden()),
                KeyUse::Unreadable | KeyUse::OtherParameters => break,
                // The first one is under way.
                KeyUse::Unfinished => tokio::time::sleep(between).await,
            }
        }
        Err(Failure::Trouble(Trouble::SentBefore))
    }

    fn goes_on(&self, console: &Console, made: Made) -> Result<Response, Failure> {
        if let Some(secret) = made.secret {
            self.show_once(console, &made.page, secret)?;
        }
        Ok(self.done(made.notice, &made.page))
    }
}

/// For how long a form says that its act waits for verifiers.
pub fn wait(form: &Form<'_>) -> Duration {
    let wait = form.get("wait").and_then(|it| it.parse().ok()).unwrap_or(0);
    Duration::from_secs(u64::min(wait, 60))
}

/// Remembers the result of a form, unless it is not known.
async fn remember(
    admin: &Admin,
    name: &RequestName,
    result: Result<Zeroizing<String>, &admin::Error>,
) {
    let result = match result {
        Ok(result) => Some(result),
        Err(admin::Error::Store(Error::Unavailable(_))) => return,
        Err(admin::Error::Store(Error::NotNow(_) | Error::Taken)) => {
            return admin.forget_request(name).await;
        }
        Err(_) => None,
    };
    let result = result.as_ref().map(|it| it.as_str());
    if let Err(error) = admin.finish_request(name, result).await {
        tracing::warn!(%error, "the result of a form is not remembered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_remembered_with_its_secret_and_notice() {
        let secret = PlainSecret::from_caller("s3cret".to_owned());
        let made = Made::at("/console/x".to_owned(), Notice::Revoked(3)).secret(secret);
        let again = Made::recalled(&made.remembered()).unwrap();
        assert_eq!((again.page.as_str(), again.notice), ("/console/x", Notice::Revoked(3)));
        assert_eq!(again.secret.unwrap().reveal(), "s3cret");
        assert!(Made::recalled("{}").is_none());
    }
}
