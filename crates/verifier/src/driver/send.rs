//! Requests over HTTP.

use super::{FollowSettings, Inner, RequestFailure, VerifierStartError, clock, in_seconds, lock};
use crate::follower::{Received, Request};
use reqwest::{
    Client, Response, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, RETRY_AFTER},
};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use tegata_token::{
    feed::{LONGEST_SNAPSHOT, UsageReport},
    id::Position,
};

/// Maximum length of a response to an introspection.
const LONGEST_ANSWER: usize = 64 * 1024;

pub(super) struct Sender {
    http: Client,
    authority: Url,
}

/// A response to an introspection (RFC 7662), with the position of the view that it was
/// made from.
#[derive(Debug, Deserialize)]
pub(super) struct Introspection {
    pub active: bool,
    #[serde(default)]
    pub position: Option<Position>,
}

impl Sender {
    pub fn new(settings: &FollowSettings) -> Result<Self, VerifierStartError> {
        settings.check()?;
        let headers = HeaderMap::from_iter([(AUTHORIZATION, settings.authorization.clone())]);
        let mut http = tegata_system::http::client_for(&settings.authority)
            .default_headers(headers)
            .connect_timeout(Duration::from_secs(5))
            // A connection that is lost without a sign is noticed.
            .tcp_keepalive(Duration::from_secs(15));
        if !settings.certificates.is_empty() {
            http = http.tls_certs_only(settings.certificates.clone());
        }
        Ok(Self { http: http.build()?, authority: settings.authority.clone() })
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.authority.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}{path}"));
        url
    }

    async fn get(&self, request: &Request) -> reqwest::Result<Response> {
        self.http.get(self.url(request.path)).query(&request.query).send().await
    }

    fn no_response(&self, error: reqwest::Error) -> RequestFailure {
        let authority = self.authority.origin().ascii_serialization();
        RequestFailure::NoResponse { authority, why: in_full(&error.without_url()) }
    }

    /// Asks about a token; `None` if there is no answer.
    pub async fn introspect(&self, token: &[u8]) -> Option<Introspection> {
        let token = std::str::from_utf8(token).ok()?;
        let url = self.url("/oauth2/introspect");
        let response = self.http.post(url).form(&[("token", token)]).send().await.ok()?;
        if response.status() != 200 {
            return None;
        }
        let body = read(response, LONGEST_ANSWER, |_| {}).await?;
        serde_json::from_slice(&body).ok()
    }

    /// Sends a report; returns whether it has arrived. If it has not and is to be sent again,
    /// that is an error: a proxy on the way may have answered, or the authority for now.
    async fn report(&self, report: &UsageReport) -> Result<bool, RequestFailure> {
        let request = self.http.post(self.url("/feed/usage")).body(report.write());
        let request = request.header(CONTENT_TYPE, "application/json");
        let response = request.timeout(Duration::from_secs(10)).send().await;
        match response.map_err(|error| self.no_response(error))?.status().as_u16() {
            204 => Ok(true),
            // What is malformed once is so again.
            400 => Ok(false),
            status => Err(RequestFailure::Status(status)),
        }
    }
}

/// The body of a response, if it arrives and is not longer than `longest`.
async fn read(
    mut response: Response,
    longest: usize,
    mut progress: impl FnMut(usize),
) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(bytes)) if body.len() + bytes.len() <= longest => {
                body.extend_from_slice(&bytes);
                progress(body.len());
            }
            Ok(None) => return Some(body),
            _ => return None,
        }
    }
}

/// An error with its causes; the last one says most.
fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |it| it.source());
    causes.fold(error.to_string(), |text, it| format!("{text}: {it}"))
}

/// Sends a request and applies its response.
pub(super) async fn perform(inner: Arc<Inner>, request: Request) {
    let id = request.id;
    let failed = |why| *lock(&inner.failure) = Some(why);
    let received = async {
        let sent = inner.sender.get(&request).await;
        let response = sent.map_err(|error| failed(inner.sender.no_response(error))).ok()?;
        let status = response.status().as_u16();
        match status {
            200 | 410 => *lock(&inner.failure) = None,
            _ => failed(RequestFailure::Status(status)),
        }
        let seconds = response.headers().get(RETRY_AFTER).and_then(|it| it.to_str().ok());
        let retry_after = seconds.and_then(|it| it.parse().ok()).map(Duration::from_secs);
        let progress = |_| lock(&inner.follower).progress(id, clock::steady());
        let body = read(response, LONGEST_SNAPSHOT, progress).await?;
        Some((status, retry_after, body))
    };
    let received = received.await;
    let turn = inner.turn.lock().await;
    let outcome = received.as_ref().map_or(Received::Failed, |(status, retry_after, body)| {
        Received::Response { status: *status, retry_after: *retry_after, body }
    });
    inner.apply(|it| it.receive(id, &outcome, clock::now(), clock::random_unit()));
    if inner.copy.is_some() {
        save(&inner).await;
    }
    drop(turn);
}

/// Brings the copy on disk up to date. Until that is done no request acknowledges the view:
/// an older copy would let the next process accept what was revoked since. A copy that
/// cannot be written is deleted, and if that fails as well, the view goes stale.
async fn save(inner: &Arc<Inner>) {
    loop {
        let owned = inner.clone();
        let written = tokio::task::spawn_blocking(move || {
            let standing = lock(&owned.follower).standing();
            let Some(copy) = &owned.copy else { return Ok(Ok(())) };
            copy.write(&standing)
                .map_err(|problem| (copy.delete(), problem))
                .map_or_else(|(deleted, problem)| deleted.map(|()| Err(problem)), |()| Ok(Ok(())))
        });
        let (problem, is_safe) = match written.await {
            Ok(Ok(Ok(()))) => (None, true),
            Ok(Ok(Err(problem))) => (Some(problem.to_string()), true),
            Ok(Err(problem)) => (Some(problem.to_string()), false),
            Err(problem) => (Some(problem.to_string()), false),
        };
        *lock(&inner.copy_problem) = problem;
        if is_safe {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Reports the uses of the minutes that are over; at the `end`, of the running one, too.
pub(super) async fn report(inner: Arc<Inner>, end: bool) {
    let Some((_, usage)) = &inner.usage else { return };
    let Some(clock_ms) = inner.current.load().clock_ms(clock::steady()) else { return };
    let now = in_seconds(clock_ms);
    let until = if end { now.plus(60) } else { now };
    let Some(report) = usage.report(until, &inner.instance) else { return };
    *lock(&inner.usage_failure) = match inner.sender.report(&report).await {
        Ok(true) => {
            usage.arrived(&report);
            None
        }
        Ok(false) => {
            usage.rejected(&report);
            Some(RequestFailure::Status(400))
        }
        Err(failure) => Some(failure),
    };
}
