//! A verifier for programs without a Tokio runtime: the follower runs on a thread and a
//! runtime of its own, so that nothing that the program does delays it.

use super::{FollowSettings, NotAccepted, TokenVerifier, VerifiedToken, VerifierStartError, clock};
use crate::{
    clocks::Steady,
    driver::{QUESTION, SLICE, VerifierHealth},
    standing::Stale,
};
use arc_swap::ArcSwap;
use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};
use tegata_token::verify::VerifiedClaims;
use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
    time::timeout,
};

/// Verifies tokens in a program without a Tokio runtime.
///
/// A process that was forked from the one with the follower starts a follower of its own,
/// with its own instance id and without a copy on disk, at its first verification.
pub struct BlockingVerifier {
    settings: FollowSettings,
    running: ArcSwap<Running>,
    is_stopped: AtomicBool,
    /// When no follower could be started after a fork, by the steady clock.
    failed: AtomicI64,
}

/// How long no other follower is started after one that could not be.
const PAUSE: Duration = Duration::from_secs(1);

/// A follower on a thread.
struct Running {
    /// The process that the thread is in.
    process: u32,
    started: Steady,
    verifier: TokenVerifier,
    runtime: Handle,
    /// The thread exits when this is dropped.
    _end: oneshot::Sender<()>,
}

impl Running {
    fn start(settings: FollowSettings) -> Result<Arc<Self>, VerifierStartError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(VerifierStartError::Thread)?;
        let verifier = {
            let _entered = runtime.enter();
            TokenVerifier::start(settings)?
        };
        let (end, ended) = oneshot::channel();
        let running = Self {
            process: std::process::id(),
            started: clock::steady(),
            verifier,
            runtime: runtime.handle().clone(),
            _end: end,
        };
        let thread = std::thread::Builder::new().name("tegata-verifier".to_owned());
        let follow = move || {
            let _dropped: Result<(), _> = runtime.block_on(ended);
            runtime.shutdown_background();
        };
        thread.spawn(follow).map_err(VerifierStartError::Thread)?;
        Ok(Arc::new(running))
    }

    /// Whether the first view may still be on its way.
    fn is_young(&self) -> bool {
        clock::steady().since(self.started) < QUESTION
    }
}

impl BlockingVerifier {
    /// Starts to follow the feed of an authority, and does not wait for its first response.
    ///
    /// # Errors
    /// As [`TokenVerifier::start`], or the thread cannot be started.
    pub fn start(settings: FollowSettings) -> Result<Self, VerifierStartError> {
        let running = ArcSwap::new(Running::start(settings.clone())?);
        let failed = AtomicI64::new(i64::MIN);
        Ok(Self { settings, running, is_stopped: AtomicBool::new(false), failed })
    }

    /// Verifies a token from memory alone. `None`: that needs a response of the authority,
    /// for which [`BlockingVerifier::verify`] waits. Takes no lock.
    #[must_use]
    pub fn recall(&self, token: &[u8]) -> Option<Result<VerifiedToken, NotAccepted>> {
        let running = self.running.load();
        match running.verifier.recall(token, running.verifier.own_use())? {
            Err(NotAccepted::Unknown(Stale::Forked)) if !self.is_stopped() => None,
            Err(NotAccepted::Unknown(Stale::NoView)) if running.is_young() => None,
            found => Some(found),
        }
    }

    /// Verifies a token. Waits for a response of the authority, for a second at most, if the
    /// view alone does not answer. Not to be called on a thread of a Tokio runtime.
    ///
    /// # Errors
    /// The token is not active, or its state is not known.
    pub fn verify(&self, token: &[u8]) -> Result<VerifiedToken, NotAccepted> {
        if let Some(found) = self.recall(token) {
            return found;
        }
        let Some(running) = self.running() else {
            return Err(NotAccepted::Unknown(Stale::Forked));
        };
        running.runtime.block_on(async {
            if running.is_young() {
                running.verifier.ready(QUESTION).await;
            }
            running.verifier.verify(token).await
        })
    }

    /// Waits until a view was received, for at most `limit`; returns whether there is one.
    pub fn ready(&self, limit: Duration) -> bool {
        let running = self.running();
        running.is_some_and(|it| it.runtime.block_on(it.verifier.ready(limit)))
    }

    /// Counts a use of a token, for the report to the authority.
    pub fn record_use(&self, token: &VerifiedClaims, source: Option<IpAddr>) {
        if let Some(running) = self.running() {
            running.verifier.record_use(token, source);
        }
    }

    /// The health at this moment; `None` if the process was forked and no follower of its own
    /// can be started.
    #[must_use]
    pub fn health(&self) -> Option<VerifierHealth> {
        self.running().map(|running| running.verifier.health())
    }

    /// The age of the view; `None` without one. Takes no lock.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.running()?.verifier.age()
    }

    /// As [`TokenVerifier::stop`]. A process that is forked later starts no follower.
    ///
    /// # Errors
    /// As [`TokenVerifier::stop`].
    pub fn stop(&self, limit: Duration) -> io::Result<()> {
        self.is_stopped.store(true, Ordering::Release);
        let running = self.running.load_full();
        if running.process != std::process::id() {
            return Ok(());
        }
        running.runtime.block_on(running.verifier.stop(limit))
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }

    /// The follower of this process; starts one after a fork. `None`: it cannot be started, or
    /// the verifier was stopped before the fork.
    fn running(&self) -> Option<Arc<Running>> {
        let running = self.running.load_full();
        if running.process == std::process::id() {
            return Some(running);
        }
        if self.is_stopped() {
            return None;
        }
        let now = clock::steady();
        if now.since(Steady(self.failed.load(Ordering::Relaxed))) < PAUSE {
            return None;
        }
        // The copy is the other process's, which has it locked.
        let settings = FollowSettings { copy: None, ..self.settings.clone() };
        let own = Running::start(settings);
        let own = own.inspect_err(|_| self.failed.store(now.0, Ordering::Relaxed)).ok()?;
        let before = self.running.compare_and_swap(&running, own.clone());
        // Another thread was faster.
        if !Arc::ptr_eq(&before, &running) {
            return Some(Arc::clone(&before));
        }
        // The thread that it names is in the other process, and locks may be held forever:
        // neither can be waited for.
        std::mem::forget(running);
        Some(own)
    }
}

impl Drop for BlockingVerifier {
    fn drop(&mut self) {
        let running = self.running.load_full();
        // As after a fork in `running`.
        if running.process != std::process::id() {
            std::mem::forget(running);
        }
    }
}

impl TokenVerifier {
    /// The age of the view; `None` without one. Takes no lock.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.0.current.load().age(clock::steady())
    }

    /// Waits until a view was received, for at most `limit`; returns whether there is one.
    pub async fn ready(&self, limit: Duration) -> bool {
        let began = clock::steady();
        loop {
            // Created first, so that no response between is missed.
            let changed = self.0.changed.notified();
            if self.0.current.load().view().is_some() {
                return true;
            }
            let waited = clock::steady().since(began);
            let Some(rest) = limit.checked_sub(waited).filter(|it| !it.is_zero()) else {
                return false;
            };
            let _elapsed = timeout(rest.min(SLICE), changed).await;
        }
    }
}
