//! Sends a follower's requests, puts its views in force, and verifies.

#[cfg(feature = "blocking")]
mod blocking;
mod clock;
mod copy;
mod health;
mod places;
mod send;
mod settings;

#[cfg(feature = "blocking")]
pub use blocking::BlockingVerifier;
pub use health::{RequestFailure, VerifierHealth};
pub use settings::{FollowSettings, VerifierStartError};

use crate::{
    clocks::Steady,
    follower::Follower,
    standing::{Stale, Standing, Use, Verdict},
    usage::Usage,
};
use arc_swap::ArcSwap;
use copy::CopyFile;
use places::{HeldPlaces, Places};
use send::Sender;
use std::{
    io,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tegata_token::{
    feed::InstanceId,
    time::UnixTime,
    verify::{Active, Invalid, Signatures, VerifiedClaims},
};
use tokio::{
    sync::Notify,
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

/// What a verification waits for the authority, all in all.
const QUESTION: Duration = Duration::from_secs(1);
/// The longest that an introspection response counts.
const INTROSPECTION: Duration = Duration::from_secs(1);
/// The runtime's timers stand still while the machine is suspended, so deadlines are
/// compared with the steady clock at least this often.
const SLICE: Duration = Duration::from_millis(500);
/// Verifies tokens by a view that follows the authority's feed. Cheap to clone. When the
/// last clone is dropped, the view is no longer followed; the authority learns of it only
/// by [`TokenVerifier::stop`].
#[derive(Clone)]
pub struct TokenVerifier(Arc<Inner>, Arc<Background>);

/// The task that sends the requests.
struct Background(AbortHandle);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Inner {
    current: ArcSwap<Standing>,
    signatures: Signatures,
    follower: Mutex<Follower>,
    /// Held from a response until its view is on disk: no request acknowledges it before.
    turn: tokio::sync::Mutex<()>,
    copy: Option<CopyFile>,
    /// Why the copy is not on disk.
    copy_problem: Mutex<Option<String>>,
    /// Why the last request for the view has no response that can be used.
    failure: Mutex<Option<RequestFailure>>,
    /// Why the last report of uses was not accepted.
    usage_failure: Mutex<Option<RequestFailure>>,
    /// A response was applied.
    changed: Notify,
    /// The background task has something to do.
    kick: Notify,
    sender: Sender,
    places: Places,
    /// The uses, and how often they are reported.
    usage: Option<(Duration, Usage)>,
    instance: InstanceId,
    /// The use of the settings.
    own_use: Use,
    /// Notices that this process was forked from the one that follows the feed.
    fork: forkguard::atfork::Guard,
}

/// A token that is active.
#[derive(Debug, Clone)]
pub struct VerifiedToken {
    /// Its claims.
    pub claims: Arc<VerifiedClaims>,
    /// The first moment at which it is no longer active, as far as is known now.
    pub until: UnixTime,
    /// Why the view is stale, which the use allows.
    pub stale: Option<Stale>,
}

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAccepted {
    /// It is not active.
    #[error("the token is not active: {0}")]
    Invalid(Invalid),
    /// The authority says that it is not active.
    #[error("the token is not active")]
    Inactive,
    /// It is not known whether it is active.
    #[error("the state of the token is not known: {0}")]
    Unknown(Stale),
}

impl TokenVerifier {
    /// Starts to follow the feed of an authority, on the current Tokio runtime.
    ///
    /// # Errors
    /// A setting is wrong, or another process uses the copy. That the authority cannot be
    /// reached is not an error: until then no token is accepted.
    pub fn start(settings: FollowSettings) -> Result<Self, VerifierStartError> {
        let instance = clock::random_bytes().map(InstanceId::from_random);
        let instance = instance.ok_or(VerifierStartError::NoRandomness)?;
        let sender = Sender::new(&settings)?;
        let own_use = settings.wanted;
        let (authority, authorization) = (settings.authority.as_str(), &settings.authorization);
        let copy = settings.copy.as_deref();
        let copy = copy.map(|path| CopyFile::lock(path, authority, authorization.as_bytes()));
        let copy = copy.transpose().map_err(VerifierStartError::Copy)?;
        let fork = forkguard::atfork::Guard::try_new().map_err(VerifierStartError::NoFork)?;
        let now = clock::steady();
        let follower = match copy.as_ref().and_then(|it| it.read(now)) {
            Some(known) => Follower::resumed(instance.clone(), own_use, now, known),
            None => Follower::new(instance.clone(), own_use, now),
        };
        let inner = Arc::new(Inner {
            current: ArcSwap::new(follower.standing()),
            signatures: Signatures::new(settings.cached_tokens),
            follower: Mutex::new(follower),
            turn: tokio::sync::Mutex::new(()),
            copy,
            copy_problem: Mutex::new(None),
            failure: Mutex::new(None),
            usage_failure: Mutex::new(None),
            changed: Notify::new(),
            kick: Notify::new(),
            sender,
            places: Places::new(),
            usage: settings.usage_interval.map(|interval| (interval, Usage::default())),
            instance,
            own_use,
            fork,
        });
        let task = tokio::spawn(follow(inner.clone()));
        Ok(Self(inner, Arc::new(Background(task.abort_handle()))))
    }

    /// Decides about a token by the view alone; `began` is when its verification began.
    /// Takes no lock, and allocates nothing if the token's signature is known.
    #[must_use]
    pub fn decide(&self, token: &[u8], began: Steady, wanted: Use) -> Verdict {
        let inner = &*self.0;
        // Compares two numbers; a system call here would take longer than all the rest.
        if inner.fork.clone().detected_fork() {
            return Verdict::Unknown(Stale::Forked);
        }
        loop {
            let standing = inner.current.load();
            let found = standing.consult(token, clock::steady(), &inner.signatures);
            let clocks = clock::now();
            // The age must be that of the view that was consulted, and that the one in force.
            if Arc::ptr_eq(&standing, &inner.current.load()) {
                return standing.conclude(found, began, clocks, wanted);
            }
        }
    }

    /// Verifies a token for the use of the settings. This counts no use of it:
    /// [`TokenVerifier::record_use`] does.
    ///
    /// # Errors
    /// The token is not active, or its state is not known.
    pub async fn verify(&self, token: &[u8]) -> Result<VerifiedToken, NotAccepted> {
        self.verify_for(token, self.0.own_use).await
    }

    /// Verifies a token for a use. One that is more lenient than that of the settings is in
    /// force once [`TokenVerifier::add_use`] was answered. One that is stricter is to be added,
    /// too: else the view gets too old for it between two responses.
    ///
    /// # Errors
    /// As [`TokenVerifier::verify`].
    pub async fn verify_for(
        &self,
        token: &[u8],
        wanted: Use,
    ) -> Result<VerifiedToken, NotAccepted> {
        self.verify_since(clock::steady(), token, wanted, HeldPlaces::default()).await
    }

    /// Verifies a token for a use until a second after the verification `began`, which may have
    /// places among those that wait.
    async fn verify_since(
        &self,
        began: Steady,
        token: &[u8],
        wanted: Use,
        mut held: HeldPlaces,
    ) -> Result<VerifiedToken, NotAccepted> {
        loop {
            // Created first, so that no response between is missed.
            let changed = self.0.changed.notified();
            let decided = settled(self.decide(token, began, wanted));
            let rest = QUESTION.saturating_sub(clock::steady().since(began));
            match decided {
                Ok(decided) => return decided,
                Err(Some(_)) => {
                    self.0.places.take_introspection(&mut held)?;
                    return self.introspect(token, wanted, rest).await;
                }
                Err(None) if rest.is_zero() => {
                    return Err(NotAccepted::Unknown(Stale::Unanswered));
                }
                Err(None) => {}
            }
            self.0.places.take_question(&mut held)?;
            lock(&self.0.follower).want_question();
            self.0.kick.notify_one();
            // Either way the token is verified again.
            let _elapsed = timeout(rest.min(SLICE), changed).await;
        }
    }

    /// Verifies a token for a use from memory alone. `None`: that needs a response of the
    /// authority, for which [`TokenVerifier::verify_for`] waits. Takes no lock, and allocates
    /// nothing if the token's signature is known.
    #[must_use]
    pub fn recall(&self, token: &[u8], wanted: Use) -> Option<Result<VerifiedToken, NotAccepted>> {
        settled(self.decide(token, clock::steady(), wanted)).ok()
    }

    /// The time of verifications, or 0 as long as there is no view.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        in_seconds(self.0.current.load().time_ms(clock::steady()).unwrap_or_default())
    }

    /// Counts a use of a token, for the report to the authority; a stateless token has no record
    /// there. Verifications count nothing by themselves. A program that reports uses calls this for
    /// each request that it accepts: to the authority, what is not counted was not used.
    pub fn record_use(&self, token: &VerifiedClaims, source: Option<IpAddr>) {
        let Some((_, usage)) = self.0.usage.as_ref().filter(|_| token.kind.is_stored()) else {
            return;
        };
        // Not the time of verifications, which may stand still for hours: a token that was
        // revoked meanwhile would seem to have been accepted afterwards.
        let clock_ms = self.0.current.load().clock_ms(clock::steady()).unwrap_or_default();
        usage.record(in_seconds(clock_ms), token.id, token.channel, source);
    }

    /// Adds a use, which may be more lenient than that of the settings, or stricter.
    pub fn add_use(&self, wanted: Use) {
        lock(&self.0.follower).add_use(wanted);
        self.0.kick.notify_one();
    }

    /// The use of the settings.
    #[must_use]
    pub fn own_use(&self) -> Use {
        self.0.own_use
    }

    /// Asks about a token, and waits for at most `rest`.
    async fn introspect(
        &self,
        token: &[u8],
        wanted: Use,
        rest: Duration,
    ) -> Result<VerifiedToken, NotAccepted> {
        let unknown = |stale| Err(NotAccepted::Unknown(stale));
        let sent = clock::steady();
        let in_force = self.0.current.load().in_force(wanted);
        let counts = INTROSPECTION.min(in_force.staleness);
        let answered = timeout(counts.min(rest), self.0.sender.introspect(token)).await;
        let Ok(Some(answer)) = answered else { return unknown(Stale::Unanswered) };
        if let Some(position) = answer.position {
            self.0.apply(|follower| follower.note_position(position));
        }
        // The runtime's timers stand still with the machine.
        if clock::steady().since(sent) > counts {
            return unknown(Stale::Unanswered);
        }
        if !answer.active {
            return Err(NotAccepted::Inactive);
        }
        // A view in which the token is revoked may have come into force meanwhile, and its
        // position may be acknowledged by now.
        match settled(self.decide(token, clock::steady(), wanted)) {
            Ok(decided) => decided,
            Err(Some(Active { claims, until })) => Ok(VerifiedToken { claims, until, stale: None }),
            Err(None) => unknown(Stale::Unanswered),
        }
    }

    /// Stops after the process's last verification: every further one is answered as
    /// unknown, and the authority learns that this instance is gone. Waits for its answer
    /// for at most `limit`.
    ///
    /// # Errors
    /// The copy on disk cannot be deleted. Nothing is stopped then, since the next process
    /// could use the copy.
    pub async fn stop(&self, limit: Duration) -> io::Result<()> {
        {
            // It is held as long as a copy can be neither written nor deleted.
            let _turn = timeout(limit, self.0.turn.lock()).await.map_err(|_| {
                let problem = lock(&self.0.copy_problem).clone().unwrap_or_default();
                io::Error::new(io::ErrorKind::TimedOut, problem)
            })?;
            if let Some(copy) = &self.0.copy {
                copy.delete()?;
            }
            self.0.apply(Follower::stop);
        }
        self.0.kick.notify_one();
        let stopped = async {
            while !lock(&self.0.follower).has_stopped() {
                let changed = self.0.changed.notified();
                let _elapsed = timeout(Duration::from_millis(100), changed).await;
            }
        };
        let reported = send::report(self.0.clone(), true);
        let _elapsed = timeout(limit, async { tokio::join!(stopped, reported) }).await;
        self.1.0.abort();
        Ok(())
    }
}

/// What a decision is, or the token that is to be introspected, or `None` if the feed is to be
/// asked.
fn settled(verdict: Verdict) -> Result<Result<VerifiedToken, NotAccepted>, Option<Active>> {
    match verdict {
        Verdict::Active { active: Active { claims, until }, stale } => {
            Ok(Ok(VerifiedToken { claims, until, stale }))
        }
        Verdict::Invalid(invalid) => Ok(Err(NotAccepted::Invalid(invalid))),
        Verdict::Unknown(stale) => Ok(Err(NotAccepted::Unknown(stale))),
        Verdict::Introspect(active, _) => Err(Some(active)),
        Verdict::Question => Err(None),
    }
}

fn in_seconds(time_ms: u64) -> UnixTime {
    UnixTime((time_ms / 1_000).try_into().unwrap_or(0))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    /// Changes the follower and puts what it stands on in force.
    fn apply<T>(&self, change: impl FnOnce(&mut Follower) -> T) -> T {
        let mut follower = lock(&self.follower);
        let result = change(&mut follower);
        let standing = follower.standing();
        if !Arc::ptr_eq(&standing, &self.current.load()) {
            self.current.store(standing);
        }
        drop(follower);
        self.changed.notify_waiters();
        result
    }
}

/// Sends the follower's requests until the task is aborted.
async fn follow(inner: Arc<Inner>) {
    let mut requests = JoinSet::new();
    let mut awaited: Vec<(u64, AbortHandle)> = Vec::new();
    let mut reported = clock::steady();
    loop {
        let next = {
            // No task is between a response and its copy on disk meanwhile.
            let _turn = inner.turn.lock().await;
            let mut follower = lock(&inner.follower);
            let next = follower.next(clock::now(), clock::random_unit());
            // The follower gives requests up by the steady clock.
            awaited.retain(|(id, task)| {
                let is_awaited = follower.awaits(*id);
                if !is_awaited {
                    task.abort();
                }
                is_awaited
            });
            next
        };
        for request in next.requests {
            let id = request.id;
            awaited.push((id, requests.spawn(send::perform(inner.clone(), request))));
        }
        let now = clock::steady();
        if inner.usage.as_ref().is_some_and(|(interval, _)| now.since(reported) >= *interval) {
            reported = now;
            requests.spawn(send::report(inner.clone(), false));
        }
        tokio::select! {
            Some(_) = requests.join_next() => {}
            () = inner.kick.notified() => {}
            () = sleep(next.wait.clamp(Duration::from_millis(1), SLICE)) => {}
        }
    }
}
