//! A temporary folder and the programs that run in it. They are found by their working
//! directory: PostgreSQL's processes leave the process group that they are started in, and
//! a frozen one would outlive its parent.

use crate::Problem;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    net::SocketAddr,
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::net::TcpSocket;

/// The user that runs what refuses to run as root.
const USER: &str = "postgres";

/// Free memory from which on servers that need not survive use it, in bytes.
const ENOUGH: u64 = 4 << 30;

/// Ends what runs in the folder `$1` and deletes it, unless stdin says that the test has
/// done so. The pipe closes with the test process. PostgreSQL first gets the signal to stop at
/// once, so that it frees its shared memory.
const WATCHER: &str = r#"
read -r _ && exit 0
each() {
    found=
    for it in /proc/[0-9]*; do
        case "$(readlink "$it/cwd")" in
            "$1" | "$1"/*) for signal in $2; do kill -"$signal" "${it#/proc/}" && found=1; done ;;
        esac
    done
}
each "$1" "CONT QUIT"
for wait in 1 2 3 4 5 6 7 8 9 10; do
    each "$1" 0
    [ "$found" ] || break
    sleep 0.1
done
found=1
while [ "$found" ]; do each "$1" KILL; done
rm -rf "$1"
"#;

/// A folder whose programs end with it, at the latest with the test process.
#[derive(Debug)]
pub struct Folder {
    path: TempDir,
    watcher: Mutex<Child>,
    children: Mutex<Vec<Child>>,
}

impl Folder {
    /// A new one, which belongs to the user that programs run as.
    pub fn new() -> Result<Self, Problem> {
        Self::below(&std::env::temp_dir())
    }

    /// As [`new`](Self::new), in memory if the machine has enough of it: creating a database
    /// there takes a fifth of the time.
    pub fn in_memory() -> Result<Self, Problem> {
        let memory = Path::new("/dev/shm");
        let free = rustix::fs::statvfs(memory).map_or(0, |it| it.f_bavail * it.f_frsize);
        if free > ENOUGH { Self::below(memory) } else { Self::new() }
    }

    /// As [`new`](Self::new), in that folder.
    pub fn below(parent: &Path) -> Result<Self, Problem> {
        let path = tempfile::Builder::new().prefix("tegata-pg-").tempdir_in(parent);
        let path = path.map_err(|error| format!("a temporary folder: {error}"))?;
        let watcher = Command::new("sh")
            .args(["-c", WATCHER, "sh"])
            .arg(path.path())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A signal from the terminal ends the tests, not this.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("sh: {error}"))?;
        let folder = Self { path, watcher: Mutex::new(watcher), children: Mutex::default() };
        if geteuid().is_root() {
            finish(Command::new("chown").arg(USER).arg(folder.path()))?;
        }
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.path.path()
    }

    /// Writes a file that only the user that programs run as can read; returns where it is.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, Problem> {
        let path = self.path().join(name);
        let mut options = fs::File::options();
        let file = options.create(true).truncate(true).write(true).mode(0o600).open(&path);
        let written = file.and_then(|mut it| it.write_all(text.as_bytes()));
        written.map_err(|error| format!("{name}: {error}"))?;
        if geteuid().is_root() {
            finish(Command::new("chown").arg(USER).arg(&path))?;
        }
        Ok(path)
    }

    /// A command that runs in the folder, not as root.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = if geteuid().is_root() {
            let mut command = Command::new("setpriv");
            let user = format!("--reuid={USER}");
            command.args([user.as_str(), "--regid=postgres", "--clear-groups", "--"]);
            command.arg(program.as_ref());
            command
        } else {
            Command::new(program.as_ref())
        };
        command.current_dir(self.path()).stdin(Stdio::null()).process_group(0);
        command
    }

    /// Starts a command of this folder; its output is appended to the file `log` there.
    pub fn spawn(&self, command: &mut Command, log: &str) -> Result<(), Problem> {
        let file = fs::File::options().create(true).append(true).open(self.path().join(log));
        let file = file.map_err(|error| format!("{log}: {error}"))?;
        let both = file.try_clone().map_err(|error| format!("{log}: {error}"))?;
        let child = command.stdout(both).stderr(file).spawn();
        let child = child.map_err(|error| format!("{command:?}: {error}"))?;
        locked(&self.children).push(child);
        Ok(())
    }

    /// Whether one of the programs that were started has ended.
    pub fn any_ended(&self) -> bool {
        locked(&self.children).iter_mut().any(|it| !matches!(it.try_wait(), Ok(None)))
    }

    /// How the program that was started last has ended, if it has.
    pub fn last_ended(&self) -> Option<String> {
        match locked(&self.children).last_mut().map(Child::try_wait) {
            Some(Ok(None)) => None,
            ended => Some(format!("{ended:?}")),
        }
    }

    /// The last lines of a log.
    pub fn log(&self, log: &str) -> String {
        let text = fs::read(self.path().join(log)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Sends a signal to every process that runs in the part `under` of the folder.
    pub fn signal(&self, under: &str, signal: Signal) {
        for pid in self.processes(under) {
            // It may have ended meanwhile.
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills every process in the part `under` of the folder, and waits until none is left.
    pub fn kill(&self, under: &str) {
        // None can start another one, once all are stopped.
        self.signal(under, Signal::STOP);
        self.await_end(under, Some(Signal::KILL));
    }

    /// Waits until every process in the part `under` of the folder has ended, and sends each
    /// of them this signal meanwhile.
    pub(crate) fn await_end(&self, under: &str, signal: Option<Signal>) {
        let mut seen = BTreeSet::new();
        until(|| {
            let running = self.processes(under);
            seen.extend(running.iter().map(|it| it.as_raw_pid()));
            for (pid, signal) in running.iter().zip(signal.iter().cycle()) {
                // It may have ended meanwhile.
                let _ = kill_process(*pid, *signal);
            }
            self.reap();
            // A process loses its folder before its sockets, and keeps its number until its
            // parent has waited for it: PostgreSQL does not start while either is there.
            seen.retain(|pid| self.exists(*pid));
            (running.is_empty() && seen.is_empty()).then_some(())
        });
    }

    /// Whether a process runs, or is a zombie that this process has to wait for. A zombie with
    /// another parent holds nothing.
    fn exists(&self, pid: i32) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").map_or("", |(_, it)| &it[..1]);
        let own = |it: &Child| i32::try_from(it.id()) == Ok(pid);
        !matches!(state, "" | "Z" | "X") || locked(&self.children).iter().any(own)
    }

    /// Waits for ended programs, so that none of them stays a zombie.
    pub fn reap(&self) {
        locked(&self.children).retain_mut(|it| matches!(it.try_wait(), Ok(None)));
    }

    /// The processes that run in the part `under` of the folder.
    pub fn processes(&self, under: &str) -> Vec<Pid> {
        let folder = match under {
            "" => self.path().to_owned(),
            under => self.path().join(under),
        };
        let Ok(all) = fs::read_dir("/proc") else { return Vec::new() };
        let runs_here = |it: &PathBuf| {
            fs::read_link(it.join("cwd")).is_ok_and(|found| found.starts_with(&folder))
        };
        all.filter_map(|it| it.ok().map(|it| it.path()))
            .filter(runs_here)
            .filter_map(|it| it.file_name()?.to_str()?.parse().ok())
            .filter_map(Pid::from_raw)
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.signal("", Signal::CONT);
        self.signal("", Signal::QUIT);
        let start = now();
        while start.elapsed() < Duration::from_secs(1) && !self.processes("").is_empty() {
            self.reap();
            thread::sleep(Duration::from_millis(5));
        }
        self.kill("");
        let mut watcher = locked(&self.watcher);
        if let Some(mut stdin) = watcher.stdin.take() {
            let _ = stdin.write_all(b"done\n");
        }
        let _ = watcher.wait();
    }
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Result<(), Problem> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&printed)))
}

/// A loopback port for a program that is started, and started again after it was killed. It
/// is bound here as long as this lives, without a listener: a program that sets `SO_REUSEADDR`,
/// as servers do, can listen on it, and the system gives it neither to a connection nor to
/// another listener that wants any port.
#[derive(Debug)]
pub struct ReservedPort {
    number: u16,
    _bound: TcpSocket,
}

impl ReservedPort {
    /// Reserves one that is free.
    pub fn new() -> Result<Self, Problem> {
        let bind = || {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind(([127, 0, 0, 1], 0).into())?;
            Ok::<_, io::Error>(Self { number: socket.local_addr()?.port(), _bound: socket })
        };
        bind().map_err(|error| format!("no free port: {error}"))
    }

    /// The address that a program listens at on it.
    pub fn at(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.number).into()
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

/// Tries again until there is a result, for two minutes: on a busy machine a server needs more
/// than half of one.
pub fn until<T>(mut test: impl FnMut() -> Option<T>) -> Option<T> {
    let start = now();
    loop {
        if let Some(result) = test() {
            return Some(result);
        }
        if start.elapsed() > Duration::from_secs(120) {
            return None;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[expect(clippy::disallowed_methods, reason = "waits for other processes")]
fn now() -> Instant {
    Instant::now()
}

/// The content of a mutex; what another thread left behind when it failed is still good.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
