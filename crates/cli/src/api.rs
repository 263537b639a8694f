//! The way to a running authority: where it is, who asks, and what its answers
//! mean for somebody at a terminal.

use crate::{
    failure::{BadUsage, Unreachable},
    files::admin_token,
};
use anyhow::anyhow;
use reqwest::{Method, RequestBuilder, Url};
use serde::Serialize;
use serde_json::Value;
use std::{path::PathBuf, time::Duration};

/// Under which heading the help shows what every command takes.
pub const EVERYWHERE: &str = "Everywhere";

/// Which authority to talk to.
#[derive(clap::Args)]
pub struct Remote {
    /// Where the authority listens.
    #[arg(
        long,
        global = true,
        help_heading = EVERYWHERE,
        env,
        value_name = "URL",
        value_parser = url,
        default_value = "http://127.0.0.1:8080"
    )]
    url: Url,
    /// File with the administrator's token; or set TEGATA_ADMIN_TOKEN or
    /// TEGATA_ADMIN_TOKEN_FILE. With `admin reset`: the file that the server reads its
    /// token from; TEGATA_ADMIN_TOKEN_FILE does not count there.
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
}

fn url(text: &str) -> Result<Url, &'static str> {
    text.parse().map_err(|_| "write it as an address, such as http://127.0.0.1:8080")
}

/// Which page of a list.
#[derive(clap::Args, Serialize)]
pub struct Page {
    /// Go on behind this cursor, which the page before gave.
    #[arg(long, value_name = "CURSOR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most so many rows.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
}

/// The query of a deletion that is only rehearsed.
pub const DRY_RUN: [(&str, bool); 1] = [("dry_run", true)];

/// How long an answer may take beyond what was asked to be waited for.
const PATIENCE: Duration = Duration::from_secs(30);

impl Remote {
    /// A client of the authority. Opens no connection yet.
    pub fn connect(&self) -> anyhow::Result<Api> {
        if self.url.cannot_be_a_base() || !matches!(self.url.scheme(), "http" | "https") {
            return Err(BadUsage(format!("--url: {} is no http address", self.url)).into());
        }
        Ok(Api {
            http: http_client(&self.url)?,
            url: self.url.clone(),
            token_file: self.admin_token_file.clone(),
        })
    }
}

/// A client for requests to `target` that waits at most [`PATIENCE`] for an answer.
pub fn http_client(target: &Url) -> reqwest::Result<reqwest::Client> {
    tegata_system::http::client_for(target).timeout(PATIENCE).build()
}

/// A client of one authority.
pub struct Api {
    http: reqwest::Client,
    url: Url,
    token_file: Option<PathBuf>,
}

impl Api {
    /// `GET` of an admin path, such as `["channels", id]`, with query `query`.
    pub async fn get(&self, path: &[&str], query: &impl Serialize) -> anyhow::Result<Value> {
        self.admin(Method::GET, path, |it| it.query(query)).await
    }

    /// `GET` of an admin path whose answer may take up to `wait` seconds longer.
    pub async fn get_and_wait(&self, path: &[&str], wait: u16) -> anyhow::Result<Value> {
        let patience = PATIENCE + Duration::from_secs(wait.into());
        self.admin(Method::GET, path, |it| it.timeout(patience)).await
    }

    /// `POST` to an admin path.
    pub async fn post(&self, path: &[&str], body: &Value) -> anyhow::Result<Value> {
        self.admin(Method::POST, path, |it| it.json(body)).await
    }

    /// `POST` to an admin path whose answer may take up to `wait` seconds longer.
    pub async fn post_and_wait(
        &self,
        path: &[&str],
        body: &Value,
        wait: u16,
    ) -> anyhow::Result<Value> {
        let patience = PATIENCE + Duration::from_secs(wait.into());
        self.admin(Method::POST, path, |it| it.timeout(patience).json(body)).await
    }

    /// `POST` to an admin path, with an `Idempotency-Key`.
    pub async fn post_once(
        &self,
        path: &[&str],
        body: &Value,
        key: Option<&str>,
    ) -> anyhow::Result<Value> {
        self.admin(Method::POST, path, |it| with_key(it, key).json(body)).await
    }

    /// `PATCH` of an admin path.
    pub async fn patch(&self, path: &[&str], body: &Value) -> anyhow::Result<Value> {
        self.admin(Method::PATCH, path, |it| it.json(body)).await
    }

    /// `DELETE` of an admin path, with query `query`.
    pub async fn delete(&self, path: &[&str], query: &impl Serialize) -> anyhow::Result<Value> {
        self.admin(Method::DELETE, path, |it| it.query(query)).await
    }

    /// `POST` of a form to one of LINE's operations.
    pub async fn form(
        &self,
        path: &str,
        form: &[(&str, &str)],
        key: Option<&str>,
    ) -> anyhow::Result<Value> {
        let request = self.http.post(self.at(path.split('/'))).form(form);
        self.answer(with_key(request, key)).await
    }

    /// `GET` of one of LINE's operations.
    pub async fn ask(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Value> {
        self.answer(self.http.get(self.at(path.split('/'))).query(query)).await
    }

    /// The time by which the authority judges, in seconds since 1970: that of a
    /// development server, whose clock may have been moved, or else this machine's.
    pub async fn now(&self) -> i64 {
        let development = self.ask("dev/clock", &[]).await;
        let moved = development.ok().and_then(|clock| clock["now_unix"].as_i64());
        moved.unwrap_or_else(|| jiff::Timestamp::now().as_second())
    }

    async fn admin(
        &self,
        method: Method,
        path: &[&str],
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> anyhow::Result<Value> {
        let url = self.at(["admin", "v1"].iter().chain(path).copied());
        let request = self.http.request(method, url).bearer_auth(self.token()?);
        self.answer(with(request)).await
    }

    /// Each part becomes one segment, whatever characters it holds.
    fn at<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.url.clone();
        // An address that can be a base was checked for in `connect`.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    fn token(&self) -> anyhow::Result<String> {
        let missing = || {
            let advice = "no administrator's token: set TEGATA_ADMIN_TOKEN, or \
                          TEGATA_ADMIN_TOKEN_FILE to the file that `tegata serve` named when it \
                          started";
            BadUsage(advice.to_owned()).into()
        };
        admin_token(self.token_file.as_deref())?.ok_or_else(missing)
    }

    async fn answer(&self, request: RequestBuilder) -> anyhow::Result<Value> {
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let (retry_after, request) = (header("Retry-After"), header("X-Line-Request-Id"));
        let body = response.bytes().await.map_err(|error| self.unreachable(error))?;
        if status.is_success() {
            return match body.as_ref() {
                b"" => Ok(Value::Null),
                body => serde_json::from_slice(body)
                    .map_err(|_| anyhow!("{} does not answer like a tegata server", self.url)),
            };
        }
        let said = serde_json::from_slice(&body).ok().and_then(|it| reason(&it));
        let said = said.unwrap_or_else(|| match status.is_redirection() {
            true => format!(
                "{} answered {status}, and a redirect is not followed; name the authority's \
                 own address with --url or TEGATA_URL",
                self.url
            ),
            false => format!("{} answered {status}", self.url),
        });
        let again = retry_after.map(|seconds| format!("; try again in {seconds} s"));
        // What is the server's fault, its operator can look up.
        let request = request.filter(|_| status.is_server_error());
        let look_up = request.map(|id| format!("; the server's log has more on request {id}"));
        let more = [again, look_up].into_iter().flatten().collect::<String>();
        Err(match more.is_empty() {
            true => anyhow!(said),
            // LINE's words are whole sentences.
            false => anyhow!("{}{more}", said.trim_end_matches('.')),
        })
    }

    fn unreachable(&self, error: reqwest::Error) -> anyhow::Error {
        // Without its address: a query may hold a token.
        let error = format!("{:#}", anyhow::Error::from(error.without_url()));
        let advice = match error.contains("certificate") {
            true => {
                "if its certificate is of an authority of your own, name that one's file in \
                     SSL_CERT_FILE"
            }
            false => {
                "is `tegata serve` running there? Name another address with --url or TEGATA_URL"
            }
        };
        Unreachable(format!("no answer from {} ({error}); {advice}", self.url)).into()
    }
}

fn with_key(request: RequestBuilder, key: Option<&str>) -> RequestBuilder {
    match key {
        Some(key) => request.header("Idempotency-Key", key),
        None => request,
    }
}

/// Why, in each of the three dialects that the authority speaks: problem+json
/// (RFC 9457), OAuth's errors (RFC 6749) and LINE's `message`.
fn reason(body: &Value) -> Option<String> {
    let text = |name: &str| body[name].as_str();
    match (text("detail"), text("code")) {
        // Only the administrators' API has this code, and its detail is for HTTP clients.
        (_, Some("unauthorized")) => {
            return Some(
                "the administrator's token was refused; is it this authority's? \
                 (--admin-token-file, TEGATA_ADMIN_TOKEN or TEGATA_ADMIN_TOKEN_FILE)"
                    .to_owned(),
            );
        }
        (Some(detail), Some(code)) => return Some(format!("{detail} ({code})")),
        (Some(detail), None) => return Some(detail.to_owned()),
        _ => {}
    }
    match (text("error_description"), text("error")) {
        (Some(description), Some(error)) => Some(format!("{description} ({error})")),
        (None, Some(error)) => Some(error.to_owned()),
        _ => text("message").map(str::to_owned),
    }
}
