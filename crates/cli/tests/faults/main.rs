//! What one machine does to a server: a disk that is full or read-only, a byte
//! that flipped, a clock that was set, a year that is far away. The faults are
//! real: a small file system is mounted, bytes of the file are changed, and
//! `libfaketime` sets the clock of the process (`cargo xtask test` installs it).
//!
//! Against the program that people run, over HTTP.

mod clock;
mod disk;
mod hang;
#[path = "../process/line.rs"]
#[expect(dead_code, reason = "shared with tests that need all of it")]
mod line;
#[path = "../process/mod.rs"]
mod process;

use line::{Channel, provider};
use process::{Server, key::Key};
use std::{
    process::{Child, ExitStatus},
    time::Duration,
};

/// A Messaging API channel of a new provider.
async fn channel(server: &Server) -> Channel {
    let provider = provider(server).await;
    Channel::create(server, &provider, &Key::generate()).await
}

/// Stops a server by its id, as an operator does, and waits until it has gone.
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
    panic!("the process did not end within 20 s")
}
