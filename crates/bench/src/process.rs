//! Child processes that are pinned to a core and exit with this one.
//!
//! `taskset` pins; `setpriv` has the kernel kill the child when this process exits in
//! any way. Both replace themselves by the program, so the process id is the
//! program's.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::Context as _;

use super::stopwatch;

/// A command that will run `program` on `core` alone.
pub(super) fn on_core(core: usize, program: impl AsRef<OsStr>) -> Command {
    let mut command = on_any_core("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    command
}

/// A command that will run `program` on every core.
pub(super) fn on_any_core(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program).stdin(Stdio::null());
    command
}

/// A child process that is killed when this is dropped.
pub(super) struct Running(Child);

impl Running {
    pub(super) fn start(command: &mut Command) -> anyhow::Result<Self> {
        Ok(Self(command.spawn().with_context(|| format!("starting {command:?}"))?))
    }

    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Processor demand of a process, from the kernel's accounting.
pub(super) struct Demand {
    since: Instant,
    before: HashMap<String, Times>,
    id: u32,
}

impl Demand {
    pub(super) fn of(id: u32) -> Self {
        Self { since: stopwatch(), before: times(id), id }
    }

    pub(super) fn seconds(&self) -> f64 {
        self.since.elapsed().as_secs_f64()
    }

    /// Share of the time since `of` in which the busiest thread ran or waited for its
    /// core. Near 1: the thread always had work, whatever else the machine was doing.
    pub(super) fn share(&self) -> f64 {
        let most = self.since_then().map(|times| times.ran + times.queued).max();
        most.unwrap_or(0) as f64 / 1e9 / self.seconds()
    }

    /// Seconds of processor time that all threads used since `of`.
    pub(super) fn ran(&self) -> f64 {
        self.since_then().map(|times| times.ran).sum::<u64>() as f64 / 1e9
    }

    fn since_then(&self) -> impl Iterator<Item = Times> {
        times(self.id).into_iter().map(|(thread, now)| {
            let before = self.before.get(&thread).copied().unwrap_or_default();
            Times {
                ran: now.ran.saturating_sub(before.ran),
                queued: now.queued.saturating_sub(before.queued),
            }
        })
    }
}

/// Nanoseconds that a thread ran, and that it waited for a core.
#[derive(Clone, Copy, Default)]
struct Times {
    ran: u64,
    queued: u64,
}

/// Times of each thread of the process, by thread id.
fn times(id: u32) -> HashMap<String, Times> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{id}/task")) else {
        return HashMap::new();
    };
    threads
        .flatten()
        .filter_map(|thread| {
            let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            let mut fields = text.split_whitespace().map(str::parse::<u64>);
            let times = Times { ran: fields.next()?.ok()?, queued: fields.next()?.ok()? };
            Some((thread.file_name().to_string_lossy().into_owned(), times))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_process_is_gone() {
        let running = Running::start(Command::new("sleep").arg("60")).unwrap();
        let folder = format!("/proc/{}", running.id());
        assert!(std::path::Path::new(&folder).exists());
        drop(running);
        assert!(!std::path::Path::new(&folder).exists());
    }

    #[test]
    fn an_idle_process_demands_nothing() {
        let running = Running::start(Command::new("sleep").arg("60")).unwrap();
        let demand = Demand::of(running.id());
        let own = Demand::of(std::process::id());
        while own.seconds() < 0.2 {
            std::hint::black_box(0);
        }
        assert!(demand.share() < 0.2);
        assert!(own.share() > 0.8);
        assert!(own.ran() > demand.ran());
    }
}
