//! Attempts at an operation that is repeated until it succeeds: the time of the next one,
//! and the last problem.

use tegata_token::time::UnixTime;

/// The longest pause between two attempts, in seconds.
const LONGEST_PAUSE: i64 = 30;

/// The attempts at one operation; one is under way at a time.
#[derive(Debug)]
pub struct Attempts {
    /// What the log says of a failure.
    failure: &'static str,
    /// No attempt before this.
    due: UnixTime,
    is_under_way: bool,
    failures: u32,
    problem: Option<String>,
}

impl Attempts {
    /// Due at once. `failure` is what the log says of a failure.
    pub fn new(failure: &'static str) -> Self {
        let due = UnixTime(i64::MIN);
        Self { failure, due, is_under_way: false, failures: 0, problem: None }
    }

    /// Requests an attempt now, or, if one is under way, right after it.
    pub fn ask(&mut self) {
        self.due = UnixTime(i64::MIN);
    }

    /// Whether an attempt is due at `now`.
    pub fn is_due(&self, now: UnixTime) -> bool {
        !self.is_under_way && self.due <= now
    }

    /// When the next attempt is due; never while one is under way.
    pub fn next_time(&self) -> UnixTime {
        if self.is_under_way { UnixTime(i64::MAX) } else { self.due }
    }

    /// Whether an attempt is under way.
    pub fn is_under_way(&self) -> bool {
        self.is_under_way
    }

    /// Whether no attempt is under way or requested, and the last one succeeded.
    pub fn is_settled(&self) -> bool {
        !self.is_under_way && self.problem.is_none() && self.due > UnixTime(i64::MIN)
    }

    /// Records that an attempt begins.
    pub fn begin(&mut self) {
        (self.is_under_way, self.due) = (true, UnixTime(i64::MAX));
    }

    /// Records a success. The next attempt is due at `again`, or now if one was requested
    /// meanwhile.
    pub fn worked(&mut self, sink: &str, again: UnixTime) {
        if self.problem.take().is_some() {
            tracing::info!(sink, "the problem is solved");
        }
        (self.failures, self.is_under_way) = (0, false);
        self.due = self.due.min(again);
    }

    /// Records a failure.
    pub fn failed(&mut self, sink: &str, now: UnixTime, problem: String) {
        self.note(sink, problem);
        let pause = 1_i64 << self.failures.min(6);
        self.failures = self.failures.saturating_add(1);
        self.is_under_way = false;
        self.due = self.due.min(now.plus(pause.min(LONGEST_PAUSE)));
    }

    /// Records a problem with the attempt, such as that it is late.
    pub fn note(&mut self, sink: &str, problem: String) {
        // Logged once, and not at every attempt.
        if self.problem.as_ref() != Some(&problem) {
            tracing::error!(sink, problem, "{}", self.failure);
        }
        self.problem = Some(problem);
    }

    /// The last problem.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }
}
