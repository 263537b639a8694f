//! A second process on the same store although the lock file was removed: it is refused, or
//! the first one stops, before either can respond with a state that the other changed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::line::{self, Channel, With, is_good, token_in, verify};
use crate::pause;
use crate::process::http::{Connection, Request};
use crate::process::key::Key;
use crate::process::{Server, serve};
use crate::signals::{Killed, wait};

/// On a store whose name is given, so that every process means the same one.
fn on_store(home: &Path) -> Command {
    serve(home, &["--store", "sqlite:tegata.db"])
}

/// A server, and a token of a channel of its own.
async fn first(home: &Path) -> (Server, Channel, String) {
    let server = Server::start(on_store(home)).await;
    let provider = line::provider(&server).await;
    let channel = Channel::create(&server, &provider, &Key::generate()).await;
    let token = token_in(&server.ask(&channel.issue_short_lived(With::default())).await);
    (server, channel, token)
}

/// The output of a process that exits by itself with code 1.
async fn said_at_its_end(mut process: Killed) -> String {
    let ended = wait(&mut process.0).await;
    let stderr = process.0.stderr.take().expect("piped");
    let said = std::io::read_to_string(stderr).expect("text");
    assert_eq!(ended.code(), Some(1), "{ended}: {said}");
    said
}

/// Whether a request succeeds, at a server that may be stopping.
async fn acknowledges(server: &Server, request: &Request) -> bool {
    let Ok(mut connection) = Connection::open(server.address()).await else { return false };
    connection.ask(request).await.is_ok_and(|response| response.status < 300)
}

/// Waits for text in a server's output, which another thread reads.
async fn says(server: &Server, words: &str) {
    let said = || server.said.lock().expect("not poisoned").clone();
    for _ in 0..200 {
        if said().contains(words) {
            return;
        }
        pause(10).await;
    }
    panic!("not said: {words}: {}", said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_is_refused_where_the_lock_beside_the_store_was_removed() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let (server, channel, token) = first(home.path()).await;
    for _ in 0..2 {
        fs::remove_file(home.path().join("tegata.db.lock")).expect("removed");
        let second = on_store(home.path()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let said = said_at_its_end(Killed(second.expect("started"))).await;
        assert!(said.contains("tegata.db is in use by another process"), "{said}");
    }
    let tegata = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tegata"));
        let done = command.args(words).current_dir(home.path()).stdin(Stdio::null()).output();
        let done = done.expect("it runs");
        assert!(!done.status.success(), "{words:?} beside a server");
        String::from_utf8_lossy(&done.stderr).into_owned()
    };
    // Commands that need the store exclusively are refused, too.
    for words in [
        &["recover", "--store", "sqlite:tegata.db", "--revoke-everything"][..],
        &["migrate", "--store", "sqlite:tegata.db"],
    ] {
        fs::remove_file(home.path().join("tegata.db.lock")).expect("removed");
        let said = tegata(words);
        assert!(said.contains("in use by another process"), "{words:?}: {said}");
    }
    assert!(is_good(&server.ask(&verify(&token)).await));
    assert_eq!(server.ask(&channel.revoke(&token)).await.status, 200);
    assert!(!is_good(&server.ask(&verify(&token)).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_whose_store_was_replaced_ends_and_the_next_one_serves_alone() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let (mut first, channel, token) = first(home.path()).await;
    // As a program does that copies a file and renames the copy.
    for name in ["tegata.db", "tegata.db-wal", "tegata.db-shm"] {
        let (there, aside) = (home.path().join(name), home.path().join(format!("{name}.old")));
        fs::rename(&there, &aside).expect("moved");
        if name != "tegata.db-shm" {
            fs::copy(&aside, &there).expect("copied");
        }
    }
    fs::remove_file(home.path().join("tegata.db.lock")).expect("removed");
    let second = Server::start(on_store(home.path())).await;
    // The first one was idle: it notices by itself.
    assert_eq!(wait(&mut first.process).await.code(), Some(1));
    says(&first, "removed or replaced while it was in use").await;
    assert!(is_good(&second.ask(&verify(&token)).await));
    assert_eq!(second.ask(&channel.revoke(&token)).await.status, 200);
    assert!(!is_good(&second.ask(&verify(&token)).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_does_nothing_more_once_another_start_has_drawn_its_number() {
    let home = tempfile::tempdir().expect("a temporary folder");
    for idle in [false, true] {
        let (mut first, channel, token) = first(home.path()).await;
        // As a start does on a file system that keeps no locks.
        let sql = "UPDATE authority SET guard_before = guard, guard = randomblob(16)";
        let store = rusqlite::Connection::open(home.path().join("tegata.db")).expect("the store");
        assert_eq!(store.execute(sql, []).expect("drawn"), 1);
        drop(store);
        if !idle {
            assert!(!acknowledges(&first, &channel.revoke(&token)).await);
        }
        assert_eq!(wait(&mut first.process).await.code(), Some(1));
        says(&first, "another process has started on this store").await;
        drop(first);
        let next = Server::start(on_store(home.path())).await;
        assert!(is_good(&next.ask(&verify(&token)).await), "it was not revoked");
        let ready = next.ask(&Request::new("GET", "/readyz", &[], "")).await;
        assert_eq!(ready.status, 200);
    }
}
