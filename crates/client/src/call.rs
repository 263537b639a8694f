//! LINE's eight operations on channel access tokens, as typed calls to LINE itself or to
//! Tegata; only the address differs.
//!
//! Responses are parsed strictly, except that unknown members are ignored. A response that
//! is not reliable never counts as a refusal: see [`Failure`].

use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, header::HeaderMap};
use serde::{Deserialize, de::DeserializeOwned};
use std::{
    fmt,
    sync::atomic::{AtomicI64, Ordering::Relaxed},
    time::Duration,
};
use tegata_policy::secret::PlainSecret;
use tegata_token::{
    id::{ChannelId, Group},
    time::UnixTime,
};

/// The address of LINE's own service.
pub const LINE: &str = "https://api.line.me";

/// RFC 7523, section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long a response may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest response that is read.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The authority refused the request: a status from 400 to 499, except 408 and 429.
    #[error("refused with {status}: {said}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The authority's message; for people only, since it may change.
        said: String,
    },
    /// 429: the channel is over a rate limit.
    #[error("refused with 429: too many requests")]
    TooFast {
        /// Seconds to wait before the next request, if the response says so.
        retry_after: Option<u64>,
    },
    /// No response, or none that is reliable: the request may have taken effect.
    #[error("no reliable response: {why}")]
    Unavailable {
        /// What happened instead.
        why: String,
        /// Seconds to wait before the next request, if the response says so.
        retry_after: Option<u64>,
    },
    /// No request was sent, since this machine lacks what it needs.
    #[error("no request was sent: {0}")]
    NotAsked(String),
}

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

/// A client of one authority. It opens connections when needed and keeps them.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    /// The `Date` of the last response, in seconds since 1970; 0 if there is none to read.
    date: AtomicI64,
}

/// An address that cannot be an authority's.
#[derive(Debug, thiserror::Error)]
#[error("{0}: write it as https://HOST, or http://HOST:PORT for an authority on this machine")]
pub struct BadAddress(String);

impl Client {
    /// A client of the authority at `base`, such as [`LINE`]. It follows no redirects, which
    /// could carry a secret to another host, and uses no proxy for this machine.
    ///
    /// # Errors
    /// [`BadAddress`].
    pub fn new(base: &str) -> Result<Self, BadAddress> {
        let bad = || BadAddress(base.to_owned());
        let url = Url::parse(base).map_err(|_| bad())?;
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() {
            return Err(bad());
        }
        let http = tegata_system::http::client_for(&url)
            .timeout(PATIENCE)
            .pool_max_idle_per_host(2)
            .user_agent(concat!("tegata-client/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| bad())?;
        Ok(Self { http, base: url, date: AtomicI64::new(0) })
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
        self.issue("/oauth2/v2.1/token", &ClientAuthentication::Assertion(assertion), with).await
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
        self.issue("/oauth2/v3/token", client, with).await
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
        self.issue("/v2/oauth/accessToken", &ClientAuthentication::Secret(channel, secret), with)
            .await
    }

    /// `GET /oauth2/v2.1/verify`: verifies a v2.1 token.
    ///
    /// # Errors
    /// [`Failure::Refused`] with 400 if it is not active.
    pub async fn verify_v21(&self, token: &PlainSecret) -> Result<Verified, Failure> {
        let query = [("access_token", token.reveal())];
        self.json(self.get("/oauth2/v2.1/verify").query(&query), &[token.reveal()]).await
    }

    /// `POST /v2/oauth/verify`: verifies a short-lived or long-lived token.
    ///
    /// # Errors
    /// [`Failure::Refused`] with 400 if it is not active.
    pub async fn verify_opaque(&self, token: &PlainSecret) -> Result<Verified, Failure> {
        let form = [("access_token", token.reveal())];
        self.json(self.post("/v2/oauth/verify").form(&form), &[token.reveal()]).await
    }

    /// Verifies a token with the operation for its form.
    ///
    /// # Errors
    /// [`Failure::Refused`] with 400 if it is not active.
    pub async fn verify(&self, token: &PlainSecret) -> Result<Verified, Failure> {
        let is_jws = token.reveal().bytes().filter(|&b| b == b'.').count() == 2;
        if is_jws { self.verify_v21(token).await } else { self.verify_opaque(token).await }
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
        let request = self.get("/oauth2/v2.1/tokens/kid").query(&query);
        let answer: KeyIds = self.json(request, &[assertion]).await?;
        Ok(answer.kids)
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
        let shown = [secret.reveal(), token.reveal()];
        self.send(self.post("/oauth2/v2.1/revoke").form(&form), &shown).await.map(drop)
    }

    /// `POST /v2/oauth/revoke`: revokes a short-lived or long-lived token. A token that is no
    /// longer active is not an error.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn revoke_opaque(&self, token: &PlainSecret) -> Result<(), Failure> {
        let form = [("access_token", token.reveal())];
        let request = self.post("/v2/oauth/revoke").form(&form);
        self.send(request, &[token.reveal()]).await.map(drop)
    }

    async fn issue(
        &self,
        path: &str,
        client: &ClientAuthentication<'_>,
        with: With<'_>,
    ) -> Result<TokenResponse, Failure> {
        let mut form = vec![("grant_type", "client_credentials")];
        let id;
        let shown = match client {
            ClientAuthentication::Assertion(assertion) => {
                form.push(("client_assertion_type", ASSERTION_TYPE));
                form.push(("client_assertion", assertion));
                assertion
            }
            ClientAuthentication::Secret(channel, secret) => {
                id = channel.to_string();
                form.push(("client_id", &id));
                form.push(("client_secret", secret.reveal()));
                secret.reveal()
            }
        };
        if let Some(group) = with.group {
            form.push(("group", group.as_str()));
        }
        let mut request = self.post(path).form(&form);
        if let Some(key) = with.idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        #[derive(Deserialize)]
        struct Answer {
            access_token: String,
            token_type: String,
            expires_in: i64,
            key_id: Option<String>,
        }
        let answer: Answer = self.json(request, &[shown]).await?;
        let token = PlainSecret::from_caller(answer.access_token);
        if !is_b64token(token.reveal()) || answer.expires_in <= 0 {
            return Err(unavailable("the response holds no usable token"));
        }
        if !answer.token_type.eq_ignore_ascii_case("Bearer") {
            return Err(unavailable("the token is not of the type Bearer"));
        }
        Ok(TokenResponse { token, expires_in: answer.expires_in, key_id: answer.key_id })
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.http.request(Method::GET, self.at(path))
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.http.request(Method::POST, self.at(path))
    }

    /// The URL of a path below the base address, which may have a path of its own.
    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    async fn json<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        shown: &[&str],
    ) -> Result<T, Failure> {
        let body = self.send(request, shown).await?;
        serde_json::from_slice(&body)
            .map_err(|_| unavailable("the response is not as LINE documents it"))
    }

    /// Sends a request and returns the body of a 200. `shown` are the secrets in the request;
    /// they are removed from the message of a refusal.
    async fn send(&self, request: RequestBuilder, shown: &[&str]) -> Result<Vec<u8>, Failure> {
        // Without the URL, whose query may hold a token.
        let lost = |error: reqwest::Error| unavailable(&with_causes(&error.without_url()));
        let mut response = request.send().await.map_err(lost)?;
        if let Some(date) = date(response.headers()) {
            self.date.store(date, Relaxed);
        }
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(lost)? {
            if body.len() + part.len() > LONGEST_ANSWER {
                return Err(unavailable("the response is too long"));
            }
            body.extend_from_slice(&part);
        }
        match response.status() {
            StatusCode::OK => Ok(body),
            _ => Err(failure(&response, &body, shown)),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.base)
    }
}

/// Whether a text can be a bearer token (RFC 6750, section 2.1). Tokens are written to
/// headers and to files that shells read, which must not contain `$(…)`.
fn is_b64token(text: &str) -> bool {
    let word = text.trim_end_matches('=');
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b);
    !word.is_empty() && word.bytes().all(fits)
}

fn unavailable(why: &str) -> Failure {
    Failure::Unavailable { why: why.to_owned(), retry_after: None }
}

/// An error and its causes, in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn failure(response: &Response, body: &[u8], shown: &[&str]) -> Failure {
    let status = response.status();
    let retry_after = response.headers().get("Retry-After");
    let retry_after = retry_after.and_then(|it| it.to_str().ok()?.parse().ok());
    match status.as_u16() {
        429 => Failure::TooFast { retry_after },
        400..=499 if status != StatusCode::REQUEST_TIMEOUT => {
            Failure::Refused { status: status.as_u16(), said: words(body, shown) }
        }
        300..=399 => unavailable(&format!("the response is {status}; check the address")),
        _ => Failure::Unavailable { why: format!("the response is {status}"), retry_after },
    }
}

/// The message in an error's body, in any of LINE's forms, as text for one log line.
fn words(body: &[u8], shown: &[&str]) -> String {
    #[derive(Deserialize)]
    struct Said {
        error: Option<String>,
        error_description: Option<String>,
        message: Option<String>,
    }
    let Ok(said) = serde_json::from_slice::<Said>(body) else {
        return "a body that is not an error of LINE's; check the address".to_owned();
    };
    let text = match (said.error_description, said.error) {
        (Some(description), Some(error)) => format!("{description} ({error})"),
        (description, error) => description.or(error).or(said.message).unwrap_or_default(),
    };
    let text = shown.iter().fold(text, |text, secret| text.replace(secret, "…"));
    text.chars().filter(|it| !it.is_control()).take(300).collect()
}

/// Seconds since 1970 in the `Date` header (RFC 9110, section 6.6.1).
fn date(headers: &HeaderMap) -> Option<i64> {
    let text = headers.get("Date")?.to_str().ok()?;
    let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(zoned.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_is_refused_with_what_to_write() {
        for bad in ["", "api.line.me", "ftp://a", "https://user:word@a"] {
            let error = Client::new(bad).unwrap_err().to_string();
            assert!(error.contains("https://HOST"), "{error}");
        }
    }

    #[test]
    fn a_path_of_the_base_address_is_kept() {
        let at = |base| Client::new(base).unwrap().at("/oauth2/v3/token").to_string();
        assert_eq!(at("https://a"), "https://a/oauth2/v3/token");
        assert_eq!(at("https://a/line/"), "https://a/line/oauth2/v3/token");
    }

    #[test]
    fn the_words_of_an_error_are_found_in_each_of_lines_shapes() {
        let words = |text: &str| words(text.as_bytes(), &["hunter2"]);
        assert_eq!(words(r#"{"error":"a","error_description":"b"}"#), "b (a)");
        assert_eq!(words(r#"{"error":"a"}"#), "a");
        assert_eq!(words(r#"{"error":"hunter2 is wrong"}"#), "… is wrong");
        assert_eq!(words(r#"{"message":"c\n"}"#), "c");
        assert!(words("<html>").contains("address"));
    }

    #[test]
    fn the_date_of_an_answer_is_read() {
        let mut headers = HeaderMap::new();
        headers.insert("Date", "Tue, 15 Nov 1994 08:12:31 GMT".parse().unwrap());
        assert_eq!(date(&headers), Some(784_887_151));
    }
}
