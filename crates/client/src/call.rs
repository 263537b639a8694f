//! LINE's eight operations on channel access tokens, as typed calls to LINE itself or to
//! Tegata; only the address differs.
//!
//! Responses are parsed strictly, except that unknown members are ignored. A response that
//! is not reliable never counts as a refusal: see [`Failure`].

use crate::{
    exchange::{BadAddress, Exchange, RequestError, with_idempotency_key},
    failure::Failure,
};
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

/// The address of LINE's own service.
pub const LINE: &str = "https://api.line.me";

/// RFC 7523, section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long a response may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest response that is read.
const LONGEST_RESPONSE: usize = 64 * 1024;

/// A token that was issued. Its `Debug` does not show it.
#[derive(Debug, Clone)]
pub struct TokenResponse {
    /// The token.
    pub token: PlainSecret,
    /// Seconds from the response until it expires.
    pub expires_in: i64,
    /// The key id of a v2.1 token.
    pub key_id: Option<String>,
}

/// The result of verifying an active token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Verified {
    /// The token's channel.
    pub client_id: String,
    /// Seconds until it expires.
    pub expires_in: i64,
    /// Its scope; not in every response.
    pub scope: Option<String>,
}

/// The credentials with which a channel authenticates.
pub enum ClientAuthentication<'a> {
    /// A signed assertion.
    Assertion(&'a str),
    /// Its id and secret.
    Secret(ChannelId, &'a PlainSecret),
}

/// Optional parameters of Tegata, beyond LINE's documentation. Unset ones are not sent.
#[derive(Default)]
pub struct With<'a> {
    /// The group of the token.
    pub group: Option<&'a Group>,
    /// A request with the same key returns the same token.
    pub idempotency_key: Option<&'a str>,
}

/// A way to one authority. Opens connections when they are needed and keeps them.
#[derive(Debug)]
pub struct Client {
    exchange: Exchange,
    /// The `Date` of the last response, in seconds since 1970; 0 without one.
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
    /// A client of the authority at `base`, such as [`LINE`]. It follows no redirects, which
    /// could carry a secret to another host, and uses no proxy for this machine.
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

    /// Takes the authority's time from the last response; `None` until the next response.
    pub fn take_authority_time(&self) -> Option<UnixTime> {
        Some(self.date.swap(0, Relaxed)).filter(|date| *date != 0).map(UnixTime)
    }

    /// `POST /oauth2/v2.1/token`: issues a v2.1 token with the lifetime in the assertion's
    /// `token_exp`.
    ///
    /// # Errors
    /// [`Failure`], like every call here.
    pub async fn issue_v21(
        &self,
        assertion: &str,
        with: With<'_>,
    ) -> Result<TokenResponse, Failure> {
        self.issue(Kind::V21, &ClientAuthentication::Assertion(assertion), with).await
    }

    /// `POST /oauth2/v3/token`: issues a stateless token, which expires in 15 minutes.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn issue_stateless(
        &self,
        client: &ClientAuthentication<'_>,
        with: With<'_>,
    ) -> Result<TokenResponse, Failure> {
        self.issue(Kind::Stateless, client, with).await
    }

    /// `POST /v2/oauth/accessToken`: issues a short-lived token, which expires in 30 days.
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

    /// Verifies a token with the operation for its form.
    ///
    /// # Errors
    /// [`Failure::Denied`] with 400 if it is not active.
    pub async fn verify(&self, token: &PlainSecret) -> Result<Verified, Failure> {
        self.read(self.send(self.verify_any(token)).await, &[token.reveal()])
    }

    /// The response of [`Self::verify`] as it is, with all its members.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn verify_response(&self, token: &PlainSecret) -> Result<Value, RequestError> {
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

    /// `GET /oauth2/v2.1/tokens/kid`: lists the key ids of the active v2.1 tokens.
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
        let response: KeyIds = self.read(self.send(request).await, &[assertion])?;
        Ok(response.kids)
    }

    /// `POST /oauth2/v2.1/revoke`: revokes a v2.1 token. A token that is no longer active is
    /// not an error.
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
        let response = self.send(self.post("oauth2/v2.1/revoke").form(&form)).await;
        response.map(drop).map_err(|error| self.failure(error, &[secret.reveal(), token.reveal()]))
    }

    /// `POST /v2/oauth/revoke`: revokes a short-lived or long-lived token. A token that is no
    /// longer active is not an error.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn revoke_opaque(&self, token: &PlainSecret) -> Result<(), Failure> {
        let form = [("access_token", token.reveal())];
        let response = self.send(self.post("v2/oauth/revoke").form(&form)).await;
        response.map(drop).map_err(|error| self.failure(error, &[token.reveal()]))
    }

    /// The response of an operation that issues tokens as it is, with all its members;
    /// `path` is of [`issue_path`].
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn issue_response(
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
        struct Body {
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
        let response: Body =
            self.read(self.send_issue(path, authentication, with).await, &[shown])?;
        let token = PlainSecret::from_caller(response.access_token);
        if !is_b64token(token.reveal()) || response.expires_in <= 0 {
            return Err(self.unavailable("the response holds no usable token"));
        }
        if !response.token_type.eq_ignore_ascii_case("Bearer") {
            return Err(self.unavailable("the token is not of the type Bearer"));
        }
        Ok(TokenResponse { token, expires_in: response.expires_in, key_id: response.key_id })
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.exchange.request(Method::GET, path.split('/'))
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.exchange.request(Method::POST, path.split('/'))
    }

    /// The body of a response with 200, the only success that LINE documents.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Vec<u8>, RequestError> {
        let response = self.exchange.send(request, LONGEST_RESPONSE).await?;
        if let Some(date) = response.date() {
            self.date.store(date, Relaxed);
        }
        match response.status {
            StatusCode::OK => Ok(response.body),
            _ => Err(response.problem()),
        }
    }

    fn unavailable(&self, why: &str) -> Failure {
        let from = self.exchange.address();
        Failure::Unavailable { from, why: why.to_owned(), retry_after: None }
    }

    /// The members of a response that this crate knows. `shown` are the secrets in the
    /// request.
    fn read<T: DeserializeOwned>(
        &self,
        response: Result<Vec<u8>, RequestError>,
        shown: &[&str],
    ) -> Result<T, Failure> {
        let response = response.map_err(|error| self.failure(error, shown))?;
        let unreadable = |_| self.failure(RequestError::Unreadable, shown);
        serde_json::from_slice(&response).map_err(unreadable)
    }

    /// What an error means for the next request. It is made fit for a line of a log: it
    /// does not repeat the secrets in the request, even if the response does.
    fn failure(&self, error: RequestError, shown: &[&str]) -> Failure {
        let problem = match error {
            RequestError::Problem(problem) => problem,
            RequestError::NoResponse(why) => return self.unavailable(&why),
            RequestError::TooLong(_) | RequestError::Endless(_) => {
                return self.unavailable("the response is too long");
            }
            RequestError::Unreadable => {
                return self.unavailable("the response is not as LINE documents it");
            }
        };
        let (status, retry_after) = (problem.status, problem.retry_after);
        match status.as_u16() {
            429 => Failure::LimitExceeded { retry_after },
            400..=499 if status != StatusCode::REQUEST_TIMEOUT => {
                // A page of a proxy refuses nothing in the authority's name.
                let Some(said) = problem.summary() else {
                    return self.unavailable(&format!(
                        "the response is {status} with a body that is not an error of LINE's; \
                         check the address"
                    ));
                };
                let shown = shown.iter().filter(|secret| !secret.is_empty());
                let said = shown.fold(said, |said, secret| said.replace(secret, "…"));
                let said = said.chars().take(300).collect();
                Failure::Denied { status: status.as_u16(), said }
            }
            300..=399 => self.unavailable(&format!("the response is {status}; check the address")),
            _ => {
                let (from, why) = (self.exchange.address(), format!("the response is {status}"));
                Failure::Unavailable { from, why, retry_after }
            }
        }
    }
}

/// Whether a text can be a bearer token (RFC 6750, section 2.1). Tokens are written to
/// headers and to files that shells read, which must not contain `$(…)`.
pub(crate) fn is_b64token(text: &str) -> bool {
    let word = text.trim_end_matches('=');
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b);
    !word.is_empty() && word.bytes().all(fits)
}

pub(crate) fn value(response: &[u8]) -> Result<Value, RequestError> {
    serde_json::from_slice(response).map_err(|_| RequestError::Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Problem;

    #[test]
    fn an_address_that_is_none_is_refused_with_what_to_write() {
        for bad in ["", "api.line.me", "ftp://a", "https://user:word@a", "https://:word@a"] {
            let error = Client::new(bad).unwrap_err().to_string();
            assert!(error.contains("https://HOST") && !error.contains("word"), "{error}");
        }
    }

    #[test]
    fn the_words_of_an_error_do_not_repeat_the_secrets_of_the_request() {
        let denied = |detail: Option<&str>| {
            let problem = Problem {
                status: StatusCode::BAD_REQUEST,
                code: None,
                title: None,
                detail: detail.map(str::to_owned),
                retry_after: None,
                request_id: None,
            };
            let client = Client::new("http://127.0.0.1:1").unwrap();
            client.failure(RequestError::Problem(Box::new(problem)), &["hunter2", ""]).to_string()
        };
        assert_eq!(denied(Some("hunter2 is wrong")), "refused with 400: … is wrong");
        let page = denied(None);
        assert!(
            page.starts_with("no usable answer") && page.contains("check the address"),
            "{page}"
        );
        assert!(denied(Some(&"x".repeat(1_000))).len() < 400);
    }
}
