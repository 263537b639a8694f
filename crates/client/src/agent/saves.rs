//! Which tokens are still to be kept over a restart, and how that goes. Pure: a save
//! itself is a [`Saving`](super::state::Saving).

use std::collections::BTreeMap;
use tegata_token::time::UnixTime;

/// When to try again to keep what could not be kept, in seconds.
const SAVE_AGAIN: i64 = 10;

/// The saves of an agent; a target is known by its number.
#[derive(Debug, Default)]
pub struct Saves {
    /// What is kept on disk is behind, and since when to try again.
    due: BTreeMap<usize, UnixTime>,
    /// One of a target at a time, and whether it is late.
    under_way: BTreeMap<usize, bool>,
    problem: Option<String>,
}

impl Saves {
    /// What is kept cannot be used.
    pub fn note(&mut self, problem: String) {
        self.problem = Some(problem);
    }

    /// What is to be kept of a target changed.
    pub fn ask(&mut self, target: usize, now: UnixTime) {
        self.due.insert(target, now);
    }

    /// The targets to be saved now; how it went goes to [`Saves::done`].
    pub fn begin(&mut self, now: UnixTime) -> Vec<usize> {
        let due =
            self.due.iter().filter(|(it, at)| **at <= now && !self.under_way.contains_key(it));
        let due: Vec<_> = due.map(|(it, _)| *it).collect();
        for target in &due {
            self.due.remove(target);
            self.under_way.insert(*target, false);
        }
        due
    }

    /// Whether a target is to wait until it is saved: what others see, or are asked for,
    /// is known to the agent after a restart. A disk that hangs is not waited for.
    pub fn is_waited_for(&self, target: usize, now: UnixTime) -> bool {
        match self.under_way.get(&target) {
            Some(is_late) => !is_late,
            None => self.due.get(&target).is_some_and(|at| *at <= now),
        }
    }

    /// How a save went.
    pub fn done(&mut self, target: usize, now: UnixTime, outcome: Result<(), String>) {
        self.under_way.remove(&target);
        if let Err(problem) = outcome {
            self.report(problem);
            self.due.entry(target).or_insert(now.plus(SAVE_AGAIN));
        }
        let is_behind = !self.due.is_empty() || !self.under_way.is_empty();
        if !is_behind && self.problem.take().is_some() {
            tracing::info!("what could not be kept is kept now");
        }
    }

    /// A save has not returned in time.
    pub fn is_late(&mut self, target: usize, problem: String) {
        self.under_way.insert(target, true);
        self.report(problem);
    }

    fn report(&mut self, problem: String) {
        if self.problem.as_ref() != Some(&problem) {
            tracing::error!(problem, "a token cannot be kept over a restart");
        }
        self.problem = Some(problem);
    }

    /// When a save is due, if none that is under way returns before.
    pub fn next_time(&self) -> Option<UnixTime> {
        let waiting = self.due.iter().filter(|(it, _)| !self.under_way.contains_key(it));
        waiting.map(|(_, at)| *at).min()
    }

    /// Why tokens are not kept, if they should be.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_000);

    #[test]
    fn a_change_during_a_save_is_saved_after_it() {
        let mut saves = Saves::default();
        saves.ask(3, NOW);
        assert!(saves.is_waited_for(3, NOW) && !saves.is_waited_for(4, NOW));
        assert_eq!(saves.begin(NOW), [3]);
        saves.ask(3, NOW);
        assert_eq!((saves.begin(NOW), saves.next_time()), (vec![], None), "one at a time");
        saves.done(3, NOW, Ok(()));
        assert_eq!(saves.begin(NOW), [3]);
        saves.done(3, NOW, Ok(()));
        assert!(!saves.is_waited_for(3, NOW));
    }

    #[test]
    fn a_failed_save_is_tried_again_and_a_late_one_is_not_waited_for() {
        let mut saves = Saves::default();
        saves.ask(0, NOW);
        saves.begin(NOW);
        saves.done(0, NOW, Err("full".to_owned()));
        assert_eq!(
            (saves.problem(), saves.next_time()),
            (Some("full"), Some(NOW.plus(SAVE_AGAIN)))
        );
        assert!(!saves.is_waited_for(0, NOW), "until it is tried again");
        let again = NOW.plus(SAVE_AGAIN);
        assert_eq!(saves.begin(again), [0]);
        assert!(saves.is_waited_for(0, again));
        saves.is_late(0, "hangs".to_owned());
        assert!(!saves.is_waited_for(0, again) && saves.problem() == Some("hangs"));
        saves.done(0, again, Ok(()));
        assert_eq!(saves.problem(), None);
    }
}
