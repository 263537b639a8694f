//! One token that is kept fresh: what is held of it, what is to be done about it
//! next, and what came of it. No network, no file and no clock in here.

use super::state::{HeldToken, Kept};
use crate::{
    call::{Failure, TokenResponse, Verified},
    holder::GRACE,
    renewal::{Jitter, Next, Renewal},
    wanted::Wanted,
};
use tegata_policy::secret::PlainSecret;
use tegata_token::{id::Group, kind::Kind, time::UnixTime};

/// Something to do that needs the authority. Of one target, one is under way at a time.
#[derive(Debug, Clone)]
pub enum TargetRequest {
    /// Ask for the next token.
    Issue {
        /// The `Idempotency-Key` to ask with.
        key: String,
    },
    /// See whether the token is still good.
    Check(PlainSecret),
    /// End a token that has a successor in use.
    Retire(PlainSecret),
}

/// What came of it.
#[derive(Debug)]
pub enum Answer {
    /// Of [`TargetRequest::Issue`].
    TokenResponse(Result<TokenResponse, Failure>),
    /// Of [`TargetRequest::Check`].
    Checked(Result<Verified, Failure>),
    /// Of [`TargetRequest::Retire`].
    Retired(Result<(), Failure>),
}

/// What an outcome changed.
#[derive(Debug, PartialEq, Eq)]
pub enum TargetChange {
    /// Nothing that others would have to know.
    None,
    /// There is a new token, to be kept and published.
    New,
    /// The token is no good any more.
    Revoked,
    /// What is kept changed, but not the token.
    Kept,
}

/// A token that is kept fresh.
#[derive(Debug)]
pub struct Target {
    /// What it is called.
    pub name: Group,
    /// What it is.
    pub wanted: Wanted,
    renewal: Renewal,
    held: Option<HeldToken>,
    /// Predecessors to be ended, and from when on; `None` while the successor is not
    /// in use everywhere.
    retiring: Vec<(HeldToken, Option<UnixTime>)>,
    check_at: UnixTime,
    last_check: UnixTime,
    /// How often to see that the token is still good, in seconds.
    look: i64,
    /// Whether the authority was asked about what was kept over a restart.
    was_looked_at: bool,
    /// Whether an act is under way.
    pub busy: bool,
    /// What is wrong, for people.
    pub problem: Option<String>,
    /// What the act under way waits for, if for longer than it should.
    pub late: Option<String>,
    /// When a token was last got.
    pub last_success: Option<UnixTime>,
    /// How renewals went.
    pub counts: Counts,
}

/// How renewals went, since the start.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    /// A token was issued.
    pub issued: u64,
    /// It was refused.
    pub refused: u64,
    /// The channel asked too often.
    pub too_fast: u64,
    /// No answer to rely on.
    pub unavailable: u64,
    /// There was nothing to ask with.
    pub not_asked: u64,
}

/// After how many seconds to check again when there was no answer.
const CHECK_AGAIN: i64 = 30;

/// Reports of a refused token are followed up at most once in so many seconds.
const BETWEEN_REPORTS: i64 = 5;

impl Target {
    /// A target that begins with what was kept.
    #[must_use]
    pub fn new(
        name: Group,
        wanted: Wanted,
        kept: Kept,
        look: i64,
        now: UnixTime,
        jitter: Jitter,
    ) -> Self {
        let life = kept.held.as_ref().map(|held| held.life);
        let (retiring, kind) = (kept.retiring.into_iter(), wanted.kind);
        Self {
            name,
            wanted,
            renewal: Renewal::starting(kept.generation, life, jitter)
                .asking_since(kept.asking_since),
            // Of a stateless one nobody can be asked.
            was_looked_at: kept.held.is_none() || kind == Kind::Stateless,
            held: kept.held,
            retiring: retiring.map(|held| (held, None)).collect(),
            // What was kept may have ended meanwhile, or by another clock.
            check_at: now,
            last_check: UnixTime(i64::MIN),
            look,
            busy: false,
            problem: None,
            late: None,
            last_success: None,
            counts: Counts::default(),
        }
    }

    /// What is to be kept.
    #[must_use]
    pub fn kept(&self) -> Kept {
        Kept {
            generation: self.renewal.generation(),
            asking_since: self.renewal.is_asking_since(),
            // One that has ended is none to begin with again.
            held: self.held.clone().filter(|_| self.renewal.life().is_some()),
            retiring: self.retiring.iter().map(|(held, _)| held.clone()).collect(),
        }
    }

    /// The token at hand, good or not.
    #[must_use]
    pub fn held(&self) -> Option<&HeldToken> {
        self.held.as_ref()
    }

    /// Whether a token that was kept over a restart was asked about since, with or
    /// without an answer: it may have ended meanwhile.
    #[must_use]
    pub fn was_looked_at(&self) -> bool {
        self.was_looked_at
    }

    /// The token, if it is good as far as anybody knows.
    #[must_use]
    pub fn live(&self, now: UnixTime) -> Option<&HeldToken> {
        let is_good = self.renewal.life().is_some_and(|life| life.covers(now));
        self.held.as_ref().filter(|_| is_good)
    }

    /// What to do at `now`, or until when there is nothing to do.
    pub fn next(&mut self, now: UnixTime) -> Result<TargetRequest, UnixTime> {
        if self.busy {
            return Err(UnixTime(i64::MAX));
        }
        self.retiring.retain(|(held, _)| held.life.covers(now));
        let issue_at = match self.renewal.next(now) {
            Next::Issue { generation } => {
                return Ok(TargetRequest::Issue { key: self.wanted.idempotency_key(generation) });
            }
            Next::Wait(until) => until,
        };
        let retire_at = self.retiring.first().and_then(|(_, at)| *at);
        if retire_at.is_some_and(|at| at <= now) {
            return Ok(TargetRequest::Retire(self.retiring[0].0.token.clone()));
        }
        let mut until = issue_at.min(retire_at.unwrap_or(issue_at));
        if self.is_checked()
            && let Some(held) = self.live(now)
        {
            if self.check_at <= now {
                return Ok(TargetRequest::Check(held.token.clone()));
            }
            until = until.min(self.check_at);
        }
        Err(until)
    }

    /// Takes in what came of an act.
    pub fn done(&mut self, now: UnixTime, outcome: Answer, jitter: Jitter) -> TargetChange {
        (self.busy, self.late) = (false, None);
        self.was_looked_at |= matches!(outcome, Answer::TokenResponse(Ok(_)) | Answer::Checked(_));
        match outcome {
            Answer::TokenResponse(Ok(issued)) => {
                self.issued(now, issued, jitter);
                TargetChange::New
            }
            Answer::TokenResponse(Err(failure)) => {
                let kept = |it: &Renewal| (it.generation(), it.is_asking_since());
                let before = kept(&self.renewal);
                self.failed(now, &failure, jitter);
                if kept(&self.renewal) == before { TargetChange::None } else { TargetChange::Kept }
            }
            Answer::Checked(checked) => self.checked(now, checked, jitter),
            Answer::Retired(retired) => self.retired(now, retired),
        }
    }

    fn issued(&mut self, now: UnixTime, issued: TokenResponse, jitter: Jitter) {
        self.counts.issued += 1;
        self.last_success = Some(now);
        if self.problem.take().is_some() {
            tracing::info!(token = %self.name, "mended");
        }
        let predecessor = self.live(now).cloned();
        self.renewal.issued(now, issued.expires_in, self.wanted.whole_lifetime(), jitter);
        self.check_at = self.next_check(now, jitter);
        let Some(life) = self.renewal.life() else { return };
        let new = HeldToken { token: issued.token, life };
        let is_another = |old: &HeldToken| old.token.reveal() != new.token.reveal();
        if let Some(old) = predecessor.filter(is_another)
            && self.wanted.predecessor_is_ours_to_end()
        {
            self.retiring.push((old, None));
        }
        self.held = Some(new);
        tracing::info!(token = %self.name, expires_in = issued.expires_in, "renewed");
    }

    fn failed(&mut self, now: UnixTime, failure: &Failure, jitter: Jitter) {
        let counts = &mut self.counts;
        match failure {
            Failure::Refused { .. } => counts.refused += 1,
            Failure::TooFast { .. } => counts.too_fast += 1,
            Failure::Unavailable { .. } => counts.unavailable += 1,
            Failure::NotAsked(_) => counts.not_asked += 1,
        }
        self.renewal.failed(now, failure, jitter);
        self.note(failure.to_string());
    }

    /// The credentials for the act under way were not read in time.
    pub fn is_late(&mut self, problem: String) {
        tracing::error!(token = %self.name, problem, "cannot be renewed");
        self.late = Some(problem);
    }

    /// Once, and not at every attempt.
    fn note(&mut self, problem: String) {
        if self.problem.as_ref() != Some(&problem) {
            tracing::error!(token = %self.name, problem, "cannot be renewed");
        }
        self.problem = Some(problem);
    }

    fn checked(
        &mut self,
        now: UnixTime,
        checked: Result<Verified, Failure>,
        jitter: Jitter,
    ) -> TargetChange {
        (self.check_at, self.last_check) = (self.next_check(now, jitter), now);
        match checked {
            Ok(verified) => {
                self.renewal.verified(now, verified.expires_in);
                let before = self.held.as_ref().map(|held| held.life);
                if let (Some(held), Some(life)) = (&mut self.held, self.renewal.life()) {
                    held.life = life;
                }
                // A second up or down is the way that the answer took.
                let moved = before.zip(self.renewal.life()).map(|(a, b)| b.until.since(a.until));
                if moved.is_some_and(|by| by.abs() > 2) {
                    TargetChange::New
                } else {
                    TargetChange::None
                }
            }
            Err(Failure::Refused { status: 400 | 401, said }) => {
                tracing::warn!(token = %self.name, said, "ended before its time; asking for another");
                self.renewal.ended(now);
                TargetChange::Revoked
            }
            // Not known is not "no".
            Err(_) => {
                self.check_at = now.plus(CHECK_AGAIN);
                TargetChange::None
            }
        }
    }

    fn retired(&mut self, now: UnixTime, retired: Result<(), Failure>) -> TargetChange {
        match retired {
            Err(Failure::Unavailable { .. } | Failure::TooFast { .. }) => {
                if let Some((_, at)) = self.retiring.first_mut() {
                    *at = Some(now.plus(CHECK_AGAIN));
                }
                TargetChange::None
            }
            // Ended, or not ours to end after all: then it expires.
            Ok(()) | Err(Failure::Refused { .. } | Failure::NotAsked(_)) => {
                if !self.retiring.is_empty() {
                    self.retiring.remove(0);
                }
                TargetChange::Kept
            }
        }
    }

    /// The token has arrived wherever it is put: its predecessors have had their time
    /// after a while.
    pub fn in_use(&mut self, now: UnixTime) {
        for (_, at) in self.retiring.iter_mut().filter(|(_, at)| at.is_none()) {
            *at = Some(now.plus(GRACE));
        }
    }

    /// Whether predecessors wait for [`Target::in_use`].
    #[must_use]
    pub fn waits_for_use(&self) -> bool {
        self.retiring.iter().any(|(_, at)| at.is_none())
    }

    /// Somebody was answered 401 with this token. If it is the one at hand, the
    /// authority is asked about it now.
    pub fn reported(&mut self, now: UnixTime, token: &PlainSecret) {
        let same = |held: &HeldToken| held.token.reveal() == token.reveal();
        let is_recent = now.since(self.last_check) < BETWEEN_REPORTS;
        if self.live(now).is_some_and(same) && self.is_checked() && !is_recent {
            self.check_at = now;
        }
    }

    /// How many attempts failed since the last that did not.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.renewal.failures()
    }

    /// Up to a quarter earlier by chance, so that tokens are not checked in bursts.
    fn next_check(&self, now: UnixTime, jitter: Jitter) -> UnixTime {
        #[expect(clippy::cast_possible_truncation, reason = "a part of a day at most")]
        let earlier = (self.look as f64 / 4.0 * jitter) as i64;
        now.plus(self.look - earlier)
    }

    /// LINE documents no operation that checks a stateless token.
    fn is_checked(&self) -> bool {
        self.wanted.kind != Kind::Stateless
    }
}
