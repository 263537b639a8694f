//! Tracks the tokens that must still be saved for a restart. Pure: a
//! [`Saving`](super::state::Saving) does the work.

use std::collections::BTreeMap;
use tegata_token::time::UnixTime;

/// The pause after a failed save, in seconds.
const SAVE_AGAIN: i64 = 10;

/// The saves of an agent; a target is identified by its index.
#[derive(Debug, Default)]
pub struct Saves {
    /// The targets whose saved state is outdated, and when to save them.
    due: BTreeMap<usize, UnixTime>,
    /// The saves under way, one per target, and whether each is late.
    under_way: BTreeMap<usize, bool>,
    problem: Option<String>,
}

impl Saves {
    /// Records that the saved state cannot be used.
    pub fn note(&mut self, problem: String) {
        self.problem = Some(problem);
    }

    /// Records that a target's state changed and must be saved.
    pub fn ask(&mut self, target: usize, now: UnixTime) {
        self.due.insert(target, now);
    }

    /// The targets to save now; the result goes to [`Saves::done`].
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

    /// Whether a target must wait until it is saved, so that after a restart the agent has
    /// every token and every request that others have seen. A late save is not waited for.
    pub fn is_waited_for(&self, target: usize, now: UnixTime) -> bool {
        match self.under_way.get(&target) {
            Some(is_late) => !is_late,
            None => self.due.get(&target).is_some_and(|at| *at <= now),
        }
    }

    /// The targets that are saved or to be saved; some of them twice.
    pub fn pending(&self) -> impl Iterator<Item = usize> {
        self.due.keys().chain(self.under_way.keys()).copied()
    }

    /// Processes the result of a save.
    pub fn done(&mut self, target: usize, now: UnixTime, outcome: Result<(), String>) {
        self.under_way.remove(&target);
        if let Err(problem) = outcome {
            self.report(problem);
            self.due.entry(target).or_insert(now.plus(SAVE_AGAIN));
        }
        let is_behind = !self.due.is_empty() || !self.under_way.is_empty();
        if !is_behind && self.problem.take().is_some() {
            tracing::info!("all tokens are saved again");
        }
    }

    /// Records that a save has not returned in time.
    pub fn is_late(&mut self, target: usize, problem: String) {
        self.under_way.insert(target, true);
        self.report(problem);
    }

    fn report(&mut self, problem: String) {
        if self.problem.as_ref() != Some(&problem) {
            tracing::error!(problem, "a token cannot be saved for a restart");
        }
        self.problem = Some(problem);
    }

    /// When the next save is due, if none under way returns before.
    pub fn next_time(&self) -> Option<UnixTime> {
        let waiting = self.due.iter().filter(|(it, _)| !self.under_way.contains_key(it));
        waiting.map(|(_, at)| *at).min()
    }

    /// Why tokens cannot be saved, if that is so.
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
