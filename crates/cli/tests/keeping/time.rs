//! Retention over months, on a running server whose clock is moved: rows of revoked and
//! expired tokens, audit events, keys in the JWKS. And an audit that is altered meanwhile.

use crate::{
    Home,
    line::{self, Channel, With, is_good, token_in, verify},
    ok,
    process::{Server, http::Request, key::Key, serve},
    stop,
};
use serde_json::{Value, json};
use std::time::Duration;

const DAY: u64 = 86_400;

async fn start(home: &Home, words: &[&str]) -> Server {
    let mut command = serve(home.0.path(), &["--dev", "--store", "sqlite:tegata.db"]);
    command.args(words);
    Server::start(command).await
}

/// Moves the clock forward; due jobs have run when this returns.
async fn pass(server: &Server, seconds: u64) {
    let body = json!({ "advance_seconds": seconds }).to_string();
    let json = [("content-type", "application/json")];
    ok(&server.ask(&Request::new("POST", "/dev/clock", &json, &body)).await);
}

async fn channel(server: &Server) -> Channel {
    let provider = line::provider(server).await;
    Channel::create(server, &provider, &Key::generate()).await
}

async fn issue(server: &Server, channel: &Channel) -> String {
    token_in(&server.ask(&channel.issue_short_lived(With::default())).await)
}

async fn get(server: &Server, path: &str) -> Value {
    let response = server.ask(&Request::admin("GET", path, None)).await;
    ok(&response);
    response.json()
}

async fn good(server: &Server, token: &str) -> bool {
    is_good(&server.ask(&verify(token)).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_revoked_tokens_are_kept_as_long_as_set_and_none_is_revived() {
    let home = Home::new();
    let server = start(&home, &["--token-retention-days", "2"]).await;
    let channel = channel(&server).await;
    let mut tokens = Vec::new();
    for _ in 0..12 {
        tokens.push(issue(&server, &channel).await);
    }
    // So many that they are compacted.
    for token in &tokens[..10] {
        ok(&server.ask(&channel.revoke(token)).await);
    }
    pass(&server, 2 * DAY - 60).await;
    assert_eq!(channel.rows(&server).await.len(), 12, "two days are not over");
    pass(&server, 120).await;
    let rows = channel.rows(&server).await;
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows.iter().all(|row| row["state"] == "active"), "{rows:?}");
    for (number, token) in tokens.iter().enumerate() {
        assert_eq!(good(&server, token).await, number >= 10, "token {number}");
    }
    stop(server);
    let server = start(&home, &["--token-retention-days", "2"]).await;
    for (number, token) in tokens.iter().enumerate() {
        assert_eq!(good(&server, token).await, number >= 10, "token {number}, after a restart");
    }
    // Expired ones are deleted, too, two days later; the long-lived one never.
    ok(&server.ask(&channel.reissue_long_lived(0)).await);
    pass(&server, 31 * DAY).await;
    let rows = channel.rows(&server).await;
    assert!(rows.len() == 1 && rows[0]["kind"] == "long-lived", "{rows:?}");
    stop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_key_leaves_the_jwks_after_thirty_days_and_its_long_lived_token_stays_active() {
    let home = Home::new();
    let server = start(&home, &[]).await;
    let channel = channel(&server).await;
    let long_lived = token_in(&server.ask(&channel.reissue_long_lived(0)).await);
    let kids = async |server: &Server| -> Vec<String> {
        let set = server.ask(&Request::new("GET", "/.well-known/jwks.json", &[], "")).await.json();
        let keys = set["keys"].as_array().expect("a list").iter();
        keys.map(|key| key["kid"].as_str().expect("a kid").to_owned()).collect()
    };
    let first = kids(&server).await;
    let rotate = Request::admin("POST", "/signing-keys", Some(&json!({})));
    ok(&server.ask(&rotate).await);
    assert_eq!(kids(&server).await.len(), 2, "the coming one is published");
    // Now the new one signs, and the old one is retired.
    pass(&server, 1_000).await;
    pass(&server, 30 * DAY - 60).await;
    assert_eq!(kids(&server).await.len(), 2, "what it signed may live");
    pass(&server, 120).await;
    let left = kids(&server).await;
    assert!(left.len() == 1 && left != first, "{left:?}");
    assert!(good(&server, &long_lived).await, "the long-lived token keeps its key");
    stop(server);
    let server = start(&home, &[]).await;
    assert_eq!(kids(&server).await, left);
    assert!(good(&server, &long_lived).await);
    stop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audit_events_are_deleted_after_their_retention_and_the_rest_still_verifies() {
    let home = Home::new();
    let server = start(&home, &["--audit-retention-days", "2"]).await;
    let channel = channel(&server).await;
    let revoke = async |server: &Server, reason: &str| {
        ok(&server.ask(&channel.revocation(&json!({ "all": true, "reason": reason }))).await);
        // An event is as old as its checkpoint, which is written within seconds.
        while get(server, "/audit/verify").await["pending"] != 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    revoke(&server, "of the first day").await;
    pass(&server, DAY).await;
    revoke(&server, "of the second day").await;
    pass(&server, DAY + 60).await;
    let acts = async |server: &Server| -> String {
        get(server, "/audit?limit=1000").await["events"].to_string()
    };
    let listed = acts(&server).await;
    assert!(
        !listed.contains("of the first day") && listed.contains("of the second day"),
        "{listed}"
    );
    assert!(listed.contains("audit.expire"), "{listed}");
    let report = get(&server, "/audit/verify").await;
    assert!(report["ok"] == true && report["kept_from"].as_u64() > Some(1), "{report}");
    stop(server);
    let server = start(&home, &["--audit-retention-days", "2"]).await;
    pass(&server, 40 * DAY).await;
    let listed = acts(&server).await;
    assert!(!listed.contains("of the second day"), "{listed}");
    let report = get(&server, "/audit/verify").await;
    assert_eq!(report["ok"], true, "{report}");
    stop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_server_detects_that_its_audit_was_altered_and_reports_it_everywhere() {
    let home = Home::new();
    let server = start(&home, &[]).await;
    let channel = channel(&server).await;
    let why = json!({ "all": true, "reason": "an employee left" });
    ok(&server.ask(&channel.revocation(&why)).await);
    // A checkpoint covers it, and it verifies.
    pass(&server, 3_600).await;
    let ready =
        async |server: &Server| server.ask(&Request::new("GET", "/readyz?verbose", &[], "")).await;
    let metric = async |server: &Server| -> bool {
        let text = server.ask(&Request::new("GET", "/metrics", &[], "")).await.text();
        text.contains("\ntegata_audit_broken 1\n")
    };
    assert_eq!(ready(&server).await.status, 200);
    assert!(!metric(&server).await);

    let store = rusqlite::Connection::open(home.path("tegata.db")).expect("the store");
    let sql = "UPDATE audit SET detail = replace(detail, 'an employee', 'no employee')
               WHERE detail LIKE '%an employee left%'";
    assert_eq!(store.execute(sql, []).expect("written"), 1);
    drop(store);
    // A day later all of it is checked again.
    pass(&server, 86_400).await;
    assert!(fails(&server, "audit").await);
    let (status, said) = (ready(&server).await.status, ready(&server).await.text());
    assert_eq!(status, 200, "it answers as before: {said}");
    assert!(
        said.contains("does not match its checkpoints") && said.contains("audit verify"),
        "{said}"
    );
    assert!(metric(&server).await);
    let log = server.said.lock().expect("not poisoned").clone();
    assert!(log.contains("the audit does not match its checkpoints"), "{log}");
    assert_eq!(get(&server, "/audit/verify").await["ok"], false);
    let token = issue(&server, &channel).await;
    assert!(good(&server, &token).await, "tokens are served on");
    stop(server);
}

/// Whether that check of `/readyz` fails, which caches its response for a second.
async fn fails(server: &Server, check: &str) -> bool {
    for _ in 0..200 {
        let ready = server.ask(&Request::new("GET", "/readyz", &[], "")).await.json();
        if ready["failing"].as_array().is_some_and(|it| it.contains(&check.into())) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_revoked_while_the_clock_was_ahead_is_revoked_at_the_right_time() {
    let home = Home::new();
    let server = home.start().await;
    let channel = channel(&server).await;
    let secret = format!("/channels/{}/secret", channel.id);
    let token = issue(&server, &channel).await;
    pass(&server, 60).await;
    issue(&server, &channel).await;
    home.tegata(&["backup", "old.db"]);
    // The clock of a machine, not of development: the backup was not moved.
    pass(&server, 40 * DAY).await;
    let replace = json!({ "keep_previous_seconds": DAY });
    ok(&server.ask(&Request::admin("POST", &secret, Some(&replace))).await);
    ok(&server.ask(&channel.revocation(&json!({ "all": true }))).await);
    stop(server);
    home.tegata(&["restore", "old.db"]);
    let done = home.tegata(&["recover", "--replay", "revocations.log"]);
    assert!(done["tokens_revoked"].as_u64() > Some(0), "{done}");

    let server = home.start().await;
    assert!(!good(&server, &token).await);
    let rows = channel.rows(&server).await;
    assert!(rows.iter().all(|row| row["state"] == "revoked"), "{rows:?}");
    stop(server);
    let conn = rusqlite::Connection::open(home.path("tegata.db")).expect("a store");
    let sql = "SELECT previous_until FROM channel";
    let until: Option<u64> = conn.query_row(sql, [], |row| row.get(0)).expect("a channel");
    let latest = line::unix_now() + DAY + 120;
    assert!(until.is_none_or(|it| it <= latest), "valid until {until:?}, after {latest}");
}
