//! Sends signals to processes. A PID file may belong to another user, and the agent may be
//! root: it sends a signal only if the file's owner could.

use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};
use std::{
    fs,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::Path,
};
use tegata_system::file::{self, Links};

/// The longest file with a process number: some hold more lines than the first.
const LONGEST: u64 = 4 * 1024;

/// Sends a signal to the process that the settings name.
///
/// # Errors
/// The reason for the failure.
pub fn signal(pid: i32, signal: Signal) -> Result<(), String> {
    let process = open(pid)?;
    pidfd_send_signal(process, signal).map_err(|error| format!("process {pid}: {error}"))
}

/// Sends a signal to the process whose number a file holds, if the file's owner could.
///
/// # Errors
/// The reason for the failure, with the file's name.
pub fn signal_named_by(file: &Path, signal: Signal) -> Result<(), String> {
    let wrong = |what: String| format!("{}: {what}", file.display());
    let (text, found) =
        file::read(file, Links::Refuse, LONGEST).map_err(|error| wrong(error.to_string()))?;
    let mode = found.mode() & 0o777;
    if mode & 0o022 != 0 {
        let advice = format!(
            "users other than its owner can write it (mode {mode:03o}) and name any \
            process; run: chmod go-w {}",
            file.display()
        );
        return Err(wrong(advice));
    }
    let pid = text.trim().parse().map_err(|_| wrong("it holds no process number".to_owned()))?;
    // Held open from here on: the number cannot pass to another process between the check
    // and the signal.
    let process = open(pid).map_err(wrong)?;
    let users = users_of(pid).map_err(wrong)?;
    if !may_signal(found.uid(), users) {
        return Err(wrong(format!(
            "it belongs to user {}, but names process {pid} of user {}; let the user of the \
             process (or root) write it, or use a command instead",
            found.uid(),
            users.real
        )));
    }
    pidfd_send_signal(process, signal).map_err(|error| wrong(format!("process {pid}: {error}")))
}

/// Opens a process. 1 is init, and numbers below mean groups of processes.
fn open(pid: i32) -> Result<OwnedFd, String> {
    let number = Some(pid).filter(|pid| *pid > 1).and_then(Pid::from_raw);
    let number =
        number.ok_or(format!("{pid} is not the number of a process that can be signalled"))?;
    if number == getpid() {
        return Err(format!("process {pid} is this agent; name the program to be signalled"));
    }
    pidfd_open(number, PidfdFlags::empty()).map_err(|error| format!("process {pid}: {error}"))
}

/// The users of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Users {
    real: u32,
    saved: u32,
}

fn users_of(pid: i32) -> Result<Users, String> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    users_in(&text).ok_or_else(|| format!("{path} does not name the process's user"))
}

/// `Uid:` with the real, effective, saved and file system user (proc_pid_status(5)).
fn users_in(status: &str) -> Option<Users> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let mut ids = line.split_whitespace().map(|id| id.parse().ok());
    let real = ids.next()??;
    let saved = ids.nth(1)??;
    Some(Users { real, saved })
}

/// The rule of kill(2).
fn may_signal(owner: u32, process: Users) -> bool {
    owner == 0 || owner == process.real || owner == process.saved
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        os::unix::{
            fs::{PermissionsExt, chown},
            process::CommandExt,
        },
        process::{Child, Command, Stdio},
    };

    const OTHER: u32 = 65_534;

    /// A process that waits; stopped with its test.
    struct Waiting(Child);

    impl Waiting {
        fn start(user: Option<u32>) -> Self {
            let mut command = Command::new("sleep");
            command.arg("600").stdin(Stdio::null());
            if let Some(user) = user {
                command.uid(user);
            }
            Self(command.spawn().unwrap())
        }

        fn pid(&self) -> i32 {
            i32::try_from(self.0.id()).unwrap()
        }

        /// Whether SIGUSR1 ended it.
        fn is_signalled(&mut self) -> bool {
            use std::os::unix::process::ExitStatusExt;
            let status = self.0.wait().unwrap();
            status.signal() == Some(Signal::USR1.as_raw())
        }

        fn runs(&mut self) -> bool {
            self.0.try_wait().unwrap().is_none()
        }
    }

    impl Drop for Waiting {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// A process of a user other than that of the file: as root a new one of each, else
    /// one that is running already.
    fn of_another_user(file: &Path) -> (i32, Option<Waiting>) {
        if rustix::process::geteuid().is_root() {
            chown(file, Some(OTHER), None).unwrap();
            let process = Waiting::start(None);
            return (process.pid(), Some(process));
        }
        let own = rustix::process::geteuid().as_raw();
        let numbers = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<i32>().ok());
        let is_other = |pid: &i32| *pid > 1 && users_of(*pid).is_ok_and(|it| !may_signal(own, it));
        let other = numbers.into_iter().find(is_other);
        (
            other
                .expect("a process of another user: run this as root, or not alone in a container"),
            None,
        )
    }

    #[test]
    fn a_pid_file_cannot_name_a_process_of_another_user_than_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        fs::write(&file, "0").unwrap();
        let (pid, mut process) = of_another_user(&file);
        fs::write(&file, format!("{pid}\n")).unwrap();
        let error = signal_named_by(&file, Signal::USR1).unwrap_err();
        assert!(error.contains("/pid: it belongs to user"), "{error}");
        assert!(error.contains(&format!("process {pid} of user")), "{error}");
        assert!(process.as_mut().is_none_or(Waiting::runs), "it was not signalled");
    }

    #[test]
    fn a_process_of_the_files_owner_is_signalled_and_so_is_any_that_root_names() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let mut own = Waiting::start(None);
        fs::write(&file, own.pid().to_string()).unwrap();
        signal_named_by(&file, Signal::USR1).unwrap();
        assert!(own.is_signalled());
        if !rustix::process::geteuid().is_root() {
            return;
        }
        for owner in [OTHER, 0] {
            let mut other = Waiting::start(Some(OTHER));
            fs::write(&file, other.pid().to_string()).unwrap();
            chown(&file, Some(owner), None).unwrap();
            signal_named_by(&file, Signal::USR1).unwrap();
            assert!(other.is_signalled());
        }
    }

    #[test]
    fn a_file_that_others_can_write_or_that_names_init_or_the_agent_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let own = std::process::id().to_string();
        for (text, says) in [
            ("1", "1 is not the number"),
            ("0", "0 is not the number"),
            ("-5", "-5 is not the number"),
            (own.as_str(), "is this agent"),
            ("", "no process number"),
            ("99999999999", "no process number"),
        ] {
            fs::write(&file, text).unwrap();
            let error = signal_named_by(&file, Signal::USR1).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        for mode in [0o666, 0o664] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let error = signal_named_by(&file, Signal::USR1).unwrap_err();
            assert!(error.contains("chmod go-w"), "{error}");
        }
        assert!(signal(1, Signal::USR1).is_err(), "init");
    }

    #[test]
    fn a_pid_file_that_is_a_fifo_or_a_link_is_refused_at_once() {
        use rustix::fs::{CWD, Mode, mkfifoat};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        mkfifoat(CWD, at("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("zero")).unwrap();
        for (name, says) in [("fifo", "it is a FIFO"), ("zero", "it is a symbolic link")] {
            let error = signal_named_by(&at(name), Signal::USR1).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn the_users_of_a_process_are_read_from_its_status() {
        let users = users_in("Name:\tx\nUid:\t7\t8\t9\t10\nGid:\t1\t1\t1\t1\n").unwrap();
        assert_eq!(users, Users { real: 7, saved: 9 });
        assert!(may_signal(7, users) && may_signal(9, users) && may_signal(0, users));
        assert!(!may_signal(8, users), "the effective user alone does not count");
        assert_eq!(users_in("Uid:\t7\n"), None);
    }
}
