//! LINE's eight operations on channel access tokens, as typed calls: against LINE
//! itself or against Tegata, which differ in nothing but their address.
//!
//! Answers are read strictly and may hold members that we do not know. An answer
//! that cannot be relied on is never taken for a "no": see [`Failure`].

use crate::exchange::{BadAddress, Exchange, RequestError, with_idempotency_key};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    sync::atomic::{AtomicI64, Ordering::Relaxed},
    time::Duration,
};
use tegata_policy::secret::PlainSecret;
use tegata_token::{
    id::{ChannelId, Group},
    kind::Kind,
    time::UnixTime,
};

/// Where LINE's own service is.
pub const LINE: &str = "https://api.line.me";

/// RFC 7523, section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// No answer of these operations is longer; more is not read.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Why a call brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The authority decided against it: a status from 400 to 499 but 408 and 429.
    #[error("refused with {status}: {said}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its words; not guaranteed to stay as they are, so for people only.
        said: String,
    },
    /// 429: the channel asks too often.
    #[error("refused with 429: asked too often")]
    TooFast {
        /// After how many seconds to ask again, if it said so.
        retry_after: Option<u64>,
    },
    /// No answer, or none that says yes or no: the act may have happened.
    #[error("no answer to rely on: {why}")]
    Unavailable {
        /// What was seen instead.
        why: String,
        /// After how many seconds to ask again, if it said so.
        retry_after: Option<u64>,
    },
    /// Nothing was asked: what to ask with cannot be had on this machine.
    #[error("cannot ask: {0}")]
    NotAsked(String),
}

/// A token that was issued. Its `Debug` does not show it.
#[derive(Debug, Clone)]
pub struct TokenResponse {
    /// The token.
    pub token: PlainSecret,
    /// For how many seconds from the answer on it is good.
    pub expires_in: i64,
    /// Of a v2.1 token, its key id.
    pub key_id: Option<String>,
}

/// What a check found of a token that is good.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Verified {
    /// The channel that it gives access to.
    pub client_id: String,
    /// Seconds that are left.
    pub expires_in: i64,
    /// What it gives access to; not always told.
    pub scope: Option<String>,
}

/// With what a channel proves itself.
pub enum ClientAuthentication<'a> {
    /// A signed assertion.
    Assertion(&'a str),
    /// Its id and secret.
    Secret(ChannelId, &'a PlainSecret),
}

/// What Tegata takes beside what LINE documents. Nothing of it is sent unless given.
#[derive(Default)]
pub struct With<'a> {
    /// For which group of the channel the token is.
    pub group: Option<&'a Group>,
    /// The same one is answered with the same token.
    pub idempotency_key: Option<&'a str>,
}

/// A way to one authority. Opens connections when they are needed and keeps them.
#[derive(Debug)]
pub struct Client {
    exchange: Exchange,
    /// The `Date` of the last answer, in seconds since 1970; 0 without one.
    date: AtomicI64,
}

/// The path of LINE's operation that issues tokens of a kind. There is none for
/// long-lived tokens.
#[must_use]
pub const fn issue_path(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::V21 => Some("oauth2/v2.1/token"),
        Kind::Stateless => Some("oauth2/v3/token"),
        Kind::ShortLived => Some("v2/oauth/accessToken"),
        Kind::LongLived => None,
    }
}

impl Client {
    /// A client of the authority at `base`, such as [`LINE`]. Follows no redirects,
    /// which could carry a secret elsewhere, and uses no proxy for this machine.
    ///
    /// # Errors
    /// [`BadAddress`].
    pub fn new(base: &str) -> Result<Self, BadAddress> {
        Self::with_patience(base, PATIENCE)
    }

    /// A client that waits `patience` for each response.
    ///
    /// # Errors
    /// [`BadAddress`].
    pub fn with_patience(base: &str, patience: Duration) -> Result<Self, BadAddress> {
        Ok(Self { exchange: Exchange::new(base, patience)?, date: AtomicI64::new(0) })
    }

    /// The time by the authority's clock, from the last answer that has not been asked
    /// about yet.
    pub fn take_authority_time(&self) -> Option<UnixTime> {
        Some(self.date.swap(0, Relaxed)).filter(|date| *date != 0).map(UnixTime)
    }

    /// `POST /oauth2/v2.1/token`: a token that lives as long as the assertion's
    /// `token_exp` says.
    ///
    /// # Errors
    /// [`Failure`], as of every call here.
    pub async fn issue_v21(
        &self,
        assertion: &str,
        with: With<'_>,
    ) -> Result<TokenResponse, Failure> {
        self.issue(Kind::V21, &ClientAuthentication::Assertion(assertion), with).await
    }

    /// `POST /oauth2/v3/token`: a stateless token, good for 15 minutes.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn issue_stateless(
        &self,
        proof: &ClientAuthentication<'_>,
        with: With<'_>,
    ) -> Result<TokenResponse, Failure> {
        self.issue(Kind::Stateless, proof, with).await
    }

    /// `POST /v2/oauth/accessToken`: a short-lived token, good for 30 days.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn issue_short_lived(
        &self,
        channel: ChannelId,
        secret: &PlainSecret,
        with: With<'_>,
    ) -> Result<TokenResponse, Failure> {
        self.issue(Kind::ShortLived, &ClientAuthentication::Secret(channel, secret), with).await
    }

    /// `GET /oauth2/v2.1/verify`: whether a v2.1 token is good.
    ///
    /// # Errors
    /// [`Failure::Refused`] with 400 if it is not.
    pub async fn verify_v21(&self, token: &PlainSecret) -> Result<Verified, Failure> {
        read(self.send(self.verify_jws(token)).await, &[token.reveal()])
    }

    /// `POST /v2/oauth/verify`: whether a short-lived or long-lived token is good.
    ///
    /// # Errors
    /// [`Failure::Refused`] with 400 if it is not.
    pub async fn verify_opaque(&self, token: &PlainSecret) -> Result<Verified, Failure> {
        read(self.send(self.verify_other(token)).await, &[token.reveal()])
    }

    /// Whether a token is good, on the operation that is meant for its form.
    ///
    /// # Errors
    /// [`Failure::Refused`] with 400 if it is not.
    pub async fn verify(&self, token: &PlainSecret) -> Result<Verified, Failure> {
        read(self.send(self.verify_any(token)).await, &[token.reveal()])
    }

    /// The answer of [`Self::verify`] as it is, with all its members.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn verify_answer(&self, token: &PlainSecret) -> Result<Value, RequestError> {
        value(&self.send(self.verify_any(token)).await?)
    }

    fn verify_any(&self, token: &PlainSecret) -> RequestBuilder {
        let is_jws = token.reveal().bytes().filter(|&b| b == b'.').count() == 2;
        if is_jws { self.verify_jws(token) } else { self.verify_other(token) }
    }

    fn verify_jws(&self, token: &PlainSecret) -> RequestBuilder {
        self.get("oauth2/v2.1/verify").query(&[("access_token", token.reveal())])
    }

    fn verify_other(&self, token: &PlainSecret) -> RequestBuilder {
        self.post("v2/oauth/verify").form(&[("access_token", token.reveal())])
    }

    /// `GET /oauth2/v2.1/tokens/kid`: the key ids of the v2.1 tokens that are good.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn key_ids(&self, assertion: &str) -> Result<Vec<String>, Failure> {
        #[derive(Deserialize)]
        struct KeyIds {
            kids: Vec<String>,
        }
        let query = [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)];
        let request = self.get("oauth2/v2.1/tokens/kid").query(&query);
        let answer: KeyIds = read(self.send(request).await, &[assertion])?;
        Ok(answer.kids)
    }

    /// `POST /oauth2/v2.1/revoke`: ends a v2.1 token. One that is not good any more
    /// is no error.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn revoke_v21(
        &self,
        channel: ChannelId,
        secret: &PlainSecret,
        token: &PlainSecret,
    ) -> Result<(), Failure> {
        let channel = channel.to_string();
        let form = [
            ("client_id", channel.as_str()),
            ("client_secret", secret.reveal()),
            ("access_token", token.reveal()),
        ];
        let answer = self.send(self.post("oauth2/v2.1/revoke").form(&form)).await;
        answer.map(drop).map_err(|error| failure(error, &[secret.reveal(), token.reveal()]))
    }

    /// `POST /v2/oauth/revoke`: ends a short-lived or long-lived token. One that is
    /// not good any more is no error.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn revoke_opaque(&self, token: &PlainSecret) -> Result<(), Failure> {
        let form = [("access_token", token.reveal())];
        let answer = self.send(self.post("v2/oauth/revoke").form(&form)).await;
        answer.map(drop).map_err(|error| failure(error, &[token.reveal()]))
    }

    /// The answer of an operation that issues tokens as it is, with all its members;
    /// `path` is of [`issue_path`].
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn issue_answer(
        &self,
        path: &str,
        authentication: &ClientAuthentication<'_>,
        with: With<'_>,
    ) -> Result<Value, RequestError> {
        value(&self.send_issue(path, authentication, with).await?)
    }

    async fn send_issue(
        &self,
        path: &str,
        authentication: &ClientAuthentication<'_>,
        with: With<'_>,
    ) -> Result<Vec<u8>, RequestError> {
        let mut form = vec![("grant_type", "client_credentials")];
        let id;
        match authentication {
            ClientAuthentication::Assertion(assertion) => {
                form.push(("client_assertion_type", ASSERTION_TYPE));
                form.push(("client_assertion", assertion));
            }
            ClientAuthentication::Secret(channel, secret) => {
                id = channel.to_string();
                form.push(("client_id", &id));
                form.push(("client_secret", secret.reveal()));
            }
        }
        if let Some(group) = with.group {
            form.push(("group", group.as_str()));
        }
        let request = self.post(path).form(&form);
        self.send(with_idempotency_key(request, with.idempotency_key)).await
    }

    async fn issue(
        &self,
        kind: Kind,
        authentication: &ClientAuthentication<'_>,
        with: With<'_>,
    ) -> Result<TokenResponse, Failure> {
        #[derive(Deserialize)]
        struct Answer {
            access_token: String,
            token_type: String,
            expires_in: i64,
            key_id: Option<String>,
        }
        let path = issue_path(kind).ok_or_else(|| {
            Failure::NotAsked("an administrator makes long-lived tokens".to_owned())
        })?;
        let shown = match authentication {
            ClientAuthentication::Assertion(assertion) => assertion,
            ClientAuthentication::Secret(_, secret) => secret.reveal(),
        };
        let answer: Answer = read(self.send_issue(path, authentication, with).await, &[shown])?;
        let token = PlainSecret::from_caller(answer.access_token);
        if !is_b64token(token.reveal()) || answer.expires_in <= 0 {
            return Err(unavailable("the answer holds no token that could be used"));
        }
        if !answer.token_type.eq_ignore_ascii_case("Bearer") {
            return Err(unavailable("the token is not of the type Bearer"));
        }
        Ok(TokenResponse { token, expires_in: answer.expires_in, key_id: answer.key_id })
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.exchange.request(Method::GET, path.split('/'))
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.exchange.request(Method::POST, path.split('/'))
    }

    /// The body of an answer with 200, the only success that LINE documents.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Vec<u8>, RequestError> {
        let response = self.exchange.send(request, LONGEST_ANSWER).await?;
        if let Some(date) = response.date() {
            self.date.store(date, Relaxed);
        }
        match response.status {
            StatusCode::OK => Ok(response.body),
            _ => Err(response.problem()),
        }
    }
}

/// Whether a text can be a bearer token (RFC 6750, section 2.1). It goes into headers
/// and into files that shells read: `$(…)` must not get there.
fn is_b64token(text: &str) -> bool {
    let word = text.trim_end_matches('=');
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b);
    !word.is_empty() && word.bytes().all(fits)
}

fn unavailable(why: &str) -> Failure {
    Failure::Unavailable { why: why.to_owned(), retry_after: None }
}

/// The members of an answer that this crate knows. `shown` are the secrets in the request.
fn read<T: DeserializeOwned>(
    answer: Result<Vec<u8>, RequestError>,
    shown: &[&str],
) -> Result<T, Failure> {
    let answer = answer.map_err(|error| failure(error, shown))?;
    serde_json::from_slice(&answer).map_err(|_| failure(RequestError::Unreadable, shown))
}

pub(crate) fn value(answer: &[u8]) -> Result<Value, RequestError> {
    serde_json::from_slice(answer).map_err(|_| RequestError::Unreadable)
}

/// What an error means for the next request. It is made fit for a line of a log: it does
/// not repeat the secrets in the request, even if the answer does.
fn failure(error: RequestError, shown: &[&str]) -> Failure {
    let problem = match error {
        RequestError::Problem(problem) => problem,
        RequestError::NoResponse(why) => return unavailable(&why),
        RequestError::TooLong(_) => return unavailable("the answer is too long"),
        RequestError::Unreadable => return unavailable("the answer is not what LINE documents"),
    };
    let (status, retry_after) = (problem.status, problem.retry_after);
    match status.as_u16() {
        429 => Failure::TooFast { retry_after },
        400..=499 if status != StatusCode::REQUEST_TIMEOUT => {
            let none = "no words that we understand; is the address right?";
            let said = problem.summary().unwrap_or_else(|| none.to_owned());
            let shown = shown.iter().filter(|secret| !secret.is_empty());
            let said = shown.fold(said, |said, secret| said.replace(secret, "…"));
            Failure::Refused { status: status.as_u16(), said: said.chars().take(300).collect() }
        }
        300..=399 => unavailable(&format!("answered {status}: is the address right?")),
        _ => Failure::Unavailable { why: format!("answered {status}"), retry_after },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Problem;

    #[test]
    fn an_address_that_is_none_is_refused_with_what_to_write() {
        for bad in ["", "api.line.me", "ftp://a", "https://user:word@a"] {
            let error = Client::new(bad).unwrap_err().to_string();
            assert!(error.contains("https://HOST"), "{error}");
        }
    }

    #[test]
    fn the_words_of_an_error_do_not_repeat_the_secrets_of_the_request() {
        let refused = |detail: Option<&str>| {
            let problem = Problem {
                status: StatusCode::BAD_REQUEST,
                code: None,
                title: None,
                detail: detail.map(str::to_owned),
                retry_after: None,
                request_id: None,
            };
            failure(RequestError::Problem(Box::new(problem)), &["hunter2", ""]).to_string()
        };
        assert_eq!(refused(Some("hunter2 is wrong")), "refused with 400: … is wrong");
        assert!(refused(None).contains("address"), "{}", refused(None));
        assert!(refused(Some(&"x".repeat(1_000))).len() < 400);
    }
}
