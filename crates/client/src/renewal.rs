//! When to ask for the next token: a pure machine over time, chance and what the
//! last attempt brought. It knows no token, no network and no clock.
//!
//! A token is renewed at about two thirds of its life: between 58 and 65
//! hundredths, so that an authority that is away for a third of a life is found
//! again, with the pauses between attempts, before the token ends.

use crate::call::Failure;
use tegata_token::time::UnixTime;

/// From when to when a token is good, by the clock of whoever holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// When it was got.
    pub from: UnixTime,
    /// The first second in which it is not good any more.
    pub until: UnixTime,
}

impl Validity {
    /// Whether it is good at `now`.
    #[must_use]
    pub fn covers(self, now: UnixTime) -> bool {
        now < self.until
    }
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing before this time.
    Wait(UnixTime),
    /// Ask for the token of this generation. An attempt whose answer was lost is
    /// made again under the same number.
    Issue {
        /// Counts the tokens of one holder.
        generation: u64,
    },
}

/// A number from 0 to below 1, by chance.
pub type Jitter = f64;

/// The part of its life after which a token is renewed, at the earliest.
const EARLIEST: f64 = 0.58;
/// And at the latest.
const LATEST: f64 = 0.65;

/// The longest pause between two attempts, in seconds, where the life allows it.
const LONGEST_PAUSE: i64 = 60;
/// The pause after the first refusal. Whoever is refused will mostly be refused
/// again, and ten wrong secrets a minute are what an authority bears.
const REFUSED_PAUSE: i64 = 8;
/// The longest pause that is kept because an authority asked for it.
const LONGEST_RETRY_AFTER: i64 = 15 * 60;
/// No attempt takes longer, in seconds.
const LONGEST_CALL: i64 = 15;
/// Between two renewals that were forced by a token that ended early, in seconds.
const BETWEEN_FORCED: i64 = 60;

/// The machine, for one token.
#[derive(Debug, Clone)]
pub struct Renewal {
    generation: u64,
    life: Option<Validity>,
    /// At which part of its life the token is renewed.
    part: f64,
    /// No attempt before this.
    not_before: UnixTime,
    /// Failures since the last success.
    failures: u32,
    /// The last renewal that was forced.
    forced: Option<UnixTime>,
    /// Since when the next token is asked for without an answer: it may have been
    /// issued as early as this.
    asking_since: Option<UnixTime>,
}

impl Renewal {
    /// A holder that begins with a token or without, expired or not. `generation` is
    /// that of the token, or a number by chance where nothing is known.
    #[must_use]
    pub fn starting(generation: u64, life: Option<Validity>, jitter: Jitter) -> Self {
        let part = part(jitter);
        let not_before = UnixTime(i64::MIN);
        let (forced, asking_since) = (None, None);
        Self { generation, life, part, not_before, failures: 0, forced, asking_since }
    }

    /// Goes on with attempts that began before a restart and have had no answer.
    #[must_use]
    pub fn asking_since(mut self, since: Option<UnixTime>) -> Self {
        self.asking_since = since;
        self
    }

    /// Since when the next token is asked for without an answer, if it is.
    #[must_use]
    pub fn is_asking_since(&self) -> Option<UnixTime> {
        self.asking_since
    }

    /// What to do at `now`.
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

    /// A token was issued, good for `expires_in` seconds from `now` on. `whole` is the
    /// life that was asked for: where an answer was lost, the token may be older, and
    /// it is two thirds of its whole life after which it is renewed.
    pub fn issued(&mut self, now: UnixTime, expires_in: i64, whole: i64, jitter: Jitter) {
        self.generation = self.generation.wrapping_add(1);
        let until = now.plus(expires_in);
        let asked = self.asking_since.take().unwrap_or(now);
        self.life = Some(Validity { from: asked.max(until.plus(-whole)).min(now), until });
        self.part = part(jitter);
        self.failures = 0;
        self.not_before = now;
    }

    /// An attempt failed.
    pub fn failed(&mut self, now: UnixTime, failure: &Failure, jitter: Jitter) {
        self.failures = self.failures.saturating_add(1);
        if matches!(failure, Failure::Unavailable { .. }) {
            // The request is a little older than its failure.
            self.asking_since.get_or_insert(now.plus(-LONGEST_CALL));
        }
        let doubled = |first: i64, longest: i64| {
            let pause = first.saturating_mul(1 << self.failures.saturating_sub(1).min(20));
            pause.min(longest)
        };
        let pause = match failure {
            // The key stands for a token that has ended, or for another request: the
            // next number is free.
            Failure::Refused { status: 409 | 422, .. } => {
                self.generation = self.generation.wrapping_add(1);
                self.asking_since = None;
                if self.failures < 3 { 0 } else { doubled(1, self.longest_pause()) }
            }
            Failure::Refused { .. } => doubled(REFUSED_PAUSE, LONGEST_PAUSE),
            Failure::TooFast { retry_after: Some(seconds) }
            | Failure::Unavailable { retry_after: Some(seconds), .. } => {
                i64::try_from(*seconds).unwrap_or(i64::MAX).clamp(1, LONGEST_RETRY_AFTER)
            }
            Failure::TooFast { .. } | Failure::Unavailable { .. } | Failure::NotAsked(_) => {
                doubled(1, self.longest_pause())
            }
        };
        // Up to a fifth more, so that those who failed together do not come together.
        #[expect(clippy::cast_possible_truncation, reason = "at most three minutes")]
        let more = (pause as f64 / 5.0 * jitter) as i64;
        self.not_before = now.plus(pause + more);
    }

    /// The token has ended before its time. The next one is asked for at once, but
    /// tokens that end again and again are not renewed in a storm.
    pub fn ended(&mut self, now: UnixTime) {
        self.life = None;
        if let Some(last) = self.forced {
            self.not_before = self.not_before.max(last.plus(BETWEEN_FORCED));
        }
        self.forced = Some(self.not_before.max(now));
    }

    /// The authority says that the token is good for `expires_in` more seconds.
    pub fn verified(&mut self, now: UnixTime, expires_in: i64) {
        if let Some(life) = &mut self.life {
            life.until = now.plus(expires_in);
        }
    }

    /// From when to when the present token is good; `None` if there is none, or it
    /// is known to have ended.
    #[must_use]
    pub fn life(&self) -> Option<Validity> {
        self.life
    }

    /// The number of the present token.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How many attempts failed since the last that did not.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    fn due(&self, life: Validity) -> UnixTime {
        let whole = life.until.since(life.from).max(0);
        // Counted from the end, which the authority may have corrected.
        #[expect(clippy::cast_possible_truncation, reason = "whole seconds")]
        let left = (whole as f64 * (1.0 - self.part)).round() as i64;
        // Whatever an authority says of its tokens' lives, it is not asked in a loop.
        life.until.plus(-left).max(life.from.plus(1))
    }

    /// A hundredth of the life, so that the end of an outage is noticed in time.
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
        Failure::Unavailable { why: "gone".to_owned(), retry_after: None }
    }

    fn refused(status: u16) -> Failure {
        Failure::Refused { status, said: String::new() }
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
    fn without_a_token_or_with_an_expired_one_the_next_is_asked_for_at_once() {
        let expired = Validity { from: UnixTime(0), until: NOW };
        for life in [None, Some(expired)] {
            let renewal = Renewal::starting(7, life, 0.5);
            assert_eq!(renewal.next(NOW), Next::Issue { generation: 8 });
        }
    }

    #[test]
    fn a_token_that_was_kept_is_used_until_two_thirds_of_its_life() {
        let life = Validity { from: NOW.plus(-5_000), until: NOW.plus(5_000) };
        let renewal = Renewal::starting(7, Some(life), 0.0);
        assert_eq!(wait(&renewal, NOW), 800);
    }

    #[test]
    fn a_lost_answer_is_asked_for_again_under_the_same_number() {
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
    fn a_token_whose_answer_was_lost_is_renewed_by_its_age_and_not_by_what_is_left() {
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
        assert_eq!(left(&same), 2_800, "58 hundredths less what is gone");
        // After a mere outage it is new.
        let mut new = renewal.clone();
        new.issued(got, LIFE, LIFE, 0.0);
        assert_eq!(left(&new), 5_800);
        // An authority that gives less than was asked for is not asked in a loop.
        renewal.issued(got, 1_000, LIFE, 0.0);
        renewal.issued(got, 1_000, LIFE, 0.0);
        assert_eq!(left(&renewal), 580);
    }

    #[test]
    fn a_number_that_is_used_up_is_left_behind_without_a_pause() {
        let mut renewal = fresh(0.5);
        let due = NOW.plus(LIFE);
        for (status, next) in [(409, 10), (422, 11)] {
            renewal.failed(due, &refused(status), 0.5);
            assert_eq!(renewal.next(due), Next::Issue { generation: next });
        }
        renewal.failed(due, &refused(409), 0.0);
        assert!(wait(&renewal, due) > 0, "but not in a loop");
    }

    #[test]
    fn pauses_grow_to_a_hundredth_of_the_life_and_no_more_than_a_minute() {
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
    fn a_wish_to_be_left_alone_is_kept_within_reason() {
        let mut renewal = fresh(0.0);
        let due = NOW.plus(LIFE);
        for (said, kept) in [(0, 1), (30, 30), (1_000_000, 900)] {
            renewal.failed(due, &Failure::TooFast { retry_after: Some(said) }, 0.0);
            assert_eq!(wait(&renewal, due), kept);
        }
    }

    #[test]
    fn a_refused_secret_is_not_shown_more_than_ten_times_a_minute() {
        let mut renewal = Renewal::starting(0, None, 0.0);
        let (mut now, mut asked) = (NOW, 0);
        while now < NOW.plus(60) {
            asked += 1;
            renewal.failed(now, &refused(400), 0.0);
            now = now.plus(wait(&renewal, now));
        }
        assert!(asked < 10, "{asked}");
    }

    #[test]
    fn a_token_that_ended_is_replaced_at_once_and_the_next_not_in_a_storm() {
        let mut renewal = fresh(0.5);
        let now = NOW.plus(100);
        renewal.ended(now);
        assert_eq!(wait(&renewal, now), 0);
        renewal.issued(now, LIFE, LIFE, 0.5);
        renewal.ended(now.plus(2));
        assert_eq!(wait(&renewal, now.plus(2)), 58);
        renewal.issued(now.plus(60), LIFE, LIFE, 0.5);
        renewal.ended(now.plus(200));
        assert_eq!(wait(&renewal, now.plus(200)), 0, "later it is at once again");
    }

    proptest! {
        #[test]
        fn an_outage_of_a_third_of_the_life_is_survived(
            life in 900_i64..3_000_000, begins in 0.0..1.0_f64, chances in prop::collection::vec(0.0..1.0_f64, 40)
        ) {
            let mut chances = chances.into_iter().cycle();
            let mut jitter = || chances.next().unwrap();
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
                        renewal.failed(now, &unavailable(), jitter());
                    }
                    Next::Issue { .. } => break,
                }
            }
            prop_assert!(now < NOW.plus(life), "renewed at {now:?} of {life}");
        }
    }
}
