//! The authority that commands ask: its address, the administrator's token, and the
//! errors and exit codes that its responses become. The requests are those of
//! `tegata_client`.

use crate::{
    advice::Advice,
    failure::{BadUsage, NotNow, Unreachable},
    files::admin_token,
    ids::finder,
};
use anyhow::anyhow;
use jiff::Timestamp;
use reqwest::Url;
use serde::Serialize;
use serde_json::{Value, json};
use std::{path::PathBuf, sync::OnceLock};
use tegata_client::{
    admin::{AdminClient, PATIENCE, TakingCall},
    call::{Client, ClientAuthentication, With},
    exchange::{BadAddress, Problem, RequestError, address},
};
use tegata_policy::secret::PlainSecret;
use tegata_system::variable;
use tegata_token::time::UnixTime;

/// Under which heading the help shows what every command takes.
pub const EVERYWHERE: &str = "Everywhere";

/// Which authority to talk to.
#[derive(clap::Args)]
pub struct Remote {
    /// Address of the authority.
    #[arg(
        long,
        global = true,
        help_heading = EVERYWHERE,
        env,
        hide_env_values = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    // The parser of the arguments would print an address that may have a password in it.
    url: String,
    /// File with the administrator's token; or set TEGATA_ADMIN_TOKEN or
    /// TEGATA_ADMIN_TOKEN_FILE. With `admin reset`: the file that the server reads its
    /// token from; TEGATA_ADMIN_TOKEN_FILE is ignored there.
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
}

/// The error of an address that cannot be used, named by its variable if it comes from there.
pub fn bad_address(bad: &BadAddress, text: &str, of: (&str, &str)) -> BadUsage {
    let from_variable = variable::text(of.1).ok().flatten().is_some_and(|it| it == text);
    BadUsage(format!("{}: {bad}", if from_variable { of.1 } else { of.0 }))
}

/// A moment as users write it.
pub fn time(text: &str) -> Result<Timestamp, &'static str> {
    text.parse().map_err(|_| "write it as a date and a time in UTC, such as 2026-11-26T09:00:00Z")
}

/// Which page of a list.
#[derive(clap::Args, Serialize)]
pub struct Page {
    /// Continue after this cursor, which the previous page printed.
    #[arg(long, value_name = "CURSOR", allow_hyphen_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Maximum number of rows.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
}

impl Remote {
    /// A client of the authority. Opens no connection yet.
    pub fn connect(&self) -> anyhow::Result<Api> {
        let wrong = |bad| bad_address(&bad, &self.url, ("--url", "TEGATA_URL"));
        Ok(Api {
            line: Client::with_patience(&self.url, PATIENCE).map_err(wrong)?,
            admin: OnceLock::new(),
            url: address(&self.url).map_err(wrong)?,
            token_file: self.admin_token_file.clone(),
        })
    }
}

/// What the authority knows of a token.
pub enum Explained {
    /// Its facts.
    Known(Value),
    /// It is none of its own, or of a channel that the actor may not see.
    Foreign,
    /// It is of a channel whose tokens the actor may not read.
    Forbidden,
}

/// A client of one authority, whose errors are for people at a terminal.
pub struct Api {
    line: Client,
    admin: OnceLock<AdminClient>,
    url: Url,
    token_file: Option<PathBuf>,
}

impl Api {
    /// The link with which an invitation is accepted in a browser: where the authority's settings
    /// say that the console is, or else where this command reaches it.
    pub fn invitation_link(&self, invited: &Value) -> Value {
        let url = self.url.as_str().trim_end_matches('/');
        let invitation = invited["invitation"].as_str().unwrap_or_default();
        match &invited["link"] {
            Value::Null => format!("{url}/console/invitation#{invitation}").into(),
            link => link.clone(),
        }
    }

    /// `GET` of an admin path, such as `["channels", id]`, with query `query`.
    pub async fn get(&self, path: &[&str], query: &impl Serialize) -> anyhow::Result<Value> {
        self.read(self.admin()?.get(path, query).await)
    }

    /// `GET` of an admin path whose response may take up to `wait` seconds longer.
    pub async fn get_and_wait(
        &self,
        path: &[&str],
        query: &impl Serialize,
        wait: u16,
    ) -> anyhow::Result<Value> {
        self.read(self.admin()?.get_and_wait(path, query, wait).await)
    }

    /// All rows of an admin list, from all its pages.
    pub async fn rows(&self, path: &[&str], name: &str) -> anyhow::Result<Vec<Value>> {
        self.read(self.admin()?.rows(path, name).await)
    }

    /// Where the authority is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether there is an administrator's token to ask with.
    pub fn is_administrators(&self) -> anyhow::Result<bool> {
        Ok(self.admin.get().is_some() || admin_token(self.token_file.as_deref())?.is_some())
    }

    /// `POST` to an admin path.
    pub async fn post(&self, path: &[&str], body: &Value) -> anyhow::Result<Value> {
        self.read(self.admin()?.post(path, body).await)
    }

    /// `POST` to an admin path that needs no administrator's token.
    pub async fn post_openly(&self, path: &[&str], body: &Value) -> anyhow::Result<Value> {
        self.read(AdminClient::anonymous(self.url.as_str())?.post(path, body).await)
    }

    /// The same authority, asked with this token.
    pub fn with_token(&self, token: PlainSecret) -> anyhow::Result<Self> {
        let line = Client::with_patience(self.url.as_str(), PATIENCE)?;
        let admin = OnceLock::from(AdminClient::new(self.url.as_str(), token)?);
        Ok(Self { line, admin, url: self.url.clone(), token_file: None })
    }

    /// `DELETE` of an admin path that takes no options.
    pub async fn delete(&self, path: &[&str]) -> anyhow::Result<Value> {
        self.read(self.admin()?.delete(path).await)
    }

    /// `DELETE` of an admin path with a query.
    pub async fn delete_with(&self, path: &[&str], query: &Value) -> anyhow::Result<Value> {
        self.read(self.admin()?.delete_with(path, query).await)
    }

    /// What the authority knows of a token.
    pub async fn explain(&self, token: &PlainSecret) -> anyhow::Result<Explained> {
        let body = json!({ "access_token": token.reveal() });
        let response = self.admin()?.post(&["explain"], &body).await;
        let code = match &response {
            Err(RequestError::Problem(problem)) => problem.code.as_deref(),
            _ => None,
        };
        match code {
            Some("not-our-token") => Ok(Explained::Foreign),
            Some("forbidden") => Ok(Explained::Forbidden),
            _ => self.read(response).map(Explained::Known),
        }
    }

    /// `GET` of an admin path; `None` if the token may not read it, or it is not there.
    pub async fn get_if_any(&self, path: &[&str]) -> anyhow::Result<Option<Value>> {
        let response = self.admin()?.get(path, &()).await;
        match &response {
            Err(RequestError::Problem(problem))
                if matches!(problem.code.as_deref(), Some("forbidden" | "not-found")) =>
            {
                Ok(None)
            }
            _ => self.read(response).map(Some),
        }
    }

    /// `PATCH` of an admin path.
    pub async fn patch(&self, path: &[&str], body: &Value) -> anyhow::Result<Value> {
        self.read(self.admin()?.patch(path, body).await)
    }

    /// An act that takes something away, or its dry run.
    pub async fn take(&self, path: &[&str], act: TakingCall<'_>) -> anyhow::Result<Value> {
        self.read(self.admin()?.take(path, act).await)
    }

    /// Asks for a token on LINE's operation at `path`.
    pub async fn issue(
        &self,
        path: &str,
        authentication: &ClientAuthentication<'_>,
        with: With<'_>,
    ) -> anyhow::Result<Value> {
        self.read(self.line.issue_response(path, authentication, with).await)
    }

    /// Verifies a token on LINE's operation for its form.
    pub async fn verify(&self, token: &PlainSecret) -> anyhow::Result<Value> {
        self.read(self.line.verify_response(token).await)
    }

    /// The authority's time, by which it verifies assertions; this machine's if the authority
    /// names none.
    pub async fn now(&self) -> UnixTime {
        let machine = || UnixTime(Timestamp::now().as_second());
        self.line.authority_time().await.unwrap_or_else(machine)
    }

    fn admin(&self) -> anyhow::Result<&AdminClient> {
        if let Some(admin) = self.admin.get() {
            return Ok(admin);
        }
        let missing = || {
            let advice = "no administrator's token: set TEGATA_ADMIN_TOKEN, or \
                          TEGATA_ADMIN_TOKEN_FILE to the file that `tegata serve` named when it \
                          started";
            BadUsage(advice.to_owned())
        };
        let token = admin_token(self.token_file.as_deref())?.ok_or_else(missing)?;
        let admin = AdminClient::new(self.url.as_str(), token)?;
        Ok(self.admin.get_or_init(|| admin))
    }

    fn read<T>(&self, response: Result<T, RequestError>) -> anyhow::Result<T> {
        response.map_err(|error| match error {
            RequestError::Problem(problem) => self.refused(&problem),
            RequestError::NoResponse(why) => self.unreachable(&why),
            RequestError::Unreadable => {
                anyhow!("{} does not answer like a tegata server", self.url)
            }
            RequestError::TooLong(_) | RequestError::Endless(_) => {
                anyhow!("{}: {error}", self.url)
            }
        })
    }

    fn refused(&self, problem: &Problem) -> anyhow::Error {
        let status = problem.status;
        let said = match problem.code.as_deref() {
            // Only the administrators' API has this code, and its detail is for HTTP clients.
            Some("unauthorized") => Some(
                "the administrator's token was refused: it is another authority's, or a personal \
                 token that expired or was deleted, or whose person is disabled \
                 (--admin-token-file, TEGATA_ADMIN_TOKEN or TEGATA_ADMIN_TOKEN_FILE)"
                    .to_owned(),
            ),
            Some("not-found") => {
                let what = problem.detail.as_deref().and_then(|it| it.strip_prefix(NO_SUCH));
                let what = what.filter(|it| FOUND_BY_ID.contains(it));
                let next = what.and_then(|it| finder(it, ""));
                let next = next.map_or(String::new(), |it| format!("; {it}"));
                problem.summary().map(|it| it + &next)
            }
            _ => problem.summary(),
        };
        let said = said.unwrap_or_else(|| match status.is_redirection() {
            true => format!(
                "{} answered {status}, and a redirect is not followed; name the authority's \
                 own address with --url or TEGATA_URL",
                self.url
            ),
            // A proxy's own page, mostly.
            false if status.is_client_error() => format!(
                "{} answered {status}; is this the authority's address? Name it with --url or \
                 TEGATA_URL",
                self.url
            ),
            false => format!("{} answered {status}", self.url),
        });
        let again = problem.retry_after.map(|seconds| format!("try again in {seconds} s"));
        let again = again.filter(|it| !said.contains(it.as_str())).map(|it| format!("; {it}"));
        // What is the server's fault, its operator can look up.
        let request = problem.request_id.as_ref().filter(|_| status.is_server_error());
        let look_up = request.map(|id| format!("; the server's log has more on request {id}"));
        let more = [again, look_up].into_iter().flatten().collect::<String>();
        let said = match more.is_empty() {
            true => said,
            // LINE's words are whole sentences.
            false => format!("{}{more}", said.trim_end_matches('.')),
        };
        match status.is_server_error() || status.as_u16() == 429 {
            true => NotNow(said).into(),
            false => anyhow!(said),
        }
    }

    fn unreachable(&self, error: &str) -> anyhow::Error {
        let advice = ADVICE.about(error);
        Unreachable(format!("no response from {} ({error}); {advice}", self.url)).into()
    }
}

/// What a user of the command line can set.
const ADVICE: Advice = Advice { address: "--url or TEGATA_URL", issuer: "SSL_CERT_FILE" };

/// The objects of requests that a command can find.
const FOUND_BY_ID: [&str; 8] = [
    "channel",
    "provider",
    "verifier",
    "signing key",
    "receipt",
    "token on this channel",
    "person",
    "administrator's token",
];

/// How the detail of a problem begins if the object of the request does not exist.
const NO_SUCH: &str = "there is no such ";
