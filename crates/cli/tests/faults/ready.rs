//! Readiness while a server stops, and the keys that a start needs.

use crate::{
    channel,
    line::{is_good, token_in, verify},
    process::{
        Server,
        http::{Connection, Request},
        serve,
    },
    refused, stop, wait,
};
use std::{fs, time::Duration};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_gets_sigterm_is_unready_first_and_finishes_open_requests() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(serve(home.path(), &["--drain-delay", "3"])).await;
    let channel = channel(&server).await;
    // Half of a request has arrived when the signal is sent.
    let request = channel.issue_short_lived(Default::default());
    let (begun, rest) = request.bytes().split_at(request.bytes().len() - 10);
    let mut connection = Connection::open(server.address()).await.expect("it listens");
    connection.send(begun).await.expect("sent");
    let id = rustix::process::Pid::from_child(&server.process);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("a child of ours");
    let ready = Request::new("GET", "/readyz", &[], "");
    let mut unready = None;
    for _ in 0..100 {
        let response = server.ask(&ready).await;
        if response.status == 503 {
            unready = Some(response.text());
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let unready = unready.expect("unready before it refuses connections");
    assert!(unready.contains("running"), "{unready}");
    // New connections are served, and open ones, too.
    let late = server.ask(&channel.issue_short_lived(Default::default())).await;
    assert_eq!(late.status, 200, "{}", late.text());
    connection.send(rest).await.expect("sent");
    let response = connection.response().await.expect("a response");
    assert_eq!(response.status, 200, "{}", response.text());
    let token = token_in(&response);
    assert_eq!(wait(&mut server.process).await.code(), Some(0));
    drop(server);
    let server = Server::start(serve(home.path(), &[])).await;
    assert!(is_good(&server.ask(&verify(&token)).await), "what was acknowledged is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_master_key_or_with_a_foreign_one_it_refuses_to_start() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(serve(home.path(), &[])).await;
    let channel = channel(&server).await;
    let token = token_in(&server.ask(&channel.issue_short_lived(Default::default())).await);
    stop(&mut server).await;
    drop(server);
    let key = home.path().join("master.key");
    let own = fs::read(&key).expect("the key");
    fs::remove_file(&key).expect("gone");
    let said = refused(serve(home.path(), &[])).await;
    assert!(said.contains("master") && said.contains("key"), "{said}");
    assert!(!key.exists(), "a new key in its place would hide the loss");
    let other = tempfile::tempdir().expect("a temporary folder");
    let mut stranger = Server::start(serve(other.path(), &[])).await;
    stop(&mut stranger).await;
    fs::copy(other.path().join("master.key"), &key).expect("copied");
    let said = refused(serve(home.path(), &[])).await;
    assert!(said.contains("master") && said.contains("key"), "{said}");
    fs::write(&key, own).expect("brought back");
    let server = Server::start(serve(home.path(), &[])).await;
    assert!(is_good(&server.ask(&verify(&token)).await));
}
