//! Signing keys that one server revokes while another one signs with them.

use crate::{
    Field,
    line::{Channel, With, provider, token_in},
    process::{http::Request, key::Key},
    verifies,
};
use serde_json::json;
use std::{thread, time::Duration};

/// A transaction that keeps others from writing tokens.
const HOLDS: &str = "BEGIN; LOCK TABLE token IN SHARE MODE; SELECT pg_sleep(60); COMMIT";
const HELD: &str = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()
    AND query LIKE '%pg_sleep(60)%' AND wait_event = 'PgSleep' AND pid <> pg_backend_pid()";
const WAITS: &str = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()
    AND wait_event_type = 'Lock' AND query ILIKE '%token%'";
const RELEASE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_token_of_a_key_is_handed_out_after_its_revocation_was_answered() {
    let field = Field::new();
    let (a, b) = (field.start("a").await, field.start("b").await);
    let channel = Channel::create(&a, &provider(&a).await, &Key::generate()).await;
    let keys = b.ask(&Request::admin("GET", "/signing-keys", None)).await.json();
    let keys = keys["signing_keys"].as_array().unwrap().clone();
    let active = keys.iter().find(|it| it["state"] == "active").unwrap();
    let there = async |sql: &str| {
        for _ in 0..1_000 {
            if !field.postgres.ask(&field.database, sql).unwrap().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nothing was found by {sql}");
    };

    let database = field.database.clone();
    let holder = thread::spawn(move || drop(crate::SHARED.sql(&database, HOLDS)));
    there(HELD).await;
    let ask = channel.issue_short_lived(With::default());
    let issued = async { a.ask(&ask).await };
    let revoked = async {
        there(WAITS).await;
        let revoke = json!({ "signing_key": active["kid"] });
        let done = b.ask(&Request::admin("POST", "/revocations", Some(&revoke))).await;
        field.postgres.ask(&field.database, RELEASE).unwrap();
        done
    };
    let (issued, revoked) = tokio::join!(issued, revoked);
    holder.join().unwrap();
    assert_eq!(revoked.status, 201, "{}", revoked.text());
    assert_eq!(issued.status, 503, "{}", issued.text());
    // The next one is signed by the key that took its place.
    let next = a.ask(&ask).await;
    assert_eq!(next.status, 200, "{}", next.text());
    assert!(verifies(&b, &token_in(&next)).await);
}
