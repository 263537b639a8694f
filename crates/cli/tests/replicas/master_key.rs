//! A master key that is replaced on one machine, while other servers have the old file.

use crate::{
    Field, issue,
    line::{Channel, With, provider},
    process::{Server, http::Request, key::Key},
    verifies,
};
use std::{fs, time::Duration};
use tokio::time::Instant;

/// Waits until the check `master_key` of a server, which is ready all the time, holds or not.
async fn finds(server: &Server, holds: bool) {
    let began = Instant::now();
    loop {
        let response = server.ask(&Request::new("GET", "/readyz?verbose", &[], "")).await;
        assert_eq!(response.status, 200, "{}", response.text());
        let checks = response.json()["checks"].as_array().unwrap().clone();
        if checks.iter().any(|it| it["check"] == "master_key" && it["ok"] == holds) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(40), "{}", response.text());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_the_file_of_a_replaced_master_key_says_so_and_stays_ready() {
    let field = Field::new();
    let a = field.start("a").await;
    let own = field.home.path().join("b.key");
    fs::copy(field.master_key(), &own).unwrap();
    let mut command = field.command("b", &[]);
    command.env("TEGATA_MASTER_KEY_FILE", &own);
    let b = Server::start(command).await;
    let channel = Channel::create(&a, &provider(&a).await, &Key::generate()).await;
    finds(&b, true).await;
    field.tegata("a", &["master-key", "rotate"]);
    finds(&b, false).await;
    let ready = b.ask(&Request::new("GET", "/readyz", &[], "")).await;
    assert_eq!(ready.text(), r#"{"failing":["master_key"],"status":"ready"}"#);
    let token = issue(&b, &channel.issue_stateless(With::default())).await;
    assert!(verifies(&a, &token).await && verifies(&b, &token).await);
    fs::copy(field.master_key(), &own).unwrap();
    finds(&b, true).await;
}
