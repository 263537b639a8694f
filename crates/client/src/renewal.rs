//! Decides when to request the next token: a pure state machine over time, random numbers
//! and the results of attempts. It uses no token, network or clock.
//!
//! A token is renewed at about two thirds of its lifetime, between 58 and 65 hundredths. So
//! an authority that is unavailable for a third of a lifetime is reached again, with the
//! pauses between attempts, before the token expires.

use crate::failure::Failure;
use tegata_token::time::UnixTime;

/// The validity of a token, by the clock of its holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// When it was issued.
    pub from: UnixTime,
    /// The first second after its expiry.
    pub until: UnixTime,
}

impl Validity {
    /// The same as far as it can be true: the clock may have been ahead when it was recorded.
    #[must_use]
    pub fn at_most(self, whole: i64, now: UnixTime) -> Self {
        Self { from: self.from.min(now), until: self.until.min(now.plus(whole)) }
    }

    /// Whether the token is valid at `now`.
    #[must_use]
    pub fn covers(self, now: UnixTime) -> bool {
        now < self.until
    }
}

/// The next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Wait until this time.
    Wait(UnixTime),
    /// Request the token of this generation. An attempt whose response was lost is repeated
    /// under the same number.
    Issue {
        /// The number of the token among those of its holder.
        generation: u64,
    },
}

/// A random number from 0 to below 1.
pub type Jitter = f64;

/// The part of its lifetime after which a token is renewed at the earliest.
const EARLIEST: f64 = 0.58;
/// And at the latest.
const LATEST: f64 = 0.65;

/// The longest pause between two attempts, in seconds, if the lifetime allows it.
const LONGEST_PAUSE: i64 = 60;
/// The pause after the first refusal, in seconds. A refused client is usually refused
/// again, and an authority accepts ten wrong secrets a minute.
const DENIED_PAUSE: i64 = 8;
/// The longest `Retry-After` that is obeyed, in seconds.
const LONGEST_RETRY_AFTER: i64 = 15 * 60;
/// The longest attempt, in seconds.
const LONGEST_CALL: i64 = 15;
/// The shortest time between two renewals after revoked tokens, in seconds.
const BETWEEN_FORCED: i64 = 60;

/// The state machine for one token.
#[derive(Debug, Clone)]
pub struct Renewal {
    generation: u64,
    life: Option<Validity>,
    /// The part of its lifetime after which the token is renewed.
    part: f64,
    /// No attempt before this.
    not_before: UnixTime,
    /// Failures since the last success.
    failures: u32,
    /// The last renewal after a revoked token.
    forced: Option<UnixTime>,
    /// Since when requests for the next token have had no response: it may have been issued
    /// at this time.
    asking_since: Option<UnixTime>,
}

impl Renewal {
    /// Starts with or without a token, expired or not. `generation` is the token's, or a
    /// random number if there is no kept state.
    #[must_use]
    pub fn starting(generation: u64, life: Option<Validity>, jitter: Jitter) -> Self {
        let part = part(jitter);
        let not_before = UnixTime(i64::MIN);
        let (forced, asking_since) = (None, None);
        Self { generation, life, part, not_before, failures: 0, forced, asking_since }
    }

    /// Continues attempts that began before a restart and have had no response.
    #[must_use]
    pub fn asking_since(mut self, since: Option<UnixTime>) -> Self {
        self.asking_since = since;
        self
    }

    /// Since when requests for the next token have had no response, if that is so.
    #[must_use]
    pub fn is_asking_since(&self) -> Option<UnixTime> {
        self.asking_since
    }

    /// The next step at `now`.
    #[must_use]
    pub fn next(&self, now: UnixTime) -> Next {
        let due = match self.life {
            Some(life) if life.covers(now) => self.due(life),
            _ => now,
        };
        let at = due.max(self.not_before);
        if at > now {
            return Next::Wait(at);
        }
        Next::Issue { generation: self.generation.wrapping_add(1) }
    }

    /// Records an issued token, which expires `expires_in` seconds after `now`. `whole` is the
    /// requested lifetime: after a lost response the token may be older than `now`, and it is
    /// renewed after two thirds of its whole lifetime.
    pub fn issued(&mut self, now: UnixTime, expires_in: i64, whole: i64, jitter: Jitter) {
        self.generation = self.generation.wrapping_add(1);
        let until = now.plus(expires_in);
        let asked = self.asking_since.take().unwrap_or(now);
        self.life = Some(Validity { from: asked.max(until.plus(-whole)).min(now), until });
        self.part = part(jitter);
        self.failures = 0;
        self.not_before = now;
    }

    /// Records a failed attempt.
    pub fn failed(&mut self, now: UnixTime, failure: &Failure, jitter: Jitter) {
        self.failures = self.failures.saturating_add(1);
        if matches!(failure, Failure::Unavailable { .. }) {
            // The request began before its failure.
            self.asking_since.get_or_insert(now.plus(-LONGEST_CALL));
        }
        let doubled = |first: i64, longest: i64| {
            let pause = first.saturating_mul(1 << self.failures.saturating_sub(1).min(20));
            pause.min(longest)
        };
        let pause = match failure {
            // The key belongs to a token that is revoked or expired, or to another request:
            // the next number is free.
            Failure::Denied { status: 409 | 422, .. } => {
                self.generation = self.generation.wrapping_add(1);
                self.asking_since = None;
                if self.failures < 3 { 0 } else { doubled(1, self.longest_pause()) }
            }
            Failure::Denied { .. } => doubled(DENIED_PAUSE, LONGEST_PAUSE),
            Failure::LimitExceeded { retry_after: Some(seconds) }
            | Failure::Unavailable { retry_after: Some(seconds), .. } => {
                let hint = i64::try_from(*seconds).unwrap_or(i64::MAX);
                hint.clamp(1, LONGEST_RETRY_AFTER).min(self.longest_hint(now))
            }
            Failure::LimitExceeded { .. } | Failure::Unavailable { .. } | Failure::NotAsked(_) => {
                doubled(1, self.longest_pause())
            }
        };
        // Up to a fifth more, so that clients that failed together do not retry together.
        #[expect(clippy::cast_possible_truncation, reason = "at most three minutes")]
        let more = (pause as f64 / 5.0 * jitter) as i64;
        self.not_before = now.plus(pause + more);
    }

    /// Records that the token was revoked. The next one is requested at once, but if tokens
    /// are revoked repeatedly, at most once a minute.
    pub fn revoked(&mut self, now: UnixTime) {
        self.life = None;
        if let Some(last) = self.forced {
            self.not_before = self.not_before.max(last.plus(BETWEEN_FORCED));
        }
        self.forced = Some(self.not_before.max(now));
    }

    /// Requests the next token now, since a client says that the present one is refused. That is
    /// not certain, so the token stays until it is replaced, and at most one a minute is.
    pub fn doubted(&mut self, now: UnixTime) {
        if self.forced.is_none_or(|last| now.since(last) >= BETWEEN_FORCED) {
            // All of its lifetime is left for the renewal.
            self.part = 0.0;
            self.forced = Some(now);
        }
    }

    /// Records a verification: the token expires in `expires_in` seconds.
    pub fn verified(&mut self, now: UnixTime, expires_in: i64) {
        if let Some(life) = &mut self.life {
            // The clock may have been ahead when the token was issued.
            *life = Validity { from: life.from.min(now), until: now.plus(expires_in) };
        }
    }

    /// The validity of the present token; `None` if there is none, or it is known to be
    /// revoked.
    #[must_use]
    pub fn life(&self) -> Option<Validity> {
        self.life
    }

    /// The number of the present token.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The number of failed attempts since the last success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    fn due(&self, life: Validity) -> UnixTime {
        let whole = life.until.since(life.from).max(0);
        // Counted back from the expiry, which the authority may have corrected.
        #[expect(clippy::cast_possible_truncation, reason = "whole seconds")]
        let left = (whole as f64 * (1.0 - self.part)).round() as i64;
        // At least a second, so that no lifetime causes requests in a loop.
        life.until.plus(-left).max(life.from.plus(1))
    }

    /// How much of a hint is obeyed: half of the time that the present token has left, so
    /// that it is renewed before its expiry if the authority answers before that. Without
    /// an active token, any.
    fn longest_hint(&self, now: UnixTime) -> i64 {
        let life = self.life.filter(|life| life.covers(now));
        life.map_or(i64::MAX, |life| (life.until.since(now) / 2).max(1))
    }

    /// A hundredth of the lifetime, so that the end of an outage is noticed in time.
    fn longest_pause(&self) -> i64 {
        let whole = self.life.map_or(i64::MAX, |life| life.until.since(life.from));
        (whole / 100).clamp(1, LONGEST_PAUSE)
    }
}

fn part(jitter: Jitter) -> f64 {
    EARLIEST + (LATEST - EARLIEST) * jitter.clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: UnixTime = UnixTime(1_000_000);
    const LIFE: i64 = 10_000;

    fn unavailable() -> Failure {
        Failure::Unavailable { from: String::new(), why: "gone".to_owned(), retry_after: None }
    }

    fn denied(status: u16) -> Failure {
        Failure::Denied { status, said: String::new() }
    }

    fn fresh(jitter: Jitter) -> Renewal {
        let mut renewal = Renewal::starting(7, None, jitter);
        renewal.issued(NOW, LIFE, LIFE, jitter);
        renewal
    }

    fn wait(renewal: &Renewal, now: UnixTime) -> i64 {
        match renewal.next(now) {
            Next::Wait(until) => until.since(now),
            Next::Issue { .. } => 0,
        }
    }

    #[test]
    fn without_a_token_or_with_an_expired_one_the_next_is_requested_at_once() {
        let expired = Validity { from: UnixTime(0), until: NOW };
        for life in [None, Some(expired)] {
            let renewal = Renewal::starting(7, life, 0.5);
            assert_eq!(renewal.next(NOW), Next::Issue { generation: 8 });
        }
    }

    #[test]
    fn a_kept_token_is_used_until_two_thirds_of_its_lifetime() {
        let life = Validity { from: NOW.plus(-5_000), until: NOW.plus(5_000) };
        let renewal = Renewal::starting(7, Some(life), 0.0);
        assert_eq!(wait(&renewal, NOW), 800);
    }

    #[test]
    fn a_request_without_a_response_is_repeated_under_the_same_number() {
        let mut renewal = fresh(0.5);
        let due = NOW.plus(LIFE);
        assert_eq!(renewal.next(due), Next::Issue { generation: 9 });
        renewal.failed(due, &unavailable(), 0.0);
        assert_eq!(renewal.next(due), Next::Wait(due.plus(1)));
        assert_eq!(renewal.next(due.plus(1)), Next::Issue { generation: 9 });
        renewal.issued(due.plus(1), LIFE, LIFE, 0.5);
        assert_eq!(renewal.generation(), 9);
    }

    #[test]
    fn a_token_after_a_lost_response_is_renewed_by_its_age_and_not_by_its_remaining_time() {
        let mut renewal = fresh(0.0);
        let due = NOW.plus(LIFE);
        renewal.failed(due, &unavailable(), 0.0);
        let got = due.plus(3_000);
        let left = |renewal: &Renewal| match renewal.next(got) {
            Next::Wait(until) => until.since(got),
            Next::Issue { .. } => 0,
        };
        let mut same = renewal.clone();
        same.issued(got, LIFE - 3_000, LIFE, 0.0);
        assert_eq!(left(&same), 2_800, "58 hundredths less the age");
        // After an outage the token is new.
        let mut new = renewal.clone();
        new.issued(got, LIFE, LIFE, 0.0);
        assert_eq!(left(&new), 5_800);
        // An authority that issues shorter lifetimes is not asked in a loop.
        renewal.issued(got, 1_000, LIFE, 0.0);
        renewal.issued(got, 1_000, LIFE, 0.0);
        assert_eq!(left(&renewal), 580);
    }

    #[test]
    fn a_number_that_is_in_use_is_skipped_without_a_pause() {
        let mut renewal = fresh(0.5);
        let due = NOW.plus(LIFE);
        for (status, next) in [(409, 10), (422, 11)] {
            renewal.failed(due, &denied(status), 0.5);
            assert_eq!(renewal.next(due), Next::Issue { generation: next });
        }
        renewal.failed(due, &denied(409), 0.0);
        assert!(wait(&renewal, due) > 0, "but not in a loop");
    }

    #[test]
    fn pauses_grow_to_a_hundredth_of_the_lifetime_and_to_a_minute_at_most() {
        let mut renewal = fresh(0.0);
        let due = NOW.plus(LIFE);
        let mut pauses = Vec::new();
        for _ in 0..10 {
            renewal.failed(due, &unavailable(), 0.0);
            pauses.push(wait(&renewal, due));
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
        let mut short = Renewal::starting(0, None, 0.0);
        short.issued(NOW, 900, 900, 0.0);
        (0..10).for_each(|_| short.failed(NOW.plus(900), &unavailable(), 0.0));
        assert_eq!(wait(&short, NOW.plus(900)), 9);
    }

    #[test]
    fn retry_after_is_obeyed_within_limits() {
        let mut renewal = fresh(0.0);
        let due = NOW.plus(LIFE);
        for (said, kept) in [(0, 1), (30, 30), (1_000_000, 900)] {
            renewal.failed(due, &Failure::LimitExceeded { retry_after: Some(said) }, 0.0);
            assert_eq!(wait(&renewal, due), kept);
        }
    }

    #[test]
    fn no_hint_outlasts_the_token_that_is_held() {
        for said in [30, 900, 1_000_000, u64::MAX] {
            for failure in [
                Failure::LimitExceeded { retry_after: Some(said) },
                Failure::Unavailable {
                    from: String::new(),
                    why: "503".to_owned(),
                    retry_after: Some(said),
                },
            ] {
                let mut renewal = fresh(0.0);
                let until = NOW.plus(LIFE);
                // The authority is back a few seconds before the expiry.
                let (mut now, mut asked) = (until.plus(-500), 0);
                while now < until.plus(-5) {
                    renewal.failed(now, &failure, 0.999);
                    now = now.plus(wait(&renewal, now).max(1));
                    asked += 1;
                }
                assert!(now < until, "asked again at {now:?}, after {until:?}, for {said}");
                assert!(asked <= 20, "{asked} requests for {said}");
            }
        }
    }

    #[test]
    fn a_refused_secret_is_not_sent_more_than_ten_times_a_minute() {
        let mut renewal = Renewal::starting(0, None, 0.0);
        let (mut now, mut asked) = (NOW, 0);
        while now < NOW.plus(60) {
            asked += 1;
            renewal.failed(now, &denied(400), 0.0);
            now = now.plus(wait(&renewal, now));
        }
        assert!(asked < 10, "{asked}");
    }

    #[test]
    fn a_revoked_token_is_replaced_at_once_and_the_next_after_a_minute() {
        let mut renewal = fresh(0.5);
        let now = NOW.plus(100);
        renewal.revoked(now);
        assert_eq!(wait(&renewal, now), 0);
        renewal.issued(now, LIFE, LIFE, 0.5);
        renewal.revoked(now.plus(2));
        assert_eq!(wait(&renewal, now.plus(2)), 58);
        renewal.issued(now.plus(60), LIFE, LIFE, 0.5);
        renewal.revoked(now.plus(200));
        assert_eq!(wait(&renewal, now.plus(200)), 0, "later it is at once again");
    }

    proptest! {
        #[test]
        fn an_outage_of_a_third_of_the_lifetime_is_survived(
            life in 900_i64..3_000_000, begins in 0.0..1.0_f64, hint in prop::option::of(0_u64..2_000),
            numbers in prop::collection::vec(0.0..1.0_f64, 40)
        ) {
            let failure =
                Failure::Unavailable { from: String::new(), why: "gone".to_owned(), retry_after: hint };
            let mut numbers = numbers.into_iter().cycle();
            let mut jitter = || numbers.next().unwrap();
            let mut renewal = Renewal::starting(0, None, jitter());
            renewal.issued(NOW, life, life, jitter());
            #[expect(clippy::cast_possible_truncation, reason = "whole seconds")]
            let from = NOW.plus((life as f64 * begins) as i64);
            let to = from.plus(life / 3);
            let mut now = NOW;
            loop {
                match renewal.next(now) {
                    Next::Wait(until) => now = until,
                    Next::Issue { .. } if from <= now && now < to => {
                        renewal.failed(now, &failure, jitter());
                    }
                    Next::Issue { .. } => break,
                }
            }
            prop_assert!(now < NOW.plus(life), "renewed at {now:?} of {life}");
        }
    }
}
