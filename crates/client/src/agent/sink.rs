//! A sink: what its file holds, and whether a notification of a change is still due. Pure:
//! [`Writing`] and [`Notification`] do the work.

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

/// A sink and its present content.
#[derive(Debug)]
pub struct Sink {
    /// Its settings.
    pub settings: config::SinkConfig,
    /// Its name in logs and health.
    pub label: String,
    /// The file's content, as last written.
    content: Option<PlainSecret>,
    /// The expiry of each token in the file.
    until: BTreeMap<Group, UnixTime>,
    /// Tokens that were revoked since the write that is under way began.
    revoked: BTreeSet<Group>,
    /// The attempts to write the file.
    writing: Attempts,
    /// The attempts to notify programs.
    notification: Attempts,
    /// Whether a notification is still due.
    undelivered: bool,
    /// How often to check that the file is unchanged, in seconds.
    look: i64,
}

impl Sink {
    /// A sink before its first write. It notifies once at the start, since it is not known
    /// whether the last change was notified before the restart.
    #[must_use]
    pub fn new(settings: config::SinkConfig, number: usize, look: i64) -> Self {
        Self {
            label: settings.label(number),
            undelivered: settings.command.is_some() || settings.signal.is_some(),
            settings,
            content: None,
            until: BTreeMap::new(),
            revoked: BTreeSet::new(),
            writing: Attempts::new("a sink cannot be written"),
            notification: Attempts::new("a sink's program cannot be notified"),
            look,
        }
    }

    /// Takes its place and the interval of a reload, and compares its file now: the reload
    /// may have changed its tokens.
    pub fn reload(&mut self, number: usize, look: i64) {
        (self.label, self.look) = (self.settings.label(number), look);
        self.writing.ask();
    }

    /// The work that updates the file, if it is due; the result goes to [`Sink::written`].
    /// `held` returns an active token.
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

    /// Processes the result of the write.
    pub fn written(&mut self, now: UnixTime, outcome: Result<Written, String>) {
        match outcome {
            Ok(written) => {
                self.writing.worked(&self.label, now.plus(self.look));
                let notifies = self.settings.command.is_some() || self.settings.signal.is_some();
                self.undelivered |= written.is_changed && notifies;
                self.content = written.content.or(self.content.take());
                let good = written.until.into_iter().filter(|(it, _)| !self.revoked.contains(it));
                self.until.extend(good);
            }
            // If the file is new already, the next attempt finds that out.
            Err(problem) => self.writing.failed(&self.label, now, problem),
        }
    }

    /// Records that the write under way has not returned in time.
    pub fn write_is_late(&mut self, problem: String) {
        self.writing.note(&self.label, problem);
    }

    /// Whether it is time to check or write the file.
    #[must_use]
    pub fn is_due(&self, now: UnixTime) -> bool {
        self.writing.is_due(now)
    }

    /// Records that one of its tokens changed.
    pub fn touch(&mut self) {
        self.writing.ask();
        // With a file, the notification follows the file's change.
        self.undelivered |= self.settings.path.is_none();
    }

    /// The notification that is due at `now`, if there is one; the result goes to
    /// [`Sink::notified`].
    pub fn to_notify(&mut self, now: UnixTime) -> Option<Notification> {
        let is_written = !self.until.is_empty() && self.writing.problem().is_none();
        if !self.undelivered || !is_written || !self.notification.is_due(now) {
            return None;
        }
        self.notification.begin();
        self.undelivered = false;
        let config::SinkConfig { command, signal, pid, pid_file, .. } = self.settings.clone();
        Some(Notification { command, signal, pid, pid_file })
    }

    /// Processes the result of the notification.
    pub fn notified(&mut self, now: UnixTime, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.notification.worked(&self.label, now),
            Err(problem) => {
                self.undelivered = true;
                let problem = self.after_write(&problem);
                self.notification.failed(&self.label, now, problem);
            }
        }
    }

    /// Records that the notification under way has not returned in time.
    pub fn notification_is_late(&mut self, problem: &str) {
        let problem = self.after_write(problem);
        self.notification.note(&self.label, problem);
    }

    /// A problem with the notification, which begins once the file is written.
    fn after_write(&self, problem: &str) -> String {
        let written = if self.settings.path.is_some() { "the sink was written; " } else { "" };
        format!("{written}its {problem}")
    }

    /// When the next work is due, if none under way returns before.
    #[must_use]
    pub fn next_time(&self) -> UnixTime {
        let is_written = !self.until.is_empty() && self.writing.problem().is_none();
        let waits = self.undelivered && is_written;
        let notify_at = if waits { self.notification.next_time() } else { UnixTime(i64::MAX) };
        self.writing.next_time().min(notify_at)
    }

    /// Whether the file is up to date and programs are notified.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.writing.is_settled() && !self.undelivered && !self.notification.is_under_way()
    }

    /// The problem, as text.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.writing.problem().or(self.notification.problem())
    }

    /// The expiry of the token of this name in the sink.
    #[must_use]
    pub fn until(&self, token: &Group) -> Option<UnixTime> {
        self.until.get(token).copied()
    }

    /// Records that the token in the sink is revoked.
    pub fn revoked(&mut self, token: &Group) {
        self.until.remove(token);
        self.revoked.insert(token.clone());
    }
}
