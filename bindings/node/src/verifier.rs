//! The verifier.

use crate::token::{Refusal, facts};
use napi::{Error, Result, Task, bindgen_prelude::AsyncTask, bindgen_prelude::Either};
use napi_derive::napi;
use std::{sync::Arc, time::Duration};
use tegata_verifier::{BlockingVerifier, FollowSettings, NotAccepted, VerifiedToken};

/// Settings of a verifier.
#[napi(object)]
pub struct VerifierOptions {
    /// The age in seconds up to which the view may be used.
    pub staleness: Option<f64>,
    /// What is done with an older view: `deny`, `ask` or `allow`.
    pub on_stale: Option<String>,
    /// Certificate authorities that the authority's certificate may be of, as PEM.
    pub authority_ca: Option<String>,
    /// A file for a copy of the view.
    pub copy: Option<String>,
    /// Whether uses are reported to the authority.
    pub report_uses: Option<bool>,
    /// Number of tokens whose signature check is cached.
    pub cached_tokens: Option<u32>,
}

/// The health of a verifier.
#[napi(object)]
pub struct Health {
    /// The age of the view in seconds.
    pub age: Option<f64>,
    /// Why the view cannot be relied on.
    pub stale: Option<String>,
    /// Why the authority rejects the requests.
    pub rejected: Option<String>,
    /// Why the last request has no response that can be used.
    pub failure: Option<String>,
    /// Why it cannot apply what it received.
    pub cannot: Option<String>,
    /// Why the view is not on disk, although it should be.
    pub copy_problem: Option<String>,
    /// The position of the view.
    pub position: Option<String>,
    /// Number of signing keys.
    pub keys: u32,
    /// Number of channels that are suspended or deleted or have revocations.
    pub channels: u32,
    /// Number of revocations.
    pub revocations: u32,
}

/// Verifies tokens from memory; the package's `Verifier` wraps it.
#[napi]
pub struct Verifier(pub(crate) Arc<BlockingVerifier>);

fn wrong(error: impl ToString) -> Error {
    Error::from_reason(error.to_string())
}

fn time(seconds: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(wrong)
}

#[napi]
impl Verifier {
    /// Starts to follow the feed of an authority.
    #[napi(constructor)]
    pub fn new(
        authority: String,
        verifier_token: String,
        options: Option<VerifierOptions>,
    ) -> Result<Self> {
        let mut settings = FollowSettings::new(authority.parse().map_err(wrong)?, &verifier_token)
            .map_err(wrong)?;
        if let Some(it) = options {
            if let Some(staleness) = it.staleness {
                settings.wanted.staleness = time(staleness)?;
            }
            if let Some(on_stale) = it.on_stale {
                let on_stale = on_stale.parse().map_err(|it| wrong(format!("onStale is {it}")))?;
                settings.wanted.on_stale = on_stale;
            }
            if let Some(pem) = it.authority_ca {
                settings.trust(pem.as_bytes()).map_err(wrong)?;
            }
            let report_uses = it.report_uses.unwrap_or(true);
            settings.usage_interval = settings.usage_interval.filter(|_| report_uses);
            settings.copy = it.copy.map(Into::into);
            if let Some(number) = it.cached_tokens {
                settings.cached_tokens = usize::try_from(number).map_err(wrong)?;
            }
        }
        BlockingVerifier::start(settings).map(Arc::new).map(Self).map_err(wrong)
    }

    /// Verifies a token from memory alone; null if that does not answer.
    #[napi]
    pub fn recall(&self, token: String) -> Option<Either<String, Refusal>> {
        self.0.recall(token.as_bytes()).map(either)
    }

    /// Verifies a token; the promise waits for the authority, for a second at most, if memory
    /// does not answer.
    #[napi(ts_return_type = "Promise<string | Refusal>")]
    pub fn verify(&self, token: String) -> AsyncTask<Verification> {
        AsyncTask::new(Verification { verifier: self.0.clone(), token })
    }

    /// Waits until there is a view, for at most this many seconds.
    #[napi(ts_return_type = "Promise<boolean>")]
    pub fn ready(&self, seconds: f64) -> Result<AsyncTask<Waiting>> {
        let limit = time(seconds)?;
        Ok(AsyncTask::new(Waiting { verifier: self.0.clone(), limit }))
    }

    /// The age of the view in seconds.
    #[napi]
    pub fn age(&self) -> Option<f64> {
        self.0.age().map(|age| age.as_secs_f64())
    }

    /// The health at this moment.
    #[napi]
    pub fn health(&self) -> Option<Health> {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        self.0.health().map(|it| Health {
            age: it.age.map(|age| age.as_secs_f64()),
            stale: it.stale.map(|it| it.to_string()),
            rejected: it.rejected.map(|it| it.to_string()),
            failure: it.failure.map(|it| it.to_string()),
            cannot: it.cannot,
            copy_problem: it.copy_problem,
            position: it.position.map(|it| it.to_string()),
            keys: count(it.keys),
            channels: count(it.channels),
            revocations: count(it.revocations),
        })
    }

    /// Counts a use of a token, for the report to the authority.
    #[napi]
    pub fn record_use(&self, token: String, source: Option<String>) {
        let source = source.and_then(|it| it.parse().ok());
        if let Some(Ok(token)) = self.0.recall(token.as_bytes()) {
            self.0.record_use(&token.claims, source);
        }
    }

    /// Stops; every later verification is answered as unknown.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn close(&self, seconds: f64) -> Result<AsyncTask<Stopping>> {
        let limit = time(seconds)?;
        Ok(AsyncTask::new(Stopping { verifier: self.0.clone(), limit }))
    }

    /// As `close`, for the exit of the process: waits.
    #[napi]
    pub fn close_now(&self, seconds: f64) -> Result<()> {
        self.0.stop(time(seconds)?).map_err(wrong)
    }
}

fn either(found: std::result::Result<VerifiedToken, NotAccepted>) -> Either<String, Refusal> {
    match found {
        Ok(token) => Either::A(facts(&token)),
        Err(why) => Either::B(why.into()),
    }
}

/// A verification on a thread of the runtime's pool.
pub struct Verification {
    verifier: Arc<BlockingVerifier>,
    token: String,
}

impl Task for Verification {
    type Output = std::result::Result<VerifiedToken, NotAccepted>;
    type JsValue = Either<String, Refusal>;

    fn compute(&mut self) -> Result<Self::Output> {
        Ok(self.verifier.verify(self.token.as_bytes()))
    }

    fn resolve(&mut self, _: napi::Env, found: Self::Output) -> Result<Self::JsValue> {
        Ok(either(found))
    }
}

/// Waits for a view.
pub struct Waiting {
    verifier: Arc<BlockingVerifier>,
    limit: Duration,
}

impl Task for Waiting {
    type Output = bool;
    type JsValue = bool;

    fn compute(&mut self) -> Result<bool> {
        Ok(self.verifier.ready(self.limit))
    }

    fn resolve(&mut self, _: napi::Env, is_ready: bool) -> Result<bool> {
        Ok(is_ready)
    }
}

/// Stops a verifier.
pub struct Stopping {
    verifier: Arc<BlockingVerifier>,
    limit: Duration,
}

impl Task for Stopping {
    type Output = ();
    type JsValue = ();

    fn compute(&mut self) -> Result<()> {
        self.verifier.stop(self.limit).map_err(wrong)
    }

    fn resolve(&mut self, _: napi::Env, (): ()) -> Result<()> {
        Ok(())
    }
}
