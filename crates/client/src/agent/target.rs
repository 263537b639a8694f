//! A token that the agent renews: its state, its next request, and the processing of
//! results. No network, file or clock is used here.

use super::state::{HeldToken, Kept};
use crate::{
    call::{TokenResponse, Verified},
    failure::Failure,
    holder::GRACE,
    renewal::{Jitter, Next, Renewal},
    wanted::Wanted,
};
use tegata_policy::secret::PlainSecret;
use tegata_token::{id::Group, kind::Kind, time::UnixTime};

/// A request to the authority. A target has at most one under way.
#[derive(Debug, Clone)]
pub enum TargetRequest {
    /// Request the next token.
    Issue {
        /// The `Idempotency-Key` of the request.
        key: String,
    },
    /// Verify the token.
    Verify(PlainSecret),
    /// Revoke a token that has a successor in use.
    Retire(PlainSecret),
}

/// The result of a request.
#[derive(Debug)]
pub enum TargetResponse {
    /// Of [`TargetRequest::Issue`].
    TokenResponse(Result<TokenResponse, Failure>),
    /// Of [`TargetRequest::Verify`].
    Verified(Result<Verified, Failure>),
    /// Of [`TargetRequest::Retire`].
    Retired(Result<(), Failure>),
}

/// The change that a result caused.
#[derive(Debug, PartialEq, Eq)]
pub enum TargetChange {
    /// No change that must be saved or published.
    None,
    /// There is a new token, which must be saved and published.
    New,
    /// The token is revoked.
    Revoked,
    /// The kept state changed, but not the token.
    Kept,
}

/// A token that the agent renews.
#[derive(Debug)]
pub struct Target {
    /// Its name.
    pub name: Group,
    /// The token that is requested.
    pub wanted: Wanted,
    renewal: Renewal,
    held: Option<HeldToken>,
    /// Predecessors to revoke, and when; `None` while the successor is not in every sink.
    retiring: Vec<(HeldToken, Option<UnixTime>)>,
    check_at: UnixTime,
    last_check: UnixTime,
    /// How often to verify the token, in seconds.
    look: i64,
    /// Whether the authority was asked about a token that was kept over a restart.
    was_looked_at: bool,
    /// Whether a request is under way.
    pub busy: bool,
    /// The problem, as text.
    pub problem: Option<String>,
    /// What the request under way waits for, if it is late.
    pub late: Option<String>,
    /// When a token was last issued.
    pub last_success: Option<UnixTime>,
    /// The results of renewals.
    pub counts: Counts,
}

/// The results of renewals since the start.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    /// Tokens issued.
    pub issued: u64,
    /// Requests refused.
    pub denied: u64,
    /// Requests over the rate limit.
    pub limited: u64,
    /// Requests without a reliable response.
    pub unavailable: u64,
    /// Requests not sent for want of credentials.
    pub not_asked: u64,
}

/// The pause before the next verification after one without a response, in seconds.
const CHECK_AGAIN: i64 = 30;

/// The longest such pause that a response can ask for, in seconds.
const LONGEST_CHECK_AGAIN: i64 = 15 * 60;

/// The pause before the next verification or revocation after a failed one, in seconds:
/// as long as the response asks for, within limits.
pub fn again(failure: &Failure) -> i64 {
    let hint = failure.retry_after().and_then(|it| i64::try_from(it).ok());
    hint.unwrap_or(CHECK_AGAIN).clamp(CHECK_AGAIN, LONGEST_CHECK_AGAIN)
}

/// The shortest time between two verifications that reports cause, in seconds.
const BETWEEN_REPORTS: i64 = 5;

impl Target {
    /// A target that starts with the kept state.
    #[must_use]
    pub fn new(
        name: Group,
        wanted: Wanted,
        kept: Kept,
        look: i64,
        now: UnixTime,
        jitter: Jitter,
    ) -> Self {
        let whole = wanted.whole_lifetime();
        let as_can_be = |held: HeldToken| HeldToken { life: held.life.at_most(whole, now), ..held };
        let held = kept.held.map(as_can_be);
        let life = held.as_ref().map(|held| held.life);
        let retiring = kept.retiring.into_iter();
        Self {
            name,
            wanted,
            renewal: Renewal::starting(kept.generation, life, jitter)
                .asking_since(kept.asking_since),
            was_looked_at: held.is_none(),
            held,
            retiring: retiring.map(|held| (held, None)).collect(),
            // A kept token may have expired or been revoked meanwhile.
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

    /// Takes the settings of a reload, for the same channel, group and kind.
    pub fn reload(&mut self, wanted: Wanted, look: i64, verifies: bool, now: UnixTime) {
        (self.wanted, self.look) = (wanted, look);
        if verifies {
            self.check_at = now;
        }
        self.check_at = self.check_at.min(now.plus(look));
    }

    /// The state to keep.
    #[must_use]
    pub fn kept(&self) -> Kept {
        Kept {
            generation: self.renewal.generation(),
            asking_since: self.renewal.is_asking_since(),
            // A revoked token must not be used again after a restart, and a stateless one cannot be
            // verified then.
            held: self.held.clone().filter(|_| self.renewal.life().is_some() && self.is_checked()),
            retiring: self.retiring.iter().map(|(held, _)| held.clone()).collect(),
        }
    }

    /// The present token, active or not.
    #[must_use]
    pub fn held(&self) -> Option<&HeldToken> {
        self.held.as_ref()
    }

    /// Whether the authority was asked about a token that was kept over a restart, with or
    /// without a response.
    #[must_use]
    pub fn was_looked_at(&self) -> bool {
        self.was_looked_at
    }

    /// The token, if it is active as far as the agent knows.
    #[must_use]
    pub fn live(&self, now: UnixTime) -> Option<&HeldToken> {
        let is_good = self.renewal.life().is_some_and(|life| life.covers(now));
        self.held.as_ref().filter(|_| is_good)
    }

    /// The request that is due at `now`, or when the next one is due.
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
                return Ok(TargetRequest::Verify(held.token.clone()));
            }
            until = until.min(self.check_at);
        }
        Err(until)
    }

    /// Processes the result of a request.
    pub fn done(&mut self, now: UnixTime, outcome: TargetResponse, jitter: Jitter) -> TargetChange {
        (self.busy, self.late) = (false, None);
        self.was_looked_at |=
            matches!(outcome, TargetResponse::TokenResponse(Ok(_)) | TargetResponse::Verified(_));
        match outcome {
            TargetResponse::TokenResponse(Ok(issued)) => {
                self.issued(now, issued, jitter);
                TargetChange::New
            }
            TargetResponse::TokenResponse(Err(failure)) => {
                let kept = |it: &Renewal| (it.generation(), it.is_asking_since());
                let before = kept(&self.renewal);
                self.failed(now, &failure, jitter);
                if kept(&self.renewal) == before { TargetChange::None } else { TargetChange::Kept }
            }
            TargetResponse::Verified(checked) => self.checked(now, checked, jitter),
            TargetResponse::Retired(retired) => self.retired(now, retired),
        }
    }

    fn issued(&mut self, now: UnixTime, issued: TokenResponse, jitter: Jitter) {
        self.counts.issued += 1;
        self.last_success = Some(now);
        if self.problem.take().is_some() {
            tracing::info!(token = %self.name, "the problem is solved");
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
            Failure::Denied { .. } => counts.denied += 1,
            Failure::LimitExceeded { .. } => counts.limited += 1,
            Failure::Unavailable { .. } => counts.unavailable += 1,
            Failure::NotAsked(_) => counts.not_asked += 1,
        }
        self.renewal.failed(now, failure, jitter);
        self.note(failure.to_string());
    }

    /// Records that the credentials for the request were not read in time.
    pub fn is_late(&mut self, problem: String) {
        tracing::error!(token = %self.name, problem, "cannot be renewed");
        self.late = Some(problem);
    }

    /// Logs a problem once, and not at every attempt.
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
                // A difference of a second or two is the response's travel time.
                let moved = before.zip(self.renewal.life()).map(|(a, b)| b.until.since(a.until));
                if moved.is_some_and(|by| by.abs() > 2) {
                    TargetChange::New
                } else {
                    TargetChange::None
                }
            }
            Err(Failure::Denied { status: 400 | 401, said }) => {
                tracing::warn!(token = %self.name, said, "revoked before its expiry; requesting another");
                self.renewal.revoked(now);
                TargetChange::Revoked
            }
            // Without a reliable response, the token counts as active.
            Err(failure) => {
                self.check_at = now.plus(again(&failure));
                TargetChange::None
            }
        }
    }

    fn retired(&mut self, now: UnixTime, retired: Result<(), Failure>) -> TargetChange {
        match retired {
            // Also without credentials, which may be readable again later.
            Err(
                failure @ (Failure::Unavailable { .. }
                | Failure::LimitExceeded { .. }
                | Failure::NotAsked(_)),
            ) => {
                if let Some((_, at)) = self.retiring.first_mut() {
                    *at = Some(now.plus(again(&failure)));
                }
                TargetChange::None
            }
            // Revoked, or it cannot be revoked and expires.
            outcome => {
                if let Err(failure @ Failure::Denied { .. }) = outcome {
                    let problem = failure.to_string();
                    tracing::warn!(token = %self.name, problem, "the predecessor is not revoked");
                }
                if !self.retiring.is_empty() {
                    self.retiring.remove(0);
                }
                TargetChange::Kept
            }
        }
    }

    /// Records that the token is in every sink, which starts the grace period of its
    /// predecessors.
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

    /// Processes a report that an API answered 401 to this token. If it is the present one, it
    /// is verified as soon as may be; one that cannot be verified is renewed.
    pub fn reported(&mut self, now: UnixTime, token: &PlainSecret) {
        let same = |held: &HeldToken| held.token.reveal() == token.reveal();
        if !self.live(now).is_some_and(same) {
            return;
        }
        if self.is_checked() {
            let soon = now.max(self.last_check.plus(BETWEEN_REPORTS));
            self.check_at = self.check_at.min(soon);
        } else {
            self.renewal.doubted(now);
        }
    }

    /// How many attempts failed since the last that did not.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.renewal.failures()
    }

    /// The time of the next verification, up to a quarter earlier at random, so that tokens
    /// are not verified in bursts.
    fn next_check(&self, now: UnixTime, jitter: Jitter) -> UnixTime {
        #[expect(clippy::cast_possible_truncation, reason = "a part of a day at most")]
        let earlier = (self.look as f64 / 4.0 * jitter) as i64;
        now.plus(self.look - earlier)
    }

    /// Whether the token is verified: LINE documents no operation for a stateless one.
    fn is_checked(&self) -> bool {
        self.wanted.kind != Kind::Stateless
    }
}
