//! A verifier for programs without a Tokio runtime: the follower runs on a thread and a
//! runtime of its own, so that nothing that the program does delays it.

use super::{
    FollowSettings, HeldPlaces, NotAccepted, TokenVerifier, VerifiedToken, VerifierStartError,
    clock,
};
use crate::{
    clocks::Steady,
    driver::{QUESTION, SLICE, VerifierHealth, settled},
    standing::Stale,
};
use arc_swap::ArcSwap;
use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
        mpsc,
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

    /// How long the first view may still be on its way.
    fn youth(&self) -> Duration {
        QUESTION.saturating_sub(clock::steady().since(self.started))
    }

    /// Verifies a token, and waits for the first view as well if that may be on its way.
    async fn verify(
        &self,
        began: Steady,
        token: &[u8],
        held: HeldPlaces,
    ) -> Result<VerifiedToken, NotAccepted> {
        let verifier = &self.verifier;
        verifier.ready(self.youth()).await;
        verifier.verify_since(began, token, verifier.own_use(), held).await
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
            Err(NotAccepted::Unknown(Stale::NoView)) if !running.youth().is_zero() => None,
            found => Some(found),
        }
    }

    /// Verifies a token. Waits for a response of the authority, for a second at most, if the
    /// view alone does not answer. Not to be called on a thread of a Tokio runtime. This counts
    /// no use of the token: [`BlockingVerifier::record_use`] does.
    ///
    /// # Errors
    /// The token is not active, or its state is not known.
    pub fn verify(&self, token: &[u8]) -> Result<VerifiedToken, NotAccepted> {
        if let Some(found) = self.recall(token) {
            return found;
        }
        let began = clock::steady();
        let running = self.running().ok_or(NotAccepted::Unknown(Stale::Forked))?;
        let held = running.verifier.place(began, token)?;
        running.runtime.block_on(running.verify(began, token, held))
    }

    /// As [`BlockingVerifier::verify`], but no thread waits: `done` is called with the result, at
    /// once if memory answers, else on the follower's thread, which it must not block.
    pub fn verify_then(
        &self,
        token: Vec<u8>,
        done: impl FnOnce(Result<VerifiedToken, NotAccepted>) + Send + 'static,
    ) {
        if let Some(found) = self.recall(&token) {
            return done(found);
        }
        let began = clock::steady();
        let Some(running) = self.running() else {
            return done(Err(NotAccepted::Unknown(Stale::Forked)));
        };
        // Taken here: a task that has none would be memory without a bound.
        let held = match running.verifier.place(began, &token) {
            Ok(held) => held,
            Err(busy) => return done(Err(busy)),
        };
        let runtime = running.runtime.clone();
        runtime.spawn(async move { done(running.verify(began, &token, held).await) });
    }

    /// Waits until a view was received, for at most `limit`; returns whether there is one.
    pub fn ready(&self, limit: Duration) -> bool {
        let running = self.running();
        running.is_some_and(|it| it.runtime.block_on(it.verifier.ready(limit)))
    }

    /// As [`BlockingVerifier::ready`], but no thread waits: `done` is called with the result, on
    /// the follower's thread, which it must not block.
    pub fn ready_then(&self, limit: Duration, done: impl FnOnce(bool) + Send + 'static) {
        let Some(running) = self.running() else { return done(false) };
        let runtime = running.runtime.clone();
        runtime.spawn(async move { done(running.verifier.ready(limit).await) });
    }

    /// Counts a use of a token; see [`TokenVerifier::record_use`].
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
        let Some(running) = self.last_running() else { return Ok(()) };
        running.runtime.block_on(running.verifier.stop(limit))
    }

    /// As [`BlockingVerifier::stop`], but no thread waits: `done` is called with the result, on the
    /// follower's thread, which it must not block.
    pub fn stop_then(&self, limit: Duration, done: impl FnOnce(io::Result<()>) + Send + 'static) {
        let Some(running) = self.last_running() else { return done(Ok(())) };
        let runtime = running.runtime.clone();
        runtime.spawn(async move { done(running.verifier.stop(limit).await) });
    }

    /// Stops all of these at the exit of the process, as far as that takes at most `limit` for
    /// all of them together. A copy that cannot be deleted does not keep a process from exiting.
    pub fn stop_all<'a>(all: impl IntoIterator<Item = &'a Self>, limit: Duration) {
        let (stopping, all_stopped) = mpsc::channel::<()>();
        for it in all {
            let stopping = stopping.clone();
            it.stop_then(limit, move |_| drop(stopping));
        }
        drop(stopping);
        // Nothing is sent: it returns when the last one is dropped.
        let _stopped_or_late = all_stopped.recv_timeout(limit);
    }

    /// The follower that is to be stopped, unless it is another process's. None is started later.
    fn last_running(&self) -> Option<Arc<Running>> {
        self.is_stopped.store(true, Ordering::Release);
        let running = self.running.load_full();
        (running.process == std::process::id()).then_some(running)
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
        leave(running);
        Some(own)
    }
}

impl Drop for BlockingVerifier {
    fn drop(&mut self) {
        let running = self.running.load_full();
        if running.process != std::process::id() {
            leave(running);
        }
    }
}

/// Leaves a follower to the process that this one was forked from.
fn leave(running: Arc<Running>) {
    if let Some(copy) = &running.verifier.0.copy {
        copy.leave();
    }
    // Its thread is in the other process, and locks may be held forever: neither can be waited for.
    std::mem::forget(running);
}

impl TokenVerifier {
    /// The place that the verification of a token needs as things stand, for the use of the
    /// settings.
    ///
    /// # Errors
    /// All are taken.
    fn place(&self, began: Steady, token: &[u8]) -> Result<HeldPlaces, NotAccepted> {
        let mut held = HeldPlaces::default();
        match settled(self.decide(token, began, self.0.own_use)) {
            Err(Some(_)) => self.0.places.take_introspection(&mut held)?,
            _ => self.0.places.take_question(&mut held)?,
        }
        Ok(held)
    }

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
