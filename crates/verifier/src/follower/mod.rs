//! The follower as a pure state machine: clocks, responses and random numbers are its
//! arguments. It says which requests to send; a program sends them and reports what came
//! back.

mod apply;
mod request;

pub use request::{NextRequests, Received, Request};

use crate::{
    clocks::{Clocks, Steady},
    standing::{Standing, Use, Withdrawn},
};
use request::{Asked, Sent};
use std::{sync::Arc, time::Duration};
use tegata_token::{
    feed::{DISCONNECTED, InstanceId, longest_hold, longest_retry, poll_timeout},
    id::Position,
};

/// The shortest time between two questions.
const BETWEEN_QUESTIONS: Duration = Duration::from_secs(1);
/// The longest wait before the snapshot that a 410 requires, so that a thousand followers
/// do not all ask at once.
const LONGEST_SPREAD: Duration = Duration::from_millis(100);
/// The longest wait before a retry, which is less than rule 7 of `docs/feed.md` permits: an
/// authority that was killed has all its followers back within this time after its start. To
/// refuse a connection costs a machine microseconds, so thousands may try once a second.
const LONGEST_WAIT: Duration = Duration::from_millis(1_500);
/// The longest `Retry-After` that is obeyed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Number of responses in a row, empty and early, after which a snapshot is taken.
const QUIET: u32 = 3;

/// A follower of the feed.
#[derive(Debug)]
pub struct Follower {
    instance: InstanceId,
    /// What its requests carry: the most lenient of its uses.
    wanted: Use,
    /// The shortest staleness of its uses: for each of them a view is brought in time.
    shortest: Duration,
    standing: Arc<Standing>,
    /// The poll or the snapshot.
    main: Option<Sent>,
    question: Option<Sent>,
    question_wanted: bool,
    /// When the last question was sent.
    asked_at: Option<Steady>,
    /// When the next poll or snapshot may be sent.
    not_before: Steady,
    needs_snapshot: bool,
    /// Whether the next poll is answered at once, so that the view is young again without the
    /// time of a hold: the last poll or snapshot has failed, or is too long for a new use, or a
    /// clock was set, or the view is that of an earlier process.
    at_once: bool,
    /// Why it cannot apply what it received.
    cannot: Option<String>,
    /// The position of a snapshot that is before the view's.
    behind: Option<Position>,
    /// Whether the next request reports that it cannot apply something.
    reports: bool,
    quiet: u32,
    bye: Bye,
    last_id: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bye {
    No,
    Wanted,
    Done,
}

impl Follower {
    /// A follower without a view, whose uses need at most what `wanted` allows.
    #[must_use]
    pub fn new(instance: InstanceId, wanted: Use, now: Steady) -> Self {
        Self {
            instance,
            wanted,
            shortest: wanted.staleness,
            standing: Arc::default(),
            main: None,
            question: None,
            question_wanted: false,
            asked_at: None,
            not_before: now,
            needs_snapshot: true,
            at_once: false,
            cannot: None,
            behind: None,
            reports: false,
            quiet: 0,
            bye: Bye::No,
            last_id: 0,
        }
    }

    /// A follower that begins with the view of an earlier process on the same boot. It asks
    /// for what follows that view, and uses the stricter of both processes' values until
    /// the first response.
    #[must_use]
    pub fn resumed(instance: InstanceId, wanted: Use, now: Steady, copy: Standing) -> Self {
        let granted = copy.granted.map(|it| it.stricter(wanted));
        let standing = Arc::new(Standing { granted, withdrawn: None, ..copy });
        let needs_snapshot = standing.facts.is_none();
        // The copy may be old: the time of a hold would be added to that.
        Self { standing, needs_snapshot, at_once: true, ..Self::new(instance, wanted, now) }
    }

    /// What verifications use from now on.
    #[must_use]
    pub fn standing(&self) -> Arc<Standing> {
        self.standing.clone()
    }

    /// Its instance.
    #[must_use]
    pub fn instance(&self) -> &InstanceId {
        &self.instance
    }

    /// Why it cannot apply what it received, if so.
    #[must_use]
    pub fn cannot(&self) -> Option<&str> {
        self.cannot.as_deref()
    }

    /// The position of the authority's last snapshot, if it is before the view's and so was
    /// discarded.
    #[must_use]
    pub fn authority_behind(&self) -> Option<Position> {
        self.behind
    }

    /// Adds a use. What it needs beyond the others is in force after the next response. A
    /// request that is held for longer than a stricter use permits is given up.
    pub fn add_use(&mut self, wanted: Use) {
        self.wanted = self.wanted.more_lenient(wanted);
        if wanted.staleness >= self.shortest {
            return;
        }
        self.shortest = wanted.staleness;
        let too_long = longest_hold(self.shortest);
        let is_held = |it: &mut Sent| it.asked.hold().is_some_and(|hold| hold > too_long);
        self.at_once |= self.main.take_if(is_held).is_some();
    }

    /// Requires a question, sent as soon as the rules allow.
    pub fn want_question(&mut self) {
        self.question_wanted = true;
    }

    /// Takes note of a position that the authority has shown in another response: a view
    /// behind it is stale.
    pub fn note_position(&mut self, position: Position) {
        if self.standing.shown.is_none_or(|it| it < position) {
            self.change(|it| it.shown = Some(position));
        }
    }

    /// Stops the follower after the process's last verification: it is stale from now on
    /// and says `bye`.
    pub fn stop(&mut self) {
        if self.bye == Bye::No {
            self.bye = Bye::Wanted;
            self.main = None;
            self.question = None;
            self.change(|it| it.withdrawn = Some(Withdrawn::Stopped));
        }
    }

    /// Whether it has said `bye`.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.bye == Bye::Done
    }

    fn change(&mut self, change: impl FnOnce(&mut Standing)) {
        let mut next = Standing::clone(&self.standing);
        change(&mut next);
        self.standing = Arc::new(next);
    }

    // ---- sending

    /// The requests to send now, and how long to wait until the next call. `random` is from
    /// 0 to below 1.
    pub fn next(&mut self, clocks: Clocks, random: f64) -> NextRequests {
        let now = clocks.steady;
        if self.main.as_ref().is_some_and(|it| it.deadline <= now) {
            self.main = None;
            self.at_once = true;
            self.retry(now, random);
        }
        if self.question.as_ref().is_some_and(|it| it.deadline <= now) {
            self.question = None;
        }
        self.give_up_after_jump(clocks);
        let mut requests = Vec::new();
        if self.main.is_none() && self.bye != Bye::Done && self.not_before <= now {
            let asked = self.main_request();
            requests.push(self.send(asked, clocks, false));
        }
        if let Some(after) = self.due_question(now) {
            self.question_wanted = false;
            self.asked_at = Some(now);
            let hold = Duration::ZERO;
            let asked = Asked::Changes { after, hold, cannot: None, bye: false };
            requests.push(self.send(asked, clocks, true));
        }
        NextRequests { requests, wait: self.wait(now) }
    }

    /// If a clock was set since the view's request was sent, gives up a poll that was sent before
    /// as well: its response would leave the view stale, at the end of a hold.
    fn give_up_after_jump(&mut self, clocks: Clocks) {
        let facts = self.standing.facts.as_ref();
        if facts.is_some_and(|it| clocks.jumped_since(it.gap)) {
            self.at_once = true;
            self.main.take_if(|it| {
                it.asked.hold().is_some() && !it.asked.is_bye() && clocks.jumped_since(it.at.gap())
            });
        }
    }

    fn main_request(&self) -> Asked {
        let position = self.standing.view().map(tegata_token::view::View::position);
        if self.bye == Bye::Wanted {
            let (after, hold) = (position.unwrap_or_default(), Duration::ZERO);
            return Asked::Changes { after, hold, cannot: None, bye: true };
        }
        match position {
            Some(after) if self.reports => {
                let cannot = self.cannot.clone();
                Asked::Changes { after, hold: Duration::ZERO, cannot, bye: false }
            }
            Some(after) if !self.needs_snapshot => {
                let hold = if self.at_once { Duration::ZERO } else { longest_hold(self.shortest) };
                Asked::Changes { after, hold, cannot: None, bye: false }
            }
            _ => Asked::Snapshot,
        }
    }

    /// The position to ask after, if a question is due.
    fn due_question(&self, now: Steady) -> Option<Position> {
        let due = self.asked_at.is_none_or(|it| it.plus(BETWEEN_QUESTIONS) <= now);
        let free = self.question.is_none() && self.bye == Bye::No && !self.needs_snapshot;
        if !(self.question_wanted && due && free) {
            return None;
        }
        self.standing.view().map(tegata_token::view::View::position)
    }

    fn send(&mut self, asked: Asked, clocks: Clocks, is_question: bool) -> Request {
        self.last_id += 1;
        let id = self.last_id;
        let timeout = match asked.hold() {
            None => DISCONNECTED,
            Some(hold) => poll_timeout(hold, self.shortest),
        };
        let request = asked.request(id, &self.instance, self.wanted);
        let deadline = clocks.steady.plus(timeout);
        let sent = Sent { id, asked, at: clocks, wanted: self.wanted, deadline };
        *(if is_question { &mut self.question } else { &mut self.main }) = Some(sent);
        request
    }

    fn wait(&self, now: Steady) -> Duration {
        let next_main = match (&self.main, self.bye) {
            (Some(sent), _) => Some(sent.deadline),
            (None, Bye::Done) => None,
            (None, _) => Some(self.not_before),
        };
        let next_question = match &self.question {
            Some(sent) => Some(sent.deadline),
            None if self.question_wanted => {
                Some(self.asked_at.map_or(now, |it| it.plus(BETWEEN_QUESTIONS)))
            }
            None => None,
        };
        let next = next_main.into_iter().chain(next_question.filter(|it| *it > now)).min();
        next.map_or(Duration::from_secs(60), |it| it.since(now))
    }

    /// Lets the next request wait, as after a failure.
    fn retry(&mut self, now: Steady, random: f64) {
        let longest = LONGEST_WAIT.min(longest_retry(self.shortest));
        self.not_before = now.plus(longest.mul_f64(random));
    }

    // ---- receiving

    /// Takes note that bytes of the response to a request have arrived.
    pub fn progress(&mut self, id: u64, now: Steady) {
        if let Some(sent) = self.main.as_mut().filter(|it| it.id == id)
            && sent.asked == Asked::Snapshot
        {
            sent.deadline = now.plus(DISCONNECTED);
        }
    }

    /// Whether the response to a request is still awaited.
    #[must_use]
    pub fn awaits(&self, id: u64) -> bool {
        [&self.main, &self.question].into_iter().flatten().any(|it| it.id == id)
    }

    /// Takes the response to a request. A response to a request that was given up is
    /// ignored.
    pub fn receive(&mut self, id: u64, outcome: &Received<'_>, clocks: Clocks, random: f64) {
        let is = |sent: &mut Sent| sent.id == id;
        if let Some(sent) = self.main.take_if(is) {
            self.not_before = clocks.steady;
            self.received(&sent, outcome, clocks, random, true);
        } else if let Some(sent) = self.question.take_if(is) {
            self.received(&sent, outcome, clocks, random, false);
        }
    }

    fn received(
        &mut self,
        sent: &Sent,
        outcome: &Received<'_>,
        clocks: Clocks,
        random: f64,
        is_main: bool,
    ) {
        let now = clocks.steady;
        let (status, retry_after, body) = match outcome {
            Received::Response { status, retry_after, body } => (*status, *retry_after, *body),
            Received::Failed => (0, None, &[][..]),
        };
        if sent.asked.is_bye() {
            // An instance that the server has removed is gone as well.
            match status {
                200 | 403 | 410 => self.bye = Bye::Done,
                _ => self.retry(now, random),
            }
            return;
        }
        self.reports &= !is_main;
        match status {
            200 => {
                self.at_once &= !is_main;
                if let Err(problem) = self.apply(sent, body, clocks) {
                    self.cannot_apply(sent, problem);
                }
                // A response that leads to another request at once would do so again.
                if self.needs_snapshot || self.quiet > 0 {
                    self.retry(now, random);
                }
            }
            410 => {
                self.needs_snapshot = true;
                let spread = LONGEST_SPREAD.min(longest_retry(self.shortest));
                self.not_before = now.plus(spread.mul_f64(random));
            }
            400 | 401 | 403 | 426 => {
                let problem: String = String::from_utf8_lossy(body).chars().take(200).collect();
                self.change(|it| it.withdrawn = Some(Withdrawn::Rejected { status, problem }));
                // Until a request is answered no use accepts a token, so none is held.
                (self.main, self.at_once) = (None, true);
                self.retry(now, random);
            }
            _ if is_main => {
                self.at_once = true;
                self.retry(now, random);
                if let Some(time) = retry_after {
                    self.not_before = self.not_before.plus(time.min(LONGEST_RETRY_AFTER));
                }
            }
            _ => {}
        }
    }

    /// A snapshot may hold what the change did not; if not even that can be applied, the
    /// authority learns the reason.
    fn cannot_apply(&mut self, sent: &Sent, problem: String) {
        self.reports = sent.asked == Asked::Snapshot && self.standing.facts.is_some();
        self.needs_snapshot = true;
        self.cannot = Some(problem);
    }
}
