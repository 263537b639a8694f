//! What is decided about a report before its body is read: who sends it, whether the source has
//! sent too many, and whether there is room for one more.

use crate::{
    api::{
        app::App,
        reply::{self, Reply, retry_after},
    },
    authority::{
        actor::Reporter,
        leaks::{Programme, ProgrammeKeys, Slot},
        limits::LimitExceeded,
        source::Source,
    },
};
use http::{HeaderMap, HeaderName, StatusCode, header, request::Parts};
use std::sync::Arc;
use tegata_policy::secret::PlainSecret;

/// The longest body of a report, in bytes.
pub const LONGEST: usize = 1 << 20;

/// A path that takes reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    Report,
    Credentials,
    Signed(Programme),
    SelfManaged,
}

/// The paths.
const PATHS: [(&str, Path); 5] = [
    ("/report", Path::Report),
    ("/credentials/revoke", Path::Credentials),
    ("/leaks/github", Path::Signed(Programme::GitHub)),
    ("/leaks/gitlab", Path::Signed(Programme::GitLab)),
    ("/v1/revoke_tokens", Path::SelfManaged),
];

/// Whether reports are sent to this path.
#[must_use]
pub fn takes_reports(path: &str) -> bool {
    PATHS.iter().any(|(it, _)| *it == path)
}

/// A report whose body may be read.
#[derive(Clone)]
pub struct Admitted {
    /// Who sends it. What a programme's headers say is checked against the body.
    pub reporter: Reporter,
    /// Held until the report is answered.
    _slot: Arc<Slot>,
}

/// Decides by the headers whether to read a report.
///
/// # Errors
/// The response.
pub fn admit(app: &App, parts: &Parts) -> Result<Admitted, Box<Reply>> {
    let found = PATHS.iter().find(|(path, _)| *path == parts.uri.path());
    let Some((_, path)) = found else { return Err(Box::new(not_found())) };
    let (headers, source) = (&parts.headers, Source::of(&parts.extensions));
    let reporter = match path {
        Path::Report | Path::Credentials => {
            app.authority.take_report(source).map_err(|it| Box::new(too_many(it)))?;
            Reporter::Unsigned
        }
        Path::Signed(programme) => {
            let keys = app.leaks.keys(*programme).ok_or_else(|| Box::new(not_found()))?;
            if signed(&keys, *programme, headers).is_none() {
                return Err(Box::new(forged(app, source)));
            }
            match programme {
                Programme::GitHub => Reporter::GitHub,
                Programme::GitLab => Reporter::GitLab,
            }
        }
        Path::SelfManaged => {
            authorize(app, headers, source)?;
            Reporter::GitLabSelfManaged
        }
    };
    if headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|it| !it.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        let words = "send the body without Content-Encoding";
        return Err(Box::new(reply::message(StatusCode::UNSUPPORTED_MEDIA_TYPE, words)));
    }
    if *path == Path::Credentials && !crate::api::form::is_json(headers) {
        let words = "the body must be application/json";
        return Err(Box::new(reply::message(StatusCode::UNSUPPORTED_MEDIA_TYPE, words)));
    }
    let slot = app.leaks.slot(reporter, source).ok_or_else(|| Box::new(reply::unavailable()))?;
    Ok(Admitted { reporter, _slot: Arc::new(slot) })
}

/// The id of the key and the signature of a programme's report; `None` if one is missing or
/// repeated, or if the key is not known.
pub fn signed<'a>(
    keys: &ProgrammeKeys,
    programme: Programme,
    headers: &'a HeaderMap,
) -> Option<(&'a str, &'a str)> {
    let id = only(headers, programme.key_header()).filter(|id| keys.has(id))?;
    Some((id, only(headers, programme.signature_header())?))
}

/// The only value of a header.
fn only<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<&'a str> {
    let mut all = headers.get_all(HeaderName::from_static(name)).iter();
    let (Some(only), None) = (all.next(), all.next()) else { return None };
    only.to_str().ok()
}

/// Checks the bare token of a self-managed GitLab.
///
/// # Errors
/// 404 if the operator has set none, 401 for another one, 429 after too many.
pub fn authorize(app: &App, headers: &HeaderMap, source: Source) -> Result<(), Box<Reply>> {
    let token = only(headers, "authorization").unwrap_or_default();
    match app.leaks.is_gitlab(&PlainSecret::from_caller(token.to_owned())) {
        None => Err(Box::new(not_found())),
        Some(true) => Ok(()),
        Some(false) => Err(Box::new(forged(app, source))),
    }
}

/// The response to a report that is not its sender's.
pub fn forged(app: &App, source: Source) -> Reply {
    match app.authority.forged_report(source) {
        Ok(()) => {
            let words = "the signature or the token is missing or wrong";
            reply::message(StatusCode::UNAUTHORIZED, words)
        }
        Err(wait) => too_many(wait),
    }
}

fn too_many(LimitExceeded(seconds): LimitExceeded) -> Reply {
    let words = "too many reports from this address";
    retry_after(reply::message(StatusCode::TOO_MANY_REQUESTS, words), seconds)
}

fn not_found() -> Reply {
    reply::message(StatusCode::NOT_FOUND, "Not found")
}
