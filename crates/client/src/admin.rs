//! Tegata's administration: requests to the paths below `/admin/v1`, which LINE does
//! not have. Bodies and responses are JSON, as the API's description documents them.

use crate::{
    call::{Client, value},
    exchange::{BadAddress, Exchange, RequestError, with_idempotency_key},
};
pub use reqwest::Method;
use reqwest::RequestBuilder;
use serde::Serialize;
use serde_json::{Map, Value};
use std::time::Duration;
use tegata_policy::secret::PlainSecret;
use tegata_token::time::UnixTime;

/// How long a response may take, beyond the time that the request itself asks to wait.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How many rows a page may hold.
const LONGEST_PAGE: &str = "1000";

/// No response is longer, in bytes; more is not read.
const LONGEST_RESPONSE: usize = 16 << 20;

/// No list has more pages, and none is longer in bytes; more is not read.
const MOST_PAGES: usize = 1_000;
const LONGEST_LIST: usize = 256 << 20;

/// Administers one authority with the administrator's token. A path is given by its
/// parts, such as `["channels", id]`.
#[derive(Debug)]
pub struct AdminClient {
    exchange: Exchange,
    /// `None`: for the calls that need none.
    token: Option<PlainSecret>,
}

/// An act that takes something away.
#[derive(Debug, Clone)]
pub struct TakingCall<'a> {
    /// `POST`, `PATCH` or `DELETE`.
    pub method: Method,
    /// The members of the body, or the parameters of a `DELETE`, `wait_seconds` included.
    pub members: &'a Map<String, Value>,
    /// For how many seconds the response may be delayed.
    pub wait: u16,
    /// The `Idempotency-Key`, if there is one: a retry under the same key is answered with
    /// the same token.
    pub idempotency_key: Option<&'a str>,
}

impl AdminClient {
    /// A client of the authority at `base`. Opens no connection yet.
    ///
    /// # Errors
    /// [`BadAddress`].
    pub fn new(base: &str, token: PlainSecret) -> Result<Self, BadAddress> {
        Ok(Self { exchange: Exchange::new(base, PATIENCE)?, token: Some(token) })
    }

    /// A client without a token, for the calls that need none: signing in.
    ///
    /// # Errors
    /// [`BadAddress`].
    pub fn anonymous(base: &str) -> Result<Self, BadAddress> {
        Ok(Self { exchange: Exchange::new(base, PATIENCE)?, token: None })
    }

    /// `GET`, with a query.
    ///
    /// # Errors
    /// [`RequestError`], as of every request here.
    pub async fn get(&self, path: &[&str], query: &impl Serialize) -> Result<Value, RequestError> {
        self.send(Method::GET, path, |it| it.query(query)).await
    }

    /// `GET` whose response may take up to `wait` seconds longer.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn get_and_wait(
        &self,
        path: &[&str],
        query: &impl Serialize,
        wait: u16,
    ) -> Result<Value, RequestError> {
        self.send(Method::GET, path, |it| it.query(query).timeout(patience(wait))).await
    }

    /// All rows of a list, from each of its pages: the members `name`.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn rows(&self, path: &[&str], name: &str) -> Result<Vec<Value>, RequestError> {
        let (mut rows, mut length) = (Vec::new(), 0);
        let mut after = Value::Null;
        for _ in 0..MOST_PAGES {
            let query = [("limit", Some(LONGEST_PAGE)), ("after", after.as_str())];
            let (mut page, read) = self.read(Method::GET, path, |it| it.query(&query)).await?;
            match page[name].take() {
                Value::Array(more) => rows.extend(more),
                _ => return Err(RequestError::Unreadable),
            }
            length += read;
            match page["next"].take() {
                Value::Null => return Ok(rows),
                _ if length > LONGEST_LIST => break,
                // The same cursor again would lead to the same page without end.
                next if next.is_string() && next != after => after = next,
                _ => return Err(RequestError::Unreadable),
            }
        }
        Err(RequestError::Endless(MOST_PAGES))
    }

    /// `POST`.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn post(&self, path: &[&str], body: &Value) -> Result<Value, RequestError> {
        self.send(Method::POST, path, |it| it.json(body)).await
    }

    /// `DELETE`, of what takes no options.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn delete(&self, path: &[&str]) -> Result<Value, RequestError> {
        self.send(Method::DELETE, path, |it| it).await
    }

    /// `DELETE` with a query.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn delete_with(&self, path: &[&str], query: &Value) -> Result<Value, RequestError> {
        self.send(Method::DELETE, path, |it| it.query(query)).await
    }

    /// `PATCH`.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn patch(&self, path: &[&str], body: &Value) -> Result<Value, RequestError> {
        self.send(Method::PATCH, path, |it| it.json(body)).await
    }

    /// An act that takes something away, or its dry run.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn take(&self, path: &[&str], act: TakingCall<'_>) -> Result<Value, RequestError> {
        let TakingCall { method, members, wait, idempotency_key } = act;
        let query = method == Method::DELETE;
        self.send(method, path, |it| {
            let it = with_idempotency_key(it.timeout(patience(wait)), idempotency_key);
            if query { it.query(members) } else { it.json(members) }
        })
        .await
    }

    /// An empty body of a response reads as null.
    async fn send(
        &self,
        method: Method,
        path: &[&str],
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Value, RequestError> {
        self.read(method, path, with).await.map(|(value, _)| value)
    }

    /// The same with the length of the body, in bytes.
    async fn read(
        &self,
        method: Method,
        path: &[&str],
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<(Value, usize), RequestError> {
        let path = ["admin", "v1"].iter().chain(path).copied();
        let request = self.exchange.request(method, path);
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.reveal()),
            None => request,
        };
        let response = self.exchange.send(with(request), LONGEST_RESPONSE).await?;
        if !response.status.is_success() {
            return Err(response.problem());
        }
        let read = match response.body.as_slice() {
            b"" => Value::Null,
            body => value(body)?,
        };
        Ok((read, response.body.len()))
    }
}

fn patience(wait: u16) -> Duration {
    PATIENCE + Duration::from_secs(wait.into())
}

impl Client {
    /// The authority's time, from the `Date` of a response that every server has.
    /// A development server's follows its clock, which can be moved.
    pub async fn authority_time(&self) -> Option<UnixTime> {
        // A response without success has a `Date`, too.
        let _ = self.send(self.get("livez")).await;
        self.take_authority_time()
    }
}
