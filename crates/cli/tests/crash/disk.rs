//! A disk that fails to synchronise, once or from then on: each response is then true or
//! "unknown", the process exits, and after the next start everything acknowledged holds.
//! `strace` makes the system call fail; `cargo xtask test` installs it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::check::{Unknown, Which, check};
use crate::ledger::{Ledger, Trouble};
use crate::load::Load;
use crate::process::{Server, serve};
use crate::signals::wait;
use crate::{CHANNELS, CLIENTS, announced_rng, assert_store_is_sound, tell};

/// How long a server may run before the failure.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_fsync_stops_the_process_and_nothing_acknowledged_is_lost() {
    let rounds = if std::env::var_os("TEGATA_LONG").is_some() { 30 } else { 4 };
    let mut rng = announced_rng("failed fsyncs");
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(serve(home.path(), &[])).await;
    let mut ledger = Ledger::open(&server).await;
    for _ in 0..rounds {
        ledger.turn_the_page(&server, CHANNELS).await;
        drop(server);
        // The thread that writes synchronises once for each commit, and each
        // thread's calls are counted apart. The first few are those of the start.
        let first = 10 + rng.below(60);
        // Once is not enough: that may meet a checkpoint, which may fail without
        // harm. The call after it is then a commit's.
        let when = match rng.percent(50) {
            true => format!("{first}+"),
            false => format!("{first}..{}", first + 1),
        };
        server = Server::start(failing(home.path(), &when)).await;
        ledger.trouble = Trouble::DiskFails;
        let load = Load::start(server.address(), ledger, CLIENTS, &mut rng);
        // The clients stop once the server accepts no more connections.
        ledger = tokio::time::timeout(PATIENCE, load.join()).await.expect("the process goes");
        let ended = wait(&mut server.process).await;
        assert_eq!(ended.code(), Some(1), "it says that it failed: {ended}");
        drop(server);
        server = Server::start(serve(home.path(), &[])).await;
        ledger.trouble = Trouble::None;
        check(&server, &mut ledger, Which::Touched, Unknown::Open, &mut rng).await;
    }
    drop(server);
    assert_store_is_sound(home.path());
    let [acknowledged, unknown] = tell("failed fsyncs", rounds, &ledger);
    assert!(acknowledged >= rounds, "{acknowledged} acts acknowledged are too few to tell");
    assert!(unknown >= rounds, "{unknown} acts of unknown outcome are too few to tell");
}

/// The server; synchronising fails in its writer thread, `when` in strace's syntax.
fn failing(home: &Path, when: &str) -> Command {
    let inject = format!("--inject=fsync,fdatasync:error=EIO:when={when}");
    traced(&serve(home, &[]), home, &["--trace=fsync,fdatasync", &inject])
}

/// The server `plain` under strace, whose calls fail or wait as `words` say.
pub(crate) fn traced(plain: &Command, home: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("strace");
    let found = Command::new("strace").arg("--version").stdout(Stdio::null()).status();
    assert!(found.is_ok(), "strace is missing: run `cargo xtask test`, which installs it");
    command
        // The process that we started, and will kill, becomes the server itself.
        .args(["--daemonize", "--follow-forks", "--seccomp-bpf", "--output=/dev/null"])
        .arg("--signal=none")
        .args(words)
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(home)
        .stdin(Stdio::null());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}
