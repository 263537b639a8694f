//! The notifications to the service manager, usually systemd.

use super::health::{AgentHealth, Colour};
use sd_notify::NotifyState;
use std::{io, time::Duration};
use tegata_policy::text::counted;
use tegata_system::manager::ServiceManager;

/// The longest time between two notifications, after which the loop also notices that the
/// clock was set.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Notifies systemd, if it is there (sd_notify(3)): ready once every sink holds active
/// tokens, and the authority has verified those that were kept over a restart; alive as
/// long as the loop runs.
pub struct Manager {
    socket: Option<ServiceManager>,
    /// Whether the log has that a notification could not be sent.
    is_broken: bool,
    is_ready: bool,
    last: Option<Colour>,
    /// The status line of `systemctl status`.
    said: String,
    /// The longest time between two notifications.
    pub patience: Duration,
}

impl Manager {
    /// Takes the socket and the watchdog's interval from the environment.
    pub fn new() -> Self {
        let watchdog = sd_notify::watchdog_enabled().map(|every| every / 3);
        let patience = watchdog.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        let (is_broken, is_ready, last, said) = (false, false, None, String::new());
        let mut manager = Self { socket: None, is_broken, is_ready, last, said, patience };
        match ServiceManager::from_environment() {
            Ok(socket) => manager.socket = socket,
            Err(error) => manager.note(&error),
        }
        manager
    }

    /// Notifies systemd of the agent's state.
    pub fn notify(&mut self, report: &AgentHealth, has_looked: bool) {
        let status = report.status;
        let mut states = vec![NotifyState::Watchdog];
        let words = summary(report);
        if self.last != Some(status) {
            match status {
                Colour::Green => tracing::info!("green: {words}"),
                Colour::Yellow => tracing::warn!("yellow: {words}"),
                // The first status is red.
                Colour::Red if self.last.is_none() => tracing::info!("starting: {words}"),
                Colour::Red => tracing::error!("red: {words}"),
            }
            self.last = Some(status);
        }
        if self.said != words {
            states.push(NotifyState::Status(&words));
        }
        let becomes_ready = !self.is_ready && has_looked && status != Colour::Red;
        if becomes_ready {
            states.push(NotifyState::Ready);
        }
        // What was not sent is sent with the next notification.
        if self.send(&states) {
            self.is_ready |= becomes_ready;
            self.said = words;
        }
    }

    /// Notifies systemd that a reload begins.
    pub fn reloading(&mut self) {
        // Before it is ready, the start is still under way.
        if self.is_ready {
            // Since version 253, systemd requires the time.
            let now = NotifyState::monotonic_usec_now().ok();
            let states: Vec<_> = [NotifyState::Reloading].into_iter().chain(now).collect();
            self.send(&states);
        }
    }

    /// Notifies systemd that a reload is complete, successful or not.
    pub fn reloaded(&mut self) {
        if self.is_ready {
            self.send(&[NotifyState::Ready]);
        }
    }

    /// Notifies systemd that the agent stops.
    pub fn stopping(&mut self) {
        self.send(&[NotifyState::Stopping]);
    }

    /// Whether the states are sent, or there is no systemd to send them to.
    fn send(&mut self, states: &[NotifyState<'_>]) -> bool {
        let Some(socket) = &self.socket else { return true };
        let text: String = states.iter().map(|state| format!("{state}\n")).collect();
        let sent = socket.send(&text);
        match &sent {
            Ok(()) => self.is_broken = false,
            Err(error) => self.note(error),
        }
        sent.is_ok()
    }

    /// Logs a problem once, and not at every notification.
    fn note(&mut self, error: &io::Error) {
        if !self.is_broken {
            let name = std::env::var_os("NOTIFY_SOCKET").unwrap_or_default();
            tracing::warn!(socket = ?name, %error, "cannot notify the service manager");
        }
        self.is_broken = true;
    }
}

fn summary(report: &AgentHealth) -> String {
    let tokens = report.tokens.iter().chain(&report.watched).map(|it| (&it.name, &it.problem));
    let mut all = tokens.chain(report.sinks.iter().map(|it| (&it.name, &it.problem)));
    let problem = all.find_map(|(name, problem)| Some(format!("{name}: {}", problem.as_ref()?)));
    let problem = problem.or_else(|| report.warnings.first().cloned());
    problem.unwrap_or_else(|| counted(report.tokens.len(), "token is active", "tokens are active"))
}
