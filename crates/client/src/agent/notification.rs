//! Notifies programs of a change: runs a command, sends a signal.

use super::{
    config,
    off_loop::{HANGS, OffLoop},
    process,
};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{path::PathBuf, process::Stdio, time::Duration};
use tokio::runtime::Handle;

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The notification of a change. It holds no token, neither in arguments nor in the
/// environment.
#[derive(Debug, Clone)]
pub struct Notification {
    /// A program and its arguments.
    pub command: Option<Vec<String>>,
    /// The signal to send.
    pub signal: Option<config::Signal>,
    /// The process that gets the signal.
    pub pid: Option<i32>,
    /// File with the number of that process.
    pub pid_file: Option<PathBuf>,
}

impl Notification {
    /// Runs the command, without the variables named `private` in its environment,
    /// and sends the signal. `late` is called with a step that does not return in time.
    ///
    /// # Errors
    /// The step that failed, and why; it follows the word "its".
    pub async fn send(
        self,
        private: &[String],
        off_loop: &OffLoop,
        late: &impl Fn(String),
    ) -> Result<(), String> {
        if let Some(command) = &self.command {
            let late = |problem| late(format!("command has not started: {problem}"));
            let done = run(command, private, off_loop, &late).await;
            done.map_err(|problem| format!("command failed: {problem}"))?;
        }
        let Some(signal) = self.signal else { return Ok(()) };
        let signal = match signal {
            config::Signal::Hup => Signal::HUP,
            config::Signal::Usr1 => Signal::USR1,
            config::Signal::Usr2 => Signal::USR2,
            config::Signal::Term => Signal::TERM,
        };
        let sent = match (self.pid, self.pid_file) {
            (Some(pid), _) => process::signal(pid, signal),
            (None, Some(file)) => {
                let is_late = format!("signal was not sent: {} {HANGS}", file.display());
                let work = move || process::signal_named_by(&file, signal);
                off_loop.run(work, || late(is_late)).await.and_then(|it| it)
            }
            (None, None) => Ok(()),
        };
        sent.map_err(|problem| format!("signal was not sent: {problem}"))
    }
}

async fn run(
    command: &[String],
    private: &[String],
    off_loop: &OffLoop,
    late: &impl Fn(String),
) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("the command is empty")?;
    let mut to_run = tokio::process::Command::new(program);
    // The command must not notify systemd as if it were the agent.
    let notify = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];
    for name in private.iter().map(String::as_str).chain(notify) {
        to_run.env_remove(name);
    }
    to_run
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    let runtime = Handle::current();
    // The program is read from a disk that can hang.
    let spawn = move || {
        let _entered = runtime.enter();
        to_run.spawn()
    };
    let is_late = format!("{program} {HANGS}");
    let spawned = off_loop.run(spawn, || late(is_late)).await?;
    let mut child = spawned.map_err(|error| format!("{program}: {error}"))?;
    let mut group = Group::of(&child);
    match tokio::time::timeout(PATIENCE, child.wait()).await {
        Ok(outcome) => {
            // Background processes that the command started keep running.
            group.0 = None;
            match outcome {
                Ok(status) if status.success() => Ok(()),
                Ok(status) => Err(format!("{program} exited with {status}")),
                Err(error) => Err(format!("{program}: {error}")),
            }
        }
        Err(_) => Err(format!("{program} did not exit within {} s", PATIENCE.as_secs())),
    }
}

/// A command and the processes that it started; killed when dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &tokio::process::Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may have exited just now.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
