//! LINE's eight operations on channel access tokens, as typed calls: against LINE
//! itself or against Tegata, which differ in nothing but their address.
//!
//! Answers are read strictly and may hold members that we do not know. An answer
//! that cannot be relied on is never taken for a "no": see [`Failure`].

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
pub struct Client {
    http: reqwest::Client,
    base: Url,
    /// The `Date` of the last answer, in seconds since 1970; 0 if nobody was told one.
    date: AtomicI64,
}

/// An address is none that an authority can be at.
#[derive(Debug, thiserror::Error)]
#[error("{0}: write it as https://HOST, or http://HOST:PORT for an authority on this machine")]
pub struct BadAddress(String);

impl Client {
    /// A client of the authority at `base`, such as [`LINE`]. Follows no redirects,
    /// which could carry a secret elsewhere, and uses no proxy for this machine.
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
        self.issue("/oauth2/v2.1/token", &ClientAuthentication::Assertion(assertion), with).await
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
        self.issue("/oauth2/v3/token", proof, with).await
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
        self.issue("/v2/oauth/accessToken", &ClientAuthentication::Secret(channel, secret), with)
            .await
    }

    /// `GET /oauth2/v2.1/verify`: whether a v2.1 token is good.
    ///
    /// # Errors
    /// [`Failure::Refused`] with 400 if it is not.
    pub async fn verify_v21(&self, token: &PlainSecret) -> Result<Verified, Failure> {
        let query = [("access_token", token.reveal())];
        self.json(self.get("/oauth2/v2.1/verify").query(&query), &[token.reveal()]).await
    }

    /// `POST /v2/oauth/verify`: whether a short-lived or long-lived token is good.
    ///
    /// # Errors
    /// [`Failure::Refused`] with 400 if it is not.
    pub async fn verify_opaque(&self, token: &PlainSecret) -> Result<Verified, Failure> {
        let form = [("access_token", token.reveal())];
        self.json(self.post("/v2/oauth/verify").form(&form), &[token.reveal()]).await
    }

    /// Whether a token is good, on the operation that is meant for its form.
    ///
    /// # Errors
    /// [`Failure::Refused`] with 400 if it is not.
    pub async fn verify(&self, token: &PlainSecret) -> Result<Verified, Failure> {
        let is_jws = token.reveal().bytes().filter(|&b| b == b'.').count() == 2;
        if is_jws { self.verify_v21(token).await } else { self.verify_opaque(token).await }
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
        let request = self.get("/oauth2/v2.1/tokens/kid").query(&query);
        let answer: KeyIds = self.json(request, &[assertion]).await?;
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
        let shown = [secret.reveal(), token.reveal()];
        self.send(self.post("/oauth2/v2.1/revoke").form(&form), &shown).await.map(drop)
    }

    /// `POST /v2/oauth/revoke`: ends a short-lived or long-lived token. One that is
    /// not good any more is no error.
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
        proof: &ClientAuthentication<'_>,
        with: With<'_>,
    ) -> Result<TokenResponse, Failure> {
        let mut form = vec![("grant_type", "client_credentials")];
        let id;
        let shown = match proof {
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
            return Err(unavailable("the answer holds no token that could be used"));
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

    /// Below the base address, which may have a path of its own.
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
            .map_err(|_| unavailable("the answer is not what LINE documents"))
    }

    /// The body of an answer that says yes. `shown` are the secrets in the request: what
    /// is told of a refusal does not repeat them, even if the answer does.
    async fn send(&self, request: RequestBuilder, shown: &[&str]) -> Result<Vec<u8>, Failure> {
        // Without its address: a query may hold a token.
        let lost = |error: reqwest::Error| unavailable(&told(&error.without_url()));
        let mut response = request.send().await.map_err(lost)?;
        if let Some(date) = date(response.headers()) {
            self.date.store(date, Relaxed);
        }
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(lost)? {
            if body.len() + part.len() > LONGEST_ANSWER {
                return Err(unavailable("the answer is too long"));
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

/// An error and what it came from, in one line.
fn told(error: &dyn std::error::Error) -> String {
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
        300..=399 => unavailable(&format!("answered {status}: is the address right?")),
        _ => Failure::Unavailable { why: format!("answered {status}"), retry_after },
    }
}

/// What an error's body says, in any of LINE's shapes: made fit for a line of a log.
fn words(body: &[u8], shown: &[&str]) -> String {
    #[derive(Deserialize)]
    struct Said {
        error: Option<String>,
        error_description: Option<String>,
        message: Option<String>,
    }
    let Ok(said) = serde_json::from_slice::<Said>(body) else {
        return "no words that we understand; is the address right?".to_owned();
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
