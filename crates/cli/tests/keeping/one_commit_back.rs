//! A store that is one commit older than the journal, as after a crash between the two
//! writes, or after a restored snapshot of the store's disk.

use crate::{
    Home, good,
    line::{self, Channel, With, token_in},
    ok,
    process::{Server, http::Request, key::Key},
    stop,
};
use serde_json::json;
use std::{fs, time::Duration};

/// The files on the store's disk.
const FILES: [&str; 3] = ["tegata.db", "tegata.db-wal", "tegata.db.guard"];

async fn issued(server: &Server, channel: &Channel, key: &Key) -> Vec<String> {
    let requests = [
        channel.issue_stateless(With::default()),
        channel.issue_short_lived(With::default()),
        Channel::issue_v21(&channel.assertion(key, 0), With::default()),
        channel.reissue_long_lived(0),
    ];
    let mut tokens = Vec::new();
    for request in &requests {
        tokens.push(token_in(&server.ask(request).await));
    }
    tokens
}

async fn which_are_good(server: &Server, tokens: &[String]) -> Vec<bool> {
    let mut found = Vec::new();
    for token in tokens {
        found.push(good(server, token).await);
    }
    found
}

/// Puts the store back to before `act`, which the journal holds, and asserts that earlier
/// tokens are invalid and new ones active, over two more starts.
async fn after(act: impl Fn(&Channel) -> Request) {
    let home = Home::new();
    let mut server = home.start().await;
    let key = Key::generate();
    let provider = line::provider(&server).await;
    let channel = Channel::create(&server, &provider, &key).await;
    let old = issued(&server, &channel, &key).await;
    // No commit during the copy, and none between the copy and the request.
    let verify = Request::admin("GET", "/audit/verify", None);
    while server.ask(&verify).await.json()["pending"] != 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let copies = FILES.map(|name| (home.path(name), fs::read(home.path(name)).expect("a copy")));
    ok(&server.ask(&act(&channel)).await);
    server.process.kill().expect("killed");
    drop(server);

    copies.iter().for_each(|(path, copy)| fs::write(path, copy).expect("put back"));
    fs::remove_file(home.path("tegata.db-shm")).expect("it does not outlive a machine");
    let mut new = Vec::new();
    for start in 0..3 {
        let server = home.start().await;
        assert_eq!(which_are_good(&server, &old).await, [false; 4], "start {start}: old ones");
        new.extend(issued(&server, &channel, &key).await.drain(..3));
        let good = which_are_good(&server, &new).await;
        assert_eq!(good, vec![true; new.len()], "start {start}: new ones");
        stop(server);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_issued_after_a_replayed_bulk_revocation_are_active() {
    after(|channel| channel.revocation(&json!({ "all": true }))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_issued_after_a_replayed_key_revocation_are_active() {
    after(|_| Request::admin("POST", "/revocations", Some(&json!({ "all": true })))).await;
}
