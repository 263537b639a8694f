//! Something that is tried until it works: when to try again, and what went wrong.

use tegata_token::time::UnixTime;

/// The longest pause between two attempts, in seconds.
const LONGEST_PAUSE: i64 = 30;

/// One is under way at a time.
#[derive(Debug)]
pub struct Attempts {
    /// No attempt before this.
    due: UnixTime,
    is_under_way: bool,
    failures: u32,
    problem: Option<String>,
}

impl Attempts {
    /// Due at once.
    pub fn new() -> Self {
        Self { due: UnixTime(i64::MIN), is_under_way: false, failures: 0, problem: None }
    }

    /// To be tried now, also if one is under way: then again after it.
    pub fn ask(&mut self) {
        self.due = UnixTime(i64::MIN);
    }

    /// Whether to begin one at `now`.
    pub fn is_due(&self, now: UnixTime) -> bool {
        !self.is_under_way && self.due <= now
    }

    /// When the next one begins; never before the one that is under way has finished.
    pub fn next_time(&self) -> UnixTime {
        if self.is_under_way { UnixTime(i64::MAX) } else { self.due }
    }

    /// Whether one is under way.
    pub fn is_under_way(&self) -> bool {
        self.is_under_way
    }

    /// Whether none is under way or asked for, and the last one worked.
    pub fn is_settled(&self) -> bool {
        !self.is_under_way && self.problem.is_none() && self.due > UnixTime(i64::MIN)
    }

    /// One begins.
    pub fn begin(&mut self) {
        (self.is_under_way, self.due) = (true, UnixTime(i64::MAX));
    }

    /// It worked; the next one is due at `again`, or before if it was asked for since.
    pub fn worked(&mut self, sink: &str, again: UnixTime) {
        if self.problem.take().is_some() {
            tracing::info!(sink, "mended");
        }
        (self.failures, self.is_under_way) = (0, false);
        self.due = self.due.min(again);
    }

    /// It did not work.
    pub fn failed(&mut self, sink: &str, now: UnixTime, problem: String) {
        self.note(sink, problem);
        let pause = 1_i64 << self.failures.min(6);
        self.failures = self.failures.saturating_add(1);
        self.is_under_way = false;
        self.due = self.due.min(now.plus(pause.min(LONGEST_PAUSE)));
    }

    /// It has not returned yet, though it should have.
    pub fn note(&mut self, sink: &str, problem: String) {
        // Once, and not at every attempt.
        if self.problem.as_ref() != Some(&problem) {
            tracing::error!(sink, problem, "a token does not arrive");
        }
        self.problem = Some(problem);
    }

    /// What is wrong.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }
}
