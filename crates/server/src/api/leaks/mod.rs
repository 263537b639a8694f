//! Reports of leaked tokens, in the forms that finders and secret scanners send. All of them do
//! the same: [`Admin::report_leaks`](crate::authority::admin::Admin::report_leaks).

// Public for fuzzing only.
#[doc(hidden)]
pub mod body;
mod gate;

pub use gate::{Admitted, LONGEST, admit, takes_reports};

use crate::{
    api::{
        admin::render_leak,
        app::App,
        form,
        reply::{self, Reply},
        subject::RequestId,
    },
    authority::{
        actor::{Actor, Reporter},
        admin::{self, HandledReport, LeakedText},
        leaks::Programme,
        source::Source,
    },
};
use axum::{
    Router,
    extract::{FromRequest, Request, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use body::{BadReport, ReportedToken};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};
use tegata_policy::secret::sha256;
use tegata_scan::Finder;
use tegata_store::Error;
use tokio::time::{Instant, sleep_until};

/// The type of our tokens in a self-managed GitLab: `gitleaks_rule_id_` and the id of the rule
/// in the book.
pub const GITLAB_TYPE: &str = "gitleaks_rule_id_tegata";

/// The routes.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/report", post(report))
        .route("/credentials/revoke", post(credentials))
        .route("/leaks/github", post(github))
        .route("/leaks/gitlab", post(gitlab))
        .route("/v1/revocable_token_types", get(types))
        .route("/v1/revoke_tokens", post(revoke_tokens))
}

/// A report, read whole.
struct Call {
    app: Arc<App>,
    admitted: Admitted,
    source: Source,
    id: Option<RequestId>,
    headers: HeaderMap,
    body: Bytes,
}

impl FromRequest<Arc<App>> for Call {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        // The HTTP server admits every report before it reads the body.
        let admitted = parts.extensions.remove::<Admitted>();
        let admitted = admitted.ok_or_else(|| reply::internal_error().into_response())?;
        let (source, id) = (Source::of(&parts.extensions), parts.extensions.get().copied());
        let headers = std::mem::take(&mut parts.headers);
        let body = Bytes::from_request(Request::from_parts(parts, body), app).await;
        let body = body.map_err(IntoResponse::into_response)?;
        Ok(Self { app: app.clone(), admitted, source, id, headers, body })
    }
}

/// `/report`: a token, or a text, from any client.
async fn report(call: Call) -> Reply {
    let read = match form::is_json(&call.headers) {
        true => body::token(&call.body),
        false => finder().map_or(Ok(Vec::new()), |it| body::text(it, &call.body)),
    };
    call.unsigned(read).await
}

/// `/credentials/revoke`: a list of tokens from any client, in the form of GitHub's API.
async fn credentials(call: Call) -> Reply {
    let read = body::credentials(&call.body);
    call.unsigned(read).await
}

/// `/leaks/github`: the secret scanning partner programme.
async fn github(call: Call) -> Reply {
    let reported = match call.signed_by(Programme::GitHub) {
        Ok(reported) => reported,
        Err(reply) => return *reply,
    };
    let named: Vec<_> = reported
        .iter()
        .map(|it| (HEXLOWER.encode(&sha256(&[it.text.reveal().as_bytes()])), it.kind.clone()))
        .collect();
    let ours = match call.handle(reported).await {
        Ok(handled) => handled.ours,
        Err(reply) => return *reply,
    };
    let label = |ours: bool| if ours { "true_positive" } else { "false_positive" };
    let feedback: Vec<_> = named
        .into_iter()
        .zip(ours)
        .map(|((hash, kind), ours)| {
            json!({ "token_hash": hash, "token_type": kind, "label": label(ours) })
        })
        .collect();
    reply::json(StatusCode::OK, json!(feedback).to_string())
}

/// `/leaks/gitlab`: the partner programme of GitLab.com.
async fn gitlab(call: Call) -> Reply {
    match call.signed_by(Programme::GitLab) {
        Ok(reported) => call.done(reported).await,
        Err(reply) => *reply,
    }
}

/// `/v1/revoke_tokens`: a self-managed GitLab.
async fn revoke_tokens(call: Call) -> Reply {
    match body::array(&call.body) {
        Ok(reported) if reported.iter().any(|it| it.kind != GITLAB_TYPE) => {
            let words = format!("the only type of token is {GITLAB_TYPE}");
            reply::message(StatusCode::BAD_REQUEST, &words)
        }
        Ok(reported) => call.done(reported).await,
        Err(bad) => rejected(bad),
    }
}

/// `/v1/revocable_token_types`: what a self-managed GitLab may send.
async fn types(State(app): State<Arc<App>>, source: Source, headers: HeaderMap) -> Reply {
    match gate::authorize(&app, &headers, source) {
        Ok(()) => reply::json(StatusCode::OK, json!({ "types": [GITLAB_TYPE] }).to_string()),
        Err(reply) => *reply,
    }
}

impl Call {
    /// The entries of a programme's report, if the programme signed it.
    fn signed_by(&self, programme: Programme) -> Result<Vec<ReportedToken>, Box<Reply>> {
        let forged = || Box::new(gate::forged(&self.app, self.source));
        let keys = self.app.leaks.keys(programme).ok_or_else(forged)?;
        let (id, signature) = gate::signed(&keys, programme, &self.headers).ok_or_else(forged)?;
        // Before anything of the body is read.
        keys.check(id, signature, &self.body).map_err(|_| forged())?;
        body::array(&self.body).map_err(|bad| Box::new(rejected(bad)))
    }

    /// Answers a report from any client: in the same words and after about the same time
    /// whether it names a token of ours or not.
    async fn unsigned(self, read: Result<Vec<ReportedToken>, BadReport>) -> Reply {
        let reported = match read {
            Ok(reported) => reported,
            Err(bad) => return rejected(bad),
        };
        match self.handle(reported).await {
            Ok(handled) => {
                later(handled.acts_began.into()).await;
                let words = "the report was accepted";
                reply::message(StatusCode::ACCEPTED, words)
            }
            Err(reply) => *reply,
        }
    }

    /// Answers a report whose sender learns nothing but that it is done.
    async fn done(&self, reported: Vec<ReportedToken>) -> Reply {
        match self.handle(reported).await {
            Ok(_) => {
                let mut reply = Reply::default();
                *reply.status_mut() = StatusCode::NO_CONTENT;
                reply
            }
            Err(reply) => *reply,
        }
    }

    /// Handles a report; returns for each entry whether it has a token that this authority
    /// signed.
    async fn handle(&self, reported: Vec<ReportedToken>) -> Result<HandledReport, Box<Reply>> {
        let reporter = self.admitted.reporter;
        let admin = self.app.authority.admin(Actor::Reporter(reporter), Some(self.source));
        let admin = admin.for_request(self.id.map(|it| it.0.to_string()));
        let entries = reported.len();
        let (mut leaked, mut entry_of) = (Vec::new(), Vec::new());
        for (entry, it) in reported.into_iter().enumerate() {
            // The first token of each entry, and further ones as far as a report may have tokens.
            let room = body::ENTRIES.saturating_sub(leaked.len()).max(1);
            let found = leaked_of(it, reporter).into_iter().take(room);
            leaked.extend(found);
            entry_of.resize(leaked.len(), entry);
        }
        let done = admin.report_leaks(leaked, render_leak).await.map_err(|error| {
            match error {
                admin::Error::Store(Error::Unavailable(_) | Error::NotNow(_)) => {}
                error => tracing::error!(%error, "a report of leaked tokens failed"),
            }
            Box::new(reply::unavailable())
        })?;
        let mut ours = vec![false; entries];
        for (entry, is_ours) in entry_of.into_iter().zip(done.ours) {
            ours[entry] |= is_ours;
        }
        Ok(HandledReport { ours, ..done })
    }
}

/// The tokens of an entry, which may have more around it than one token. An address is taken
/// from an authenticated reporter alone, and without any secret that we know by its form.
fn leaked_of(it: ReportedToken, reporter: Reporter) -> Vec<LeakedText> {
    static SECRETS: LazyLock<Option<Finder>> = LazyLock::new(|| Finder::new().ok());
    let url = it.url.filter(|_| reporter != Reporter::Unsigned);
    let found_at = url.and_then(|url| body::address(SECRETS.as_ref()?, &url));
    let found = finder().and_then(|finder| body::text(finder, it.text.reveal().as_bytes()).ok());
    let texts: Vec<_> = found.into_iter().flatten().map(|found| found.text).collect();
    let texts = if texts.is_empty() { vec![it.text] } else { texts };
    texts.into_iter().map(|text| LeakedText { text, found_at: found_at.clone() }).collect()
}

/// Finds tokens in texts. Its patterns always compile.
fn finder() -> Option<&'static Finder> {
    static FINDER: LazyLock<Option<Finder>> = LazyLock::new(|| Finder::for_tokens().ok());
    FINDER.as_ref()
}

/// Unsigned reports are answered at multiples of this time after their signatures were checked: a
/// commit takes less, so the time of the answer does not show whether there was one. From an
/// earlier moment the sender could choose how much of a step is over before the commit.
const STEP: Duration = Duration::from_millis(100);

async fn later(began: Instant) {
    let steps = began.elapsed().as_millis() / STEP.as_millis() + 1;
    sleep_until(began + STEP * u32::try_from(steps).unwrap_or(u32::MAX)).await;
}

fn rejected(bad: BadReport) -> Reply {
    let status = match bad {
        BadReport::Form(_) | BadReport::NotText | BadReport::LongToken => StatusCode::BAD_REQUEST,
        BadReport::Empty | BadReport::TooMany => StatusCode::UNPROCESSABLE_ENTITY,
    };
    reply::message(status, &bad.to_string())
}
