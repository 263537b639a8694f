//! Faults of one machine: a full or read-only disk, a flipped bit, a clock that was set, a
//! distant year, too little memory, too few descriptors, many clients, a start under load.
//! The faults are real: a small file system is mounted, bytes of the file are changed, and
//! `libfaketime` sets the clock of the process (`cargo xtask test` installs it).
//!
//! Runs the real program, over HTTP.

mod clock;
mod cold;
mod disk;
mod hang;
mod journal;
#[path = "../process/line.rs"]
#[expect(dead_code, reason = "shared with tests that need all of it")]
mod line;
#[path = "../process/mod.rs"]
mod process;
mod ready;
mod scarce;
#[path = "../process/wall.rs"]
mod wall;

use line::{Channel, provider};
use process::{Server, key::Key};
use std::{
    fs,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

/// A Messaging API channel of a new provider.
async fn channel(server: &Server) -> Channel {
    let provider = provider(server).await;
    Channel::create(server, &provider, &Key::generate()).await
}

/// The message of `serve` when it exits at once with code 1.
async fn refused(mut command: Command) -> String {
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("start tegata");
    let ended = wait(&mut child).await;
    let said = std::io::read_to_string(child.stderr.take().expect("piped")).expect("text");
    assert_eq!(ended.code(), Some(1), "{said}");
    said
}

/// A server under strace, which makes system calls fail or wait; the server runs normally
/// again when this is dropped.
struct Traced(Child);

impl Traced {
    /// `words` are strace's arguments.
    async fn attach(server: &Server, words: &[&str]) -> Self {
        let found = Command::new("strace").arg("--version").stdout(Stdio::null()).status();
        assert!(found.is_ok(), "strace is missing: run `cargo xtask test`, which installs it");
        let child = Command::new("strace")
            .args(["--follow-forks", "--output=/dev/null"])
            .args(words)
            .arg(format!("--attach={}", server.process.id()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("strace");
        let traced = Self(child);
        let status = format!("/proc/{}/status", server.process.id());
        let is_traced =
            || fs::read_to_string(&status).is_ok_and(|it| !it.contains("TracerPid:\t0\n"));
        for _ in 0..1_000 {
            if is_traced() {
                return traced;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("strace did not attach within 20 s");
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // On SIGTERM strace detaches; if killed, it would leave the process stopped. While it
        // delays a call, it ignores the signal.
        let id = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        for _ in 0..100 {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Stops a server by its id, and waits until it has exited.
async fn stop(server: &mut Server) {
    let id = rustix::process::Pid::from_child(&server.process);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("a child of ours");
    let ended = wait(&mut server.process).await;
    assert_eq!(ended.code(), Some(0), "{ended}");
}

async fn wait(process: &mut Child) -> ExitStatus {
    for _ in 0..1_000 {
        if let Some(ended) = process.try_wait().expect("a child of ours") {
            return ended;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the process did not exit within 20 s")
}
