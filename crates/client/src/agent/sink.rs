//! One place that tokens are put to: what its file holds, and whether a change is still to
//! be announced to programs. Pure: [`Writing`] and [`Notification`] do the work.

use super::{
    attempts::Attempts,
    config,
    notification::Notification,
    state::HeldToken,
    writing::{Writing, Written},
};
use std::collections::{BTreeMap, BTreeSet};
use tegata_policy::secret::PlainSecret;
use tegata_token::{id::Group, time::UnixTime};

/// A sink and what it holds at present.
#[derive(Debug)]
pub struct Sink {
    /// What the settings say.
    pub settings: config::SinkConfig,
    /// What it is called.
    pub label: String,
    /// What the file holds, as far as we wrote it.
    content: Option<PlainSecret>,
    /// Of each token in the file, until when it is good.
    until: BTreeMap<Group, UnixTime>,
    /// Tokens that were revoked since the write that is under way began.
    revoked: BTreeSet<Group>,
    /// How writing the file goes.
    writing: Attempts,
    /// How telling of a change goes.
    notification: Attempts,
    /// Whether a change is still to be announced.
    untold: bool,
    /// How often to see that the file still holds what was written, in seconds.
    look: i64,
}

impl Sink {
    /// A sink of which nothing is known yet. A change is announced once at the start:
    /// whether the last one was announced before the restart is not known.
    #[must_use]
    pub fn new(settings: config::SinkConfig, number: usize, look: i64) -> Self {
        Self {
            label: settings.label(number),
            untold: settings.command.is_some() || settings.signal.is_some(),
            settings,
            content: None,
            until: BTreeMap::new(),
            revoked: BTreeSet::new(),
            writing: Attempts::new(),
            notification: Attempts::new(),
            look,
        }
    }

    /// The work that brings the file up to what is held, if it is time to; how it went
    /// goes to [`Sink::written`]. `held` gives a token that is good.
    pub fn to_write(
        &mut self,
        now: UnixTime,
        held: impl Fn(&Group) -> Option<HeldToken>,
    ) -> Option<Writing> {
        if !self.is_due(now) {
            return None;
        }
        self.writing.begin();
        self.revoked.clear();
        let tokens = self.settings.tokens.iter();
        let held = tokens.filter_map(|token| Some((token.clone(), held(token)?))).collect();
        Some(Writing { settings: self.settings.clone(), held, before: self.content.clone() })
    }

    /// How the write went.
    pub fn written(&mut self, now: UnixTime, outcome: Result<Written, String>) {
        match outcome {
            Ok(written) => {
                self.writing.worked(&self.label, now.plus(self.look));
                let is_told = self.settings.command.is_some() || self.settings.signal.is_some();
                self.untold |= written.is_changed && is_told;
                self.content = written.content.or(self.content.take());
                let good = written.until.into_iter().filter(|(it, _)| !self.revoked.contains(it));
                self.until.extend(good);
            }
            // The file holds what it held before.
            Err(problem) => self.writing.failed(&self.label, now, problem),
        }
    }

    /// The write that is under way has not returned in time.
    pub fn write_is_late(&mut self, problem: String) {
        self.writing.note(&self.label, problem);
    }

    /// Whether it is time to look at the file, or to write it.
    #[must_use]
    pub fn is_due(&self, now: UnixTime) -> bool {
        self.writing.is_due(now)
    }

    /// One of its tokens changed.
    pub fn touch(&mut self) {
        self.writing.ask();
        // With a file it is the file's change that is announced.
        self.untold |= self.settings.path.is_none();
    }

    /// The work that announces a change at `now`, if there is one; how it went goes to
    /// [`Sink::told`].
    pub fn to_tell(&mut self, now: UnixTime) -> Option<Notification> {
        let is_written = !self.until.is_empty() && self.writing.problem().is_none();
        if !self.untold || !is_written || !self.notification.is_due(now) {
            return None;
        }
        self.notification.begin();
        self.untold = false;
        let config::SinkConfig { command, signal, pid, pid_file, .. } = self.settings.clone();
        Some(Notification { command, signal, pid, pid_file })
    }

    /// How the telling went.
    pub fn told(&mut self, now: UnixTime, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.notification.worked(&self.label, now),
            Err(problem) => {
                self.untold = true;
                self.notification.failed(&self.label, now, problem);
            }
        }
    }

    /// The telling that is under way has not returned in time.
    pub fn telling_is_late(&mut self, problem: String) {
        self.notification.note(&self.label, problem);
    }

    /// When there is something to do again, if nothing that is under way returns before.
    #[must_use]
    pub fn next_time(&self) -> UnixTime {
        let is_written = !self.until.is_empty() && self.writing.problem().is_none();
        let waits = self.untold && is_written;
        let tell_at = if waits { self.notification.next_time() } else { UnixTime(i64::MAX) };
        self.writing.next_time().min(tell_at)
    }

    /// Whether everything that is held has arrived.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.writing.is_settled() && !self.untold && !self.notification.is_under_way()
    }

    /// What is wrong, for people.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.writing.problem().or(self.notification.problem())
    }

    /// Until when the token of this name that the sink holds is good.
    #[must_use]
    pub fn until(&self, token: &Group) -> Option<UnixTime> {
        self.until.get(token).copied()
    }

    /// The token is known to be revoked: what the sink holds of it is not good.
    pub fn ended(&mut self, token: &Group) {
        self.until.remove(token);
        self.revoked.insert(token.clone());
    }
}
