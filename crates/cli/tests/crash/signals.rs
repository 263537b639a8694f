//! Signals to a process: it is stopped, frozen (as when a machine is migrated or sleeps),
//! or started twice.

use std::process::{Child, Command, ExitStatus, Stdio};

use crate::check::{Unknown, Which, check};
use crate::ledger::{Ledger, Trouble};
use crate::line::{Channel, With, is_good, token_in, verify};
use crate::load::Load;
use crate::process::http::{Connection, Request};
use crate::process::{Server, serve};
use crate::{CHANNELS, CLIENTS, announced_rng, assert_store_is_sound, pause, tell};

/// How long the process may take to exit, in milliseconds.
const LONGEST_STOP: usize = 10_000;
/// Requests that have begun, and are not all there yet, when the server is to stop.
const LATE: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_answers_what_was_accepted_and_loses_nothing() {
    let rounds = if std::env::var_os("TEGATA_LONG").is_some() { 50 } else { 6 };
    let mut rng = announced_rng("stops");
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(serve(home.path(), &[])).await;
    let mut ledger = Ledger::open(&server).await;
    for _ in 0..rounds {
        ledger.turn_the_page(&server, CHANNELS).await;
        let (channel, late) = begin_late(&server, &ledger).await;
        let load = Load::start(server.address(), ledger, CLIENTS, &mut rng);
        pause(50 + rng.below(300)).await;
        load.with(|ledger| ledger.trouble = Trouble::Revoked);
        send(&server.process, "TERM");
        while Connection::open(server.address()).await.is_ok() {
            pause(5).await;
        }
        let tokens = end_late(late).await;
        ledger = load.join().await;
        let ended = wait(&mut server.process).await;
        assert_eq!(ended.code(), Some(0), "{ended}");
        drop(server);
        server = Server::start(serve(home.path(), &[])).await;
        ledger.trouble = Trouble::None;
        // What was accepted was answered: so what was not answered did not happen.
        check(&server, &mut ledger, Which::Touched, Unknown::Undone, &mut rng).await;
        for token in &tokens {
            assert!(is_good(&server.ask(&verify(token)).await), "of {}", channel.id);
        }
    }
    stop(&mut server).await;
    assert_store_is_sound(home.path());
    let [acknowledged, _] = tell("stops", rounds, &ledger);
    assert!(acknowledged >= 10 * rounds, "{acknowledged} acts acknowledged are too few to tell");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_frozen_for_seconds_loses_nothing() {
    let mut rng = announced_rng("freezes");
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(serve(home.path(), &[])).await;
    let mut ledger = Ledger::open(&server).await;
    ledger.turn_the_page(&server, CHANNELS).await;
    let rounds = 2;
    for _ in 0..rounds {
        let load = Load::start(server.address(), ledger, CLIENTS, &mut rng);
        pause(200).await;
        send(&server.process, "STOP");
        pause(3_000).await;
        send(&server.process, "CONT");
        pause(300).await;
        load.with(|ledger| ledger.over = true);
        // No client was cut off: it would have failed.
        ledger = load.join().await;
        ledger.over = false;
        check(&server, &mut ledger, Which::Touched, Unknown::Undone, &mut rng).await;
    }
    server.process.kill().expect("killed");
    drop(server);
    server = Server::start(serve(home.path(), &[])).await;
    check(&server, &mut ledger, Which::All, Unknown::Undone, &mut rng).await;
    tell("freezes", rounds, &ledger);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_store_is_refused_with_the_stores_name() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let first = Server::start(serve(home.path(), &[])).await;
    let store = home.path().join("tegata.db");
    let store = format!("sqlite:{}", store.display());
    let second = serve(home.path(), &["--store", &store])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut second = Killed(second.expect("started"));
    let ended = wait(&mut second.0).await;
    let stderr = second.0.stderr.take().expect("piped");
    let said = std::io::read_to_string(stderr).expect("text");
    assert_eq!(ended.code(), Some(1), "{ended}: {said}");
    assert!(said.contains("tegata.db is in use by another process"), "{said}");
    let ready = first.ask(&Request::new("GET", "/readyz", &[], "")).await;
    assert_eq!(ready.status, 200, "the first one goes on");
}

/// Asks a server to stop, and waits until it has, in time and in good order.
pub(crate) async fn stop(server: &mut Server) {
    send(&server.process, "TERM");
    let ended = wait(&mut server.process).await;
    assert_eq!(ended.code(), Some(0), "{ended}");
}

/// The exit status of a process. Panics if it takes too long.
pub(crate) async fn wait(process: &mut Child) -> ExitStatus {
    const STEP: usize = 20;
    for _ in 0..LONGEST_STOP / STEP {
        if let Some(ended) = process.try_wait().expect("a child of ours") {
            return ended;
        }
        pause(STEP).await;
    }
    panic!("the process did not exit within {LONGEST_STOP} ms");
}

/// Sends a signal to a process of ours, by its id.
fn send(process: &Child, signal: &str) {
    let kill = format!("kill -{signal} {}", process.id());
    let done = Command::new("sh").args(["-c", &kill]).status().expect("run sh");
    assert!(done.success(), "{kill}");
}

/// A process that is killed with the test.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Begins requests whose body the server is waiting for, as it says itself: so
/// they are accepted, and not yet answered.
async fn begin_late(server: &Server, ledger: &Ledger) -> (Channel, Vec<(Connection, Request)>) {
    let channel = ledger.new_channel(server).await;
    let mut late = Vec::new();
    for _ in 0..LATE {
        let request = channel.issue_short_lived(With::default());
        let mut connection = Connection::open(server.address()).await.expect("a connection");
        let (head, _) = parts(&request);
        let head = head.replacen("\r\n", "\r\nexpect: 100-continue\r\n", 1);
        connection.send(head.as_bytes()).await.expect("sent");
        let response = connection.response().await.expect("a response");
        assert_eq!(response.status, 100);
        late.push((connection, request));
    }
    (channel, late)
}

/// Sends the rest, and reads the responses: all of them are tokens.
async fn end_late(late: Vec<(Connection, Request)>) -> Vec<String> {
    let mut tokens = Vec::new();
    for (mut connection, request) in late {
        let (_, body) = parts(&request);
        connection.send(body.as_bytes()).await.expect("sent");
        let response = connection.response().await.expect("accepted, so answered");
        assert_eq!(response.status, 200, "{}", response.text());
        assert!(connection.is_closing(), "the server says goodbye");
        tokens.push(token_in(&response));
    }
    tokens
}

/// Its head, the empty line included, and its body.
fn parts(request: &Request) -> (&str, &str) {
    let text = std::str::from_utf8(request.bytes()).expect("text");
    let body = text.find("\r\n\r\n").expect("an empty line") + 4;
    text.split_at(body)
}
