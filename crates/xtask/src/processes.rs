//! Runs a command for a limited time.

use crate::progress::now;
use std::{
    fs::{self, File},
    io::{self, Read},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

/// Interval at which a command is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With the status 0.
    Successfully,
    /// With another one, or by a signal.
    Otherwise,
    /// It did not within the limit, so it was killed with all that it had started.
    Killed,
}

/// Runs a command for at most `limit`; returns how it ended and what it printed, errors last.
///
/// Its output goes to files: the end of a pipe would come only once each process is gone that
/// has it open, and a test may have left one.
pub fn run(command: &mut Command, limit: Duration) -> io::Result<(Ended, String)> {
    let (mut out, to_out) = unnamed()?;
    let (mut err, to_err) = unnamed()?;
    command.stdin(Stdio::null()).stdout(to_out).stderr(to_err);
    let start = now();
    let mut child = command.spawn()?;
    let ended = loop {
        match child.try_wait()? {
            Some(status) if status.success() => break Ended::Successfully,
            Some(_) => break Ended::Otherwise,
            None if start.elapsed() >= limit => {
                kill_with_descendants(child.id());
                child.wait()?;
                break Ended::Killed;
            }
            None => thread::sleep(LOOK),
        }
    };
    let mut printed = Vec::new();
    out.read_to_end(&mut printed)?;
    err.read_to_end(&mut printed)?;
    Ok((ended, String::from_utf8_lossy(&printed).into_owned()))
}

/// A new file without a name, for reading and for writing to its end. It is gone with the last
/// process that has it open.
fn unnamed() -> io::Result<(File, File)> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("xtask-{}-{number}", std::process::id()));
    let written = File::options().append(true).create_new(true).open(&path)?;
    let read = File::open(&path)?;
    fs::remove_file(path)?;
    Ok((read, written))
}

/// Kills a process and those that it has started, as far as they have not left it. They are in
/// no group of their own, so that an interrupt at the terminal is for them, too.
fn kill_with_descendants(process: u32) {
    let mut all = vec![process];
    let mut at = 0;
    let parents = parents();
    while let Some(&parent) = all.get(at) {
        all.extend(parents.iter().filter(|it| it.1 == parent).map(|it| it.0));
        at += 1;
    }
    let ids = all.iter().map(u32::to_string);
    let killed = Command::new("kill").arg("-KILL").args(ids).stderr(Stdio::null()).status();
    if killed.is_err() {
        println!("cannot kill {all:?}: there is no program `kill`");
    }
}

/// All processes, each with its parent.
fn parents() -> Vec<(u32, u32)> {
    let of = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        let process = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // After its name, which may hold anything, come the state and the parent.
        let parent = stat.rsplit_once(')')?.1.split(' ').nth(2)?.parse().ok()?;
        Some((process, parent))
    };
    fs::read_dir("/proc").into_iter().flatten().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn is_running(process: &str) -> bool {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"));
        stat.is_ok_and(|it| !it.rsplit_once(')').unwrap().1.starts_with(" Z"))
    }

    #[test]
    fn a_command_that_hangs_is_killed_with_what_it_started_and_its_output_is_kept() {
        let script = "(sleep 600 & echo $!; sleep 600) & echo $!; echo wrong >&2; sleep 600";
        let (ended, printed) = run(&mut shell(script), Duration::from_millis(500)).unwrap();
        assert_eq!(ended, Ended::Killed);
        let lines: Vec<_> = printed.lines().collect();
        let [started, again, "wrong"] = lines[..] else { panic!("{printed}") };
        for process in [started, again] {
            while is_running(process) {
                thread::yield_now();
            }
        }
    }

    #[test]
    fn a_process_that_is_left_with_the_output_is_not_waited_for() {
        let (ended, printed) = run(&mut shell("sleep 600 & echo $!"), LONG).unwrap();
        assert_eq!(ended, Ended::Successfully);
        let left = printed.trim();
        assert!(is_running(left), "{printed}");
        assert!(Command::new("kill").arg(left).status().unwrap().success());
    }

    #[test]
    fn the_status_and_both_outputs_are_returned() {
        let found = run(&mut shell("echo wrong >&2; echo right; exit 3"), LONG).unwrap();
        assert_eq!(found, (Ended::Otherwise, "right\nwrong\n".to_owned()));
        assert!(run(&mut Command::new("/nowhere/at/all"), LONG).is_err());
    }
}
