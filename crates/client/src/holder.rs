//! Renewal inside a Rust program: get the token from the [`Holder`] before each API call,
//! and report a 401 to it.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tegata_client::{
//!     call::{Client, LINE}, holder::Holder, key::{AUDIENCE, PrivateKey},
//!     wanted::{Credentials, Wanted},
//! };
//! use tegata_token::kind::Kind;
//!
//! let wanted =
//!     Wanted { channel: "1234567890".parse()?, group: None, kind: Kind::V21, lifetime: 86_400 };
//! let key = PrivateKey::read("private.jwk.json".as_ref(), None)?;
//! let credentials =
//!     Credentials { key: Some(key), secret: None, audience: AUDIENCE.to_owned() };
//! let holder = Holder::new(Client::new(LINE)?, wanted, credentials);
//!
//! let token = holder.token().await?;
//! // … `Authorization: Bearer` with `token.reveal()`; if the API answers 401:
//! holder.invalid(&token);
//! # Ok(()) }
//! ```

use crate::{
    call::Client,
    failure::Failure,
    machine::{MonotonicClock, jitter, random},
    renewal::{Next, Renewal},
    wanted::{Credentials, Wanted},
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tegata_policy::secret::PlainSecret;
use tegata_token::time::UnixTime;
use tokio::sync::OwnedMutexGuard;

/// The grace period before a replaced token is revoked, in seconds, where the client must
/// revoke it.
pub const GRACE: i64 = 10 * 60;

/// Holds one token and renews it in time. Clones are cheap and share the token.
#[derive(Clone)]
pub struct Holder(Arc<Inner>);

struct Inner {
    client: Client,
    wanted: Wanted,
    credentials: Credentials,
    clock: MonotonicClock,
    state: Mutex<State>,
    /// Held during a request for a token.
    flight: Arc<tokio::sync::Mutex<()>>,
}

struct State {
    renewal: Renewal,
    held: Option<(PlainSecret, UnixTime)>,
    last_failure: Failure,
}

impl Holder {
    /// A holder without a token; the first call of [`Holder::token`] requests one.
    #[must_use]
    pub fn new(client: Client, wanted: Wanted, credentials: Credentials) -> Self {
        let state = Mutex::new(State {
            renewal: Renewal::starting(random(), None, jitter()),
            held: None,
            last_failure: Failure::NotAsked("no token was requested yet".to_owned()),
        });
        let (clock, flight) = (MonotonicClock::new(), Arc::default());
        Self(Arc::new(Inner { client, wanted, credentials, clock, state, flight }))
    }

    /// Returns an active token. This is the present one whenever possible; the next one is
    /// requested in the background. Any number of callers causes one request at a time.
    /// Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// The failure of the last attempt, if there is no token that could be active.
    pub async fn token(&self) -> Result<PlainSecret, Failure> {
        let inner = &self.0;
        if let Some(token) = inner.at_hand() {
            if inner.is_due()
                && let Ok(flight) = Arc::clone(&inner.flight).try_lock_owned()
            {
                let inner = Arc::clone(inner);
                tokio::spawn(async move { inner.renew(flight).await });
            }
            return Ok(token);
        }
        // On a task of its own: a caller that gives up must not lose the response.
        let flight = Arc::clone(&inner.flight).lock_owned().await;
        if inner.is_due() {
            let inner = Arc::clone(inner);
            // A panic would be a bug; the state below is then unchanged.
            let _ = tokio::spawn(async move { inner.renew(flight).await }).await;
        } else {
            drop(flight);
        }
        let state = inner.state();
        match &state.held {
            Some((token, until)) if inner.clock.now() < *until => Ok(token.clone()),
            _ => Err(state.last_failure.clone()),
        }
    }

    /// Reports that an API answered 401 to `token`. If it is still the present one, the next
    /// call of [`Holder::token`] requests another; that happens once for any number of
    /// reports, and at most once a minute.
    pub fn invalid(&self, token: &PlainSecret) {
        let mut state = self.0.state();
        let same = |held: &(PlainSecret, _)| held.0.reveal() == token.reveal();
        // With a validity, it was not reported yet: this report is the first.
        if state.held.as_ref().is_some_and(same) && state.renewal.life().is_some() {
            state.renewal.revoked(self.0.clock.now());
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token held, unless it has expired or was refused.
    fn at_hand(&self) -> Option<PlainSecret> {
        let state = self.state();
        let now = self.clock.now();
        let is_good = state.renewal.life().is_some_and(|life| life.covers(now));
        state.held.as_ref().filter(|_| is_good).map(|(token, _)| token.clone())
    }

    fn is_due(&self) -> bool {
        matches!(self.state().renewal.next(self.clock.now()), Next::Issue { .. })
    }

    async fn renew(self: &Arc<Self>, _flight: OwnedMutexGuard<()>) {
        let next = self.state().renewal.next(self.clock.now());
        let Next::Issue { generation } = next else { return };
        let key = self.wanted.idempotency_key(generation);
        let (wanted, credentials) = (&self.wanted, &self.credentials);
        let wall = self.clock.wall();
        let issued = self.client.issue_wanted(wanted, credentials, &key, wall).await;
        let mut state = self.state();
        let now = self.clock.now();
        match issued {
            Ok(issued) => {
                let was_good = state.renewal.life().is_some_and(|life| life.covers(now));
                state.renewal.issued(now, issued.expires_in, wanted.whole_lifetime(), jitter());
                let until = now.plus(issued.expires_in);
                let old = state.held.replace((issued.token, until));
                drop(state);
                if let Some((old, _)) = old.filter(|_| was_good) {
                    self.retire_later(old);
                }
            }
            Err(failure) => {
                state.renewal.failed(now, &failure, jitter());
                state.last_failure = failure;
            }
        }
    }

    fn retire_later(self: &Arc<Self>, old: PlainSecret) {
        if !self.wanted.predecessor_is_ours_to_end() {
            return;
        }
        let holder = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(GRACE.unsigned_abs())).await;
            if let Some(holder) = holder.upgrade() {
                // A token that cannot be revoked expires.
                let _ = holder.client.retire(&holder.wanted, &holder.credentials, &old).await;
            }
        });
    }
}
