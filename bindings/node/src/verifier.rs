//! The verifier.

use crate::{
    promise::promise,
    token::{Refusal, facts},
};
use napi::{
    Env, Error, Result,
    bindgen_prelude::{ClassInstance, Either, Object},
};
use napi_derive::napi;
use std::{net::IpAddr, sync::Arc, time::Duration};
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

    /// Verifies a token from memory alone; null if that does not answer. Counts a use of the token
    /// by the client with the address `source`, as `verify` does.
    #[napi]
    pub fn recall(&self, token: String, source: Option<String>) -> Option<Either<String, Refusal>> {
        let found = self.0.recall(token.as_bytes())?;
        Some(either(counted(&self.0, found, address(source))))
    }

    /// Verifies a token; the promise waits for the authority, for a second at most, if memory
    /// does not answer.
    #[napi(ts_return_type = "Promise<string | Refusal>")]
    pub fn verify<'env>(
        &self,
        env: &'env Env,
        token: String,
        source: Option<String>,
    ) -> Result<Object<'env>> {
        let (verifier, source) = (self.0.clone(), address(source));
        promise(env, either, |done| {
            let done = move |found| done(counted(&verifier, found, source));
            self.0.verify_then(token.into_bytes(), done);
        })
    }

    /// Waits until there is a view, for at most this many seconds.
    #[napi(ts_return_type = "Promise<boolean>")]
    pub fn ready<'env>(&self, env: &'env Env, seconds: f64) -> Result<Object<'env>> {
        let limit = time(seconds)?;
        promise(env, |is_ready| is_ready, |done| self.0.ready_then(limit, done))
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

    /// Stops; every later verification is answered as unknown. Resolves to why it cannot, if so.
    #[napi(ts_return_type = "Promise<string | null>")]
    pub fn close<'env>(&self, env: &'env Env, seconds: f64) -> Result<Object<'env>> {
        let limit = time(seconds)?;
        let problem = |stopped: std::io::Result<()>| stopped.err().map(|it| it.to_string());
        promise(env, problem, |done| self.0.stop_then(limit, done))
    }

    /// Stops all of these for the exit of the process: waits for at most so many seconds for all of
    /// them together.
    #[napi]
    pub fn close_all(all: Vec<ClassInstance<'_, Verifier>>, seconds: f64) -> Result<()> {
        let limit = time(seconds)?;
        BlockingVerifier::stop_all(all.iter().map(|it| &*it.0), limit);
        Ok(())
    }
}

/// A client's address, if it is one.
pub fn address(source: Option<String>) -> Option<IpAddr> {
    source.and_then(|it| it.parse().ok())
}

/// Counts a use of a token that is accepted, for the report to the authority.
fn counted(
    verifier: &BlockingVerifier,
    found: std::result::Result<VerifiedToken, NotAccepted>,
    source: Option<IpAddr>,
) -> std::result::Result<VerifiedToken, NotAccepted> {
    found.inspect(|token| verifier.record_use(&token.claims, source))
}

fn either(found: std::result::Result<VerifiedToken, NotAccepted>) -> Either<String, Refusal> {
    match found {
        Ok(token) => Either::A(facts(&token)),
        Err(why) => Either::B(why.into()),
    }
}
