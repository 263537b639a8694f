//! The progress of one connection: whether a request is coming in, being handled or its
//! response going out, and since when. The wire and the requests record it with a few
//! atomic writes; the connection's only timer checks it from time to time and detects
//! peers that are too slow. So no request sets or clears a timer of its own.
//!
//! It does not depend on sockets or HTTP; time is an argument.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

/// How long a request may take to come in, head and body together; for the first one
/// counted from the start of its connection, with the TLS handshake.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a write may make no progress: a peer that does not read is disconnected.
pub(super) const STUCK: Duration = Duration::from_secs(10);
/// How long a connection must be idle before it is parked.
pub(super) const PARK_AFTER: Duration = Duration::from_secs(2);
/// A response over HTTP/2 that its peer has not read after two of these periods, or a
/// little more, closes the connection.
const PERIOD: Duration = Duration::from_secs(10);

/// The state of one connection.
pub(super) struct Pace {
    began: Instant,
    asked: AtomicBool,
    under_way: AtomicU32,
    /// Since when a request is coming in.
    coming: Moment,
    /// Since when there is no request.
    idle: Moment,
    /// Since when writes make no progress.
    stuck: Moment,
    /// Responses that the peer has not read, by the period in which they were given.
    untaken: [AtomicU32; 3],
    /// Whether the last request was one of those that are held.
    holds: AtomicBool,
    /// Whether the body of the last request was still to come when its head was here.
    body_follows: AtomicBool,
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// No problem; check again at this time at the latest.
    Well(Instant),
    /// Idle since this time.
    Idle(Instant),
    /// The peer is too slow, and must be disconnected.
    TooSlow(Slow),
}

/// What the peer is too slow at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slow {
    Sending,
    Reading,
}

impl Pace {
    pub fn new(began: Instant) -> Self {
        let pace = Self {
            began,
            asked: AtomicBool::new(false),
            under_way: AtomicU32::new(0),
            coming: Moment::default(),
            idle: Moment::default(),
            stuck: Moment::default(),
            untaken: Default::default(),
            holds: AtomicBool::new(false),
            body_follows: AtomicBool::new(false),
        };
        pace.coming.set(Duration::ZERO);
        pace.idle.set(Duration::ZERO);
        pace
    }

    pub fn progress(&self, now: Instant) -> Progress {
        let age = now.saturating_duration_since(self.began);
        let stuck = self.stuck.get().is_some_and(|since| age >= since + STUCK);
        if stuck || self.untaken[slot(period(age) + 1)].load(Relaxed) > 0 {
            return Progress::TooSlow(Slow::Reading);
        }
        if let Some(since) = self.coming.get() {
            let due = since + PATIENCE;
            return match age >= due {
                true => Progress::TooSlow(Slow::Sending),
                false => Progress::Well(self.began + due.min(age + PARK_AFTER)),
            };
        }
        match self.idle() {
            Some(since) if age >= since + PARK_AFTER => Progress::Idle(self.began + since),
            Some(since) => Progress::Well(self.began + since + PARK_AFTER),
            None => Progress::Well(now + PARK_AFTER),
        }
    }

    fn idle(&self) -> Option<Duration> {
        let busy = self.under_way.load(Relaxed) > 0 || self.stuck.get().is_some();
        if busy { None } else { self.idle.get() }
    }

    /// Records whether a request that begins is one of those that are held.
    pub fn holds(&self, it: bool) {
        self.holds.store(it, Relaxed);
    }

    /// Whether the last request was held and has its response: the next one is, too.
    pub fn is_between_holds(&self) -> bool {
        self.holds.load(Relaxed) && self.idle().is_some()
    }

    /// Records whether the body of a request is still to come when its head is here.
    pub fn body_follows(&self, it: bool) {
        self.body_follows.store(it, Relaxed);
    }

    /// Whether the peer may still send a body, if the last one was not read.
    pub fn may_send_on(&self) -> bool {
        self.body_follows.load(Relaxed)
    }

    /// Since when the connection is idle; now, if it is not.
    pub fn idle_since(&self, now: Instant) -> Instant {
        self.idle().map_or(now, |since| self.began + since)
    }

    /// When the first request must have come in.
    pub fn first_due(&self) -> Instant {
        self.began + PATIENCE
    }

    /// Records that bytes came in; if there is no request, one begins with them.
    pub fn bytes_came(&self, now: Instant) {
        if self.under_way.load(Relaxed) == 0 && self.coming.get().is_none() {
            self.coming.set(now.saturating_duration_since(self.began));
        }
    }

    /// Records that a part of a request, or of anything else, has come in and is
    /// incomplete since then.
    pub fn partly_in(&self, since: Option<Instant>) {
        match since {
            Some(since) => self.coming.set(since.saturating_duration_since(self.began)),
            // Until the first request has come in, its time runs on.
            None if self.asked.load(Relaxed) => self.coming.clear(),
            None => {}
        }
    }

    /// Records whether writes make progress.
    pub fn written(&self, gets_on: bool, now: impl FnOnce() -> Instant) {
        if gets_on {
            if self.stuck.get().is_some() {
                self.stuck.clear();
            }
        } else if self.stuck.get().is_none() {
            self.stuck.set(now().saturating_duration_since(self.began));
        }
    }

    /// Records that a request's head has come in. `alone` if the protocol has one request
    /// at a time.
    pub fn begin(self: &Arc<Self>, alone: bool, now: Instant) -> UnderWay {
        let age = now.saturating_duration_since(self.began);
        let first = !self.asked.swap(true, Relaxed);
        self.under_way.fetch_add(1, Relaxed);
        self.idle.clear();
        let since = if alone || first { self.coming.take() } else { None };
        let due = self.began + since.unwrap_or(age) + PATIENCE;
        UnderWay { pace: self.clone(), due }
    }

    /// Records that a response is given to the peer; the result is dropped once the peer
    /// has read it.
    pub fn respond(self: &Arc<Self>, now: Instant) -> Outgoing {
        let slot = slot(period(now.saturating_duration_since(self.began)));
        self.untaken[slot].fetch_add(1, Relaxed);
        Outgoing { pace: self.clone(), slot }
    }
}

fn period(age: Duration) -> u64 {
    age.as_secs() / PERIOD.as_secs()
}

fn slot(period: u64) -> usize {
    (period % 3) as usize
}

/// A request between its head and its response.
pub(super) struct UnderWay {
    pace: Arc<Pace>,
    due: Instant,
}

impl UnderWay {
    /// When its body must have come in.
    pub fn due(&self) -> Instant {
        self.due
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let pace = &self.pace;
        if pace.under_way.fetch_sub(1, Relaxed) == 1 {
            pace.idle.set(Instant::now().saturating_duration_since(pace.began));
        }
    }
}

/// A response that is being sent.
pub(super) struct Outgoing {
    pace: Arc<Pace>,
    slot: usize,
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.pace.untaken[self.slot].fetch_sub(1, Relaxed);
    }
}

/// A time since the start of the connection, in milliseconds plus one, or 0 for none.
#[derive(Default)]
struct Moment(AtomicU64);

impl Moment {
    fn set(&self, age: Duration) {
        self.0.store(u64::try_from(age.as_millis()).unwrap_or(u64::MAX - 1) + 1, Relaxed);
    }

    fn clear(&self) {
        self.0.store(0, Relaxed);
    }

    fn get(&self) -> Option<Duration> {
        self.0.load(Relaxed).checked_sub(1).map(Duration::from_millis)
    }

    fn take(&self) -> Option<Duration> {
        let taken = self.get();
        self.clear();
        taken
    }
}
