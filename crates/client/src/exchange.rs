//! One HTTP exchange with an authority: where to send a request, how much of the
//! response to read, and how an error response is read.

use crate::machine::MonotonicClock;
use reqwest::{Method, RequestBuilder, StatusCode, Url, header::HeaderMap};
use serde_json::Value;
use std::{
    fmt,
    time::{Duration, UNIX_EPOCH},
};
use tegata_policy::text::is_plain;
use tegata_token::time::UnixTime;

/// An address that no request can be sent to.
#[derive(Debug, thiserror::Error)]
pub enum BadAddress {
    /// No authority can be at it.
    #[error("{0}: write it as https://HOST, or http://HOST:PORT for an authority on this machine")]
    Form(String),
    /// This machine cannot verify certificates, for the reason in the second text.
    #[error("{0}: {1}; install the package `ca-certificates`, or name a file in SSL_CERT_FILE")]
    NoCertificates(String, String),
}

/// A request that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The response has another status than success.
    #[error(transparent)]
    Problem(Box<Problem>),
    /// There is no response, or it broke off.
    #[error("no response: {0}")]
    NoResponse(String),
    /// The response is longer than any of this operation; the rest is not read.
    #[error("the response is longer than {0} bytes")]
    TooLong(usize),
    /// A list whose pages do not end; the rest is not read.
    #[error("the list does not end: it has more than {0} pages, or 256 MiB")]
    Endless(usize),
    /// The response succeeds, but its body is not what this operation returns.
    #[error("the response is not as this operation documents it")]
    Unreadable,
}

/// Why a document was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum NotFetched {
    /// Its address is none that this crate sends requests to.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// The request did not succeed.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// Fetches a public document, such as a set of public keys: at most `longest` bytes.
///
/// # Errors
/// [`NotFetched`].
pub async fn fetch(url: &str, patience: Duration, longest: usize) -> Result<Vec<u8>, NotFetched> {
    let exchange = Exchange::new(url, patience)?;
    let request = exchange.http.get(exchange.base.clone());
    let response = exchange.send(request, longest).await?;
    if !response.status.is_success() {
        return Err(response.problem().into());
    }
    Ok(response.body)
}

/// What a response without success says: in problem details (RFC 9457), in OAuth's form
/// (RFC 6749, section 5.2) or in LINE's `message`. It may repeat what the request held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The status of the response.
    pub status: StatusCode,
    /// What is wrong, for programs: `code` in problem details, `error` in OAuth's form.
    pub code: Option<String>,
    /// The status in words, in problem details.
    pub title: Option<String>,
    /// What is wrong, for people; the wording may change.
    pub detail: Option<String>,
    /// After how many seconds a retry may succeed, from `Retry-After`.
    pub retry_after: Option<u64>,
    /// The id of the request, by which the server's log names it.
    pub request_id: Option<String>,
}

/// The seconds in `Retry-After`: a number, or a date (RFC 9110, section 10.2.3). A date is
/// of the sender's clock, so it is compared with the response's `Date`; without one, with
/// this machine's time `now`. A date in the past means that a retry may succeed at once.
fn pause(text: &str, date: Option<i64>, now: UnixTime) -> Option<u64> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit()) {
        return Some(text.parse().unwrap_or(u64::MAX));
    }
    let seconds = http_date(text)?.saturating_sub(date.unwrap_or(now.0));
    Some(u64::try_from(seconds).unwrap_or(0))
}

/// Seconds since 1970 of a date in any of the three forms that a recipient must accept
/// (RFC 9110, section 5.6.7).
fn http_date(text: &str) -> Option<i64> {
    let time = httpdate::parse_http_date(text).ok()?;
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).ok()
}

impl Problem {
    fn read(response: &HttpResponse, now: UnixTime) -> Self {
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        // Texts from elsewhere must not steer a terminal.
        let text = |name: &str| {
            let text = body[name].as_str()?;
            Some(text.chars().filter(|it| is_plain(*it)).collect::<String>())
        };
        let header = |name: &str| response.headers.get(name)?.to_str().ok();
        let code = text("code").or_else(|| text("error"));
        let detail = text("detail").or_else(|| text("error_description"));
        let message = || text("message").filter(|_| code.is_none());
        Self {
            status: response.status,
            title: text("title"),
            detail: detail.or_else(message),
            code,
            retry_after: header("Retry-After").and_then(|it| pause(it, response.date(), now)),
            request_id: header("X-Line-Request-Id").map(str::to_owned),
        }
    }

    /// The detail and the code in one line, if the response has any.
    #[must_use]
    pub fn summary(&self) -> Option<String> {
        match (&self.detail, &self.code) {
            (Some(detail), Some(code)) => Some(format!("{detail} ({code})")),
            (text, code) => text.as_ref().or(code.as_ref()).cloned(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "answered {}", self.status)?;
        self.summary().map_or(Ok(()), |summary| write!(f, ": {summary}"))
    }
}

impl std::error::Error for Problem {}

/// A response, read whole.
pub(crate) struct HttpResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl HttpResponse {
    pub fn problem(&self) -> RequestError {
        let now = MonotonicClock::new().wall();
        RequestError::Problem(Box::new(Problem::read(self, now)))
    }

    /// Seconds since 1970 in the `Date` header (RFC 9110, section 6.6.1).
    pub fn date(&self) -> Option<i64> {
        http_date(self.headers.get("Date")?.to_str().ok()?)
    }
}

/// Parses the address of an authority.
///
/// # Errors
/// [`BadAddress::Form`], which does not repeat an address that may have a password in it.
pub fn address(base: &str) -> Result<Url, BadAddress> {
    let bad = || match base.contains('@') {
        true => BadAddress::Form("an address with `@`, which is not repeated here".to_owned()),
        false => BadAddress::Form(base.to_owned()),
    };
    let url = Url::parse(base).map_err(|_| bad())?;
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    match matches!(url.scheme(), "http" | "https") && !has_credentials {
        true => Ok(url),
        false => Err(bad()),
    }
}

/// Sends requests to one authority. Opens connections when they are needed and keeps them.
pub(crate) struct Exchange {
    http: reqwest::Client,
    base: Url,
}

impl Exchange {
    /// Waits `patience` for each response. Follows no redirects, which could carry a
    /// secret elsewhere, and uses no proxy for this machine.
    pub fn new(base: &str, patience: Duration) -> Result<Self, BadAddress> {
        let url = address(base)?;
        let http = tegata_system::http::client_for(&url)
            .timeout(patience)
            .pool_max_idle_per_host(2)
            .user_agent(concat!("tegata-client/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| BadAddress::NoCertificates(base.to_owned(), cause(&error)))?;
        Ok(Self { http, base: url })
    }

    /// The base address, as an operator writes it.
    pub fn address(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    /// A request to a path below the base address, which may have a path of its own. Each
    /// part becomes one segment, whatever characters it holds.
    pub fn request<'a>(
        &self,
        method: Method,
        path: impl IntoIterator<Item = &'a str>,
    ) -> RequestBuilder {
        let mut url = self.base.clone();
        // Every http address can be a base.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        self.http.request(method, url)
    }

    /// Sends a request and reads at most `longest` bytes of the response's body.
    pub async fn send(
        &self,
        request: RequestBuilder,
        longest: usize,
    ) -> Result<HttpResponse, RequestError> {
        // Without its address: a query may hold a token.
        let lost = |error: reqwest::Error| RequestError::NoResponse(cause(&error.without_url()));
        let mut response = request.send().await.map_err(lost)?;
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(lost)? {
            if body.len() + part.len() > longest {
                return Err(RequestError::TooLong(longest));
            }
            body.extend_from_slice(&part);
        }
        let headers = std::mem::take(response.headers_mut());
        Ok(HttpResponse { status: response.status(), headers, body })
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.base)
    }
}

/// Adds an `Idempotency-Key`, if there is one.
pub(crate) fn with_idempotency_key(request: RequestBuilder, key: Option<&str>) -> RequestBuilder {
    match key {
        Some(key) => request.header("Idempotency-Key", key),
        None => request,
    }
}

/// The innermost cause of an error, such as `connection refused`: the layers around it
/// name the parts of the HTTP library, which an operator cannot act on.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let text = causes.last().map(ToString::to_string).unwrap_or_default();
    // The number repeats the text that precedes it.
    let text = text.split(" (os error ").next().unwrap_or_default();
    let mut letters = text.chars();
    let first = letters.next().map(|it| it.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &[(&'static str, &str)], body: &str) -> HttpResponse {
        let headers = headers.iter().map(|(name, value)| {
            (name.parse::<reqwest::header::HeaderName>().unwrap(), value.parse().unwrap())
        });
        HttpResponse {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers.collect(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_path_of_the_base_address_is_kept_and_a_part_stays_one_segment() {
        let at = |base, path: &[&str]| {
            let exchange = Exchange::new(base, Duration::from_secs(1)).unwrap();
            let request = exchange.request(Method::GET, path.iter().copied());
            request.build().unwrap().url().to_string()
        };
        assert_eq!(at("https://a", &["v2", "b"]), "https://a/v2/b");
        assert_eq!(at("https://a/line/", &["v2", "b"]), "https://a/line/v2/b");
        assert_eq!(at("https://a", &["x/../y?z#"]), "https://a/x%2F..%2Fy%3Fz%23");
    }

    #[test]
    fn a_problem_is_read_in_each_of_the_three_forms() {
        let summary = |body: &str| Problem::read(&response(400, &[], body), UnixTime(0)).summary();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(summary(r#"{"title":"t","detail":"d","code":"c"}"#), text("d (c)"));
        assert_eq!(summary(r#"{"detail":"d"}"#), text("d"));
        assert_eq!(summary(r#"{"error":"a","error_description":"b"}"#), text("b (a)"));
        assert_eq!(summary(r#"{"error":"a","message":"m"}"#), text("a"));
        assert_eq!(summary("{\"message\":\"c\\n\\u001b[2J\"}"), text("c[2J"));
        for none in ["", "<html>", "{}", r#"{"detail":5}"#, "[]", "\"detail\""] {
            assert_eq!(summary(none), None, "{none}");
        }
    }

    #[test]
    fn the_headers_of_a_problem_and_the_date_are_read() {
        let headers = [
            ("retry-after", "7"),
            ("x-line-request-id", "6f0e-1"),
            ("date", "Tue, 15 Nov 1994 08:12:31 GMT"),
        ];
        let response = response(503, &headers, "");
        let problem = Problem::read(&response, UnixTime(0));
        assert_eq!((problem.retry_after, problem.request_id.as_deref()), (Some(7), Some("6f0e-1")));
        assert_eq!(problem.to_string(), "answered 503 Service Unavailable");
        assert_eq!(response.date(), Some(784_887_151));
    }

    #[test]
    fn both_forms_of_retry_after_are_read_and_a_date_by_the_senders_clock() {
        const SENT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        let sent = UnixTime(784_111_777);
        let read = |hint: &str, date: &str, now: UnixTime| {
            let headers = [("retry-after", hint), ("date", date)];
            let count = if date.is_empty() { 1 } else { 2 };
            Problem::read(&response(503, &headers[..count], ""), now).retry_after
        };
        let later = [
            "Sun, 06 Nov 1994 08:51:37 GMT",
            "Sunday, 06-Nov-94 08:51:37 GMT",
            "Sun Nov  6 08:51:37 1994",
        ];
        for hint in later.into_iter().chain(["120", " 120 "]) {
            assert_eq!(read(hint, SENT, UnixTime(0)), Some(120), "{hint}");
            assert_eq!(read(hint, "", sent), Some(120), "{hint} without a Date");
        }
        assert_eq!(read(SENT, "", sent.plus(60)), Some(0), "in the past");
        assert_eq!(read("99999999999999999999", SENT, sent), Some(u64::MAX));
        for none in ["", "-1", "soon", "1.5", "Sun, 32 Nov 1994 08:51:37 GMT"] {
            assert_eq!(read(none, SENT, sent), None, "{none}");
        }
    }
}
