//! One place that tokens are put to: its file, and who is told of a change.

use super::{
    config,
    disk::{self, Owner},
    form,
    state::Held,
};
use rustix::process::{Pid, Signal, kill_process};
use std::{collections::BTreeMap, fs, path::PathBuf, process::Stdio, time::Duration};
use tegata_policy::secret::PlainSecret;
use tegata_token::{id::Group, time::UnixTime};

/// A sink and what it holds at present.
#[derive(Debug)]
pub struct Sink {
    /// What the settings say.
    pub settings: config::Sink,
    /// What it is called.
    pub label: String,
    /// What the file holds, as far as we wrote it.
    content: Option<PlainSecret>,
    /// Of each token in the file, until when it is good.
    until: BTreeMap<Group, UnixTime>,
    /// How writing the file goes.
    writing: Attempts,
    /// How telling of a change goes.
    telling: Attempts,
    /// Whether somebody is still to be told of a change.
    untold: bool,
    /// Whether they are being told right now.
    under_way: bool,
    /// How often to see that the file still holds what was written, in seconds.
    look: i64,
}

/// Something that is tried until it works.
#[derive(Debug)]
struct Attempts {
    /// No attempt before this.
    due: UnixTime,
    failures: u32,
    problem: Option<String>,
}

/// The longest pause between two attempts, in seconds.
const LONGEST_PAUSE: i64 = 30;

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whom to tell of a change. What they are told is that there was one: no token is
/// among the arguments or in the environment.
#[derive(Debug, Clone)]
pub struct Telling {
    command: Option<Vec<String>>,
    signal: Option<config::Signal>,
    pid: Option<i32>,
    pid_file: Option<PathBuf>,
}

impl Sink {
    /// A sink of which nothing is known yet. Those to be told are told once at the
    /// start: whether they heard of the last change before we ended is not known.
    #[must_use]
    pub fn new(settings: config::Sink, number: usize, look: i64) -> Self {
        Self {
            label: settings.label(number),
            untold: settings.command.is_some() || settings.signal.is_some(),
            settings,
            content: None,
            until: BTreeMap::new(),
            writing: Attempts::new(),
            telling: Attempts::new(),
            under_way: false,
            look,
        }
    }

    /// Brings the file up to what is held, if it is time to.
    pub fn publish(&mut self, now: UnixTime, held: &BTreeMap<&Group, &Held>) {
        if !self.is_due(now) {
            return;
        }
        match self.write(held) {
            Ok(()) => {
                self.writing.worked(&self.label, now.plus(self.look));
                for token in &self.settings.tokens {
                    if let Some(held) = held.get(token) {
                        self.until.insert(token.clone(), held.life.until);
                    }
                }
            }
            // The file holds what it held before.
            Err(problem) => self.writing.failed(&self.label, now, problem),
        }
    }

    fn write(&mut self, held: &BTreeMap<&Group, &Held>) -> Result<(), String> {
        let settings = &self.settings;
        let named = |token| (settings.name_of(token), held.get(token).copied());
        let tokens: Vec<_> = settings.tokens.iter().map(named).collect();
        let Some(path) = &settings.path else { return Ok(()) };
        let wrong = |what: String| format!("{}: {what}", path.display());
        let before = fs::read_to_string(path).ok().map(PlainSecret::from_caller);
        let before = before.as_ref().map(PlainSecret::reveal);
        let Some(content) = form::render(settings, &tokens, before) else { return Ok(()) };
        let owner = settings.owner.as_deref().map(Owner::find).transpose().map_err(wrong)?;
        let (mode, owner) = (settings.mode.0, owner.unwrap_or_default());
        if !disk::holds(path, content.reveal(), mode, owner) {
            if self.content.as_ref().is_some_and(|it| it.reveal() == content.reveal()) {
                tracing::warn!(file = %path.display(), "changed or removed by somebody else; written anew");
            }
            disk::replace(path, content.reveal(), mode, owner)
                .map_err(|error| wrong(error.to_string()))?;
            self.untold |= settings.command.is_some() || settings.signal.is_some();
        }
        self.content = Some(content);
        Ok(())
    }

    /// Whether it is time to look at the file, or to write it.
    #[must_use]
    pub fn is_due(&self, now: UnixTime) -> bool {
        self.writing.due <= now
    }

    /// One of its tokens changed.
    pub fn touch(&mut self) {
        self.writing.due = UnixTime(i64::MIN);
        // With a file it is the file's change that is told of.
        self.untold |= self.settings.path.is_none();
    }

    /// Whom to tell at `now`, if anybody; how it went goes to [`Sink::told`].
    pub fn to_tell(&mut self, now: UnixTime) -> Option<Telling> {
        let nothing_yet = self.until.is_empty();
        let not_written = self.writing.problem.is_some();
        if !self.untold || self.under_way || nothing_yet || not_written || self.telling.due > now {
            return None;
        }
        (self.under_way, self.untold) = (true, false);
        let config::Sink { command, signal, pid, pid_file, .. } = self.settings.clone();
        Some(Telling { command, signal, pid, pid_file })
    }

    /// How the telling went.
    pub fn told(&mut self, now: UnixTime, outcome: Result<(), String>) {
        self.under_way = false;
        match outcome {
            Ok(()) => self.telling.worked(&self.label, now),
            Err(problem) => {
                self.untold = true;
                self.telling.failed(&self.label, now, problem);
            }
        }
    }

    /// When there is something to do again.
    #[must_use]
    pub fn next_time(&self) -> UnixTime {
        let is_written = !self.until.is_empty() && self.writing.problem.is_none();
        let waits = self.untold && !self.under_way && is_written;
        if waits { self.writing.due.min(self.telling.due) } else { self.writing.due }
    }

    /// Whether everything that is held has arrived.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.writing.problem.is_none() && !self.untold && !self.under_way
    }

    /// What is wrong, for people.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.writing.problem.as_deref().or(self.telling.problem.as_deref())
    }

    /// Until when the token of this name that the sink holds is good.
    #[must_use]
    pub fn until(&self, token: &Group) -> Option<UnixTime> {
        self.until.get(token).copied()
    }

    /// The token is known to have ended: what the sink holds of it is no good.
    pub fn ended(&mut self, token: &Group) {
        self.until.remove(token);
    }
}

impl Attempts {
    fn new() -> Self {
        Self { due: UnixTime(i64::MIN), failures: 0, problem: None }
    }

    fn worked(&mut self, sink: &str, again: UnixTime) {
        if self.problem.take().is_some() {
            tracing::info!(sink, "mended");
        }
        (self.failures, self.due) = (0, again);
    }

    fn failed(&mut self, sink: &str, now: UnixTime, problem: String) {
        // Once, and not at every attempt.
        if self.problem.as_ref() != Some(&problem) {
            tracing::error!(sink, problem, "a token does not arrive");
        }
        self.problem = Some(problem);
        let pause = 1_i64 << self.failures.min(6);
        self.failures = self.failures.saturating_add(1);
        self.due = now.plus(pause.min(LONGEST_PAUSE));
    }
}

impl Telling {
    /// Runs the command, without the variables named `private` in its environment,
    /// and sends the signal.
    ///
    /// # Errors
    /// What did not work.
    pub async fn tell(self, private: &[String]) -> Result<(), String> {
        if let Some(command) = &self.command {
            run(command, private).await?;
        }
        self.signal.map_or(Ok(()), |signal| self.signal(signal))
    }

    fn signal(&self, signal: config::Signal) -> Result<(), String> {
        let pid = match (&self.pid, &self.pid_file) {
            (Some(pid), _) => *pid,
            (None, Some(file)) => {
                let text = fs::read_to_string(file);
                let text = text.map_err(|error| format!("{}: {error}", file.display()))?;
                let number = || format!("{} holds no process number", file.display());
                text.trim().parse().map_err(|_| number())?
            }
            (None, None) => return Ok(()),
        };
        // 1 is init, and what is below means whole groups of processes.
        let pid = Some(pid).filter(|pid| *pid > 1).and_then(Pid::from_raw);
        let pid = pid.ok_or("no number of a process that could be signalled")?;
        let signal = match signal {
            config::Signal::Hup => Signal::HUP,
            config::Signal::Usr1 => Signal::USR1,
            config::Signal::Usr2 => Signal::USR2,
            config::Signal::Term => Signal::TERM,
        };
        kill_process(pid, signal).map_err(|error| format!("process {pid:?}: {error}"))
    }
}

async fn run(command: &[String], private: &[String]) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("the command is empty")?;
    let mut to_run = tokio::process::Command::new(program);
    // Nor may it speak to systemd in our name.
    let notify = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];
    for name in private.iter().map(String::as_str).chain(notify) {
        to_run.env_remove(name);
    }
    let mut child = to_run
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    match tokio::time::timeout(PATIENCE, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("{program} ended with {status}")),
        Ok(Err(error)) => Err(format!("{program}: {error}")),
        Err(_) => Err(format!("{program} did not end within {} s", PATIENCE.as_secs())),
    }
}
