//! Health, figures, and the clock of `--dev`.

use crate::world::World;
use reqwest::Method;
use serde_json::json;
use std::{
    io,
    sync::{Arc, Mutex},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_is_alive_and_ready() {
    let world = World::new().await;
    world.get("/livez").await.is(200, r#"{"status":"alive"}"#);
    world.get("/readyz").await.is(200, r#"{"status":"ready"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_is_counted() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.short_lived(&shop, &[]).await.token();
    world.verify_opaque(&token).await;
    world.verify_opaque("junk").await;
    world.revoke_opaque(&token).await;
    world.gateway(&token, "").await;
    world.post("/oauth2/v3/token", &[("grant_type", "client_credentials")]).await;
    let shown = world.get("/metrics").await;
    assert!(shown.header("content-type").starts_with("application/openmetrics-text"));
    for line in [
        r#"tegata_issues_total{kind="short-lived",result="issued"} 1"#,
        r#"tegata_issue_seconds_count{kind="short-lived"} 1"#,
        r#"tegata_checks_total{face="line-v2",result="active"} 1"#,
        r#"tegata_checks_total{face="line-v2",result="refused"} 1"#,
        r#"tegata_checks_total{face="gateway",result="refused"} 1"#,
        "tegata_revocations_total 1",
        "tegata_view_channels 1",
        "tegata_bugs_total 0",
    ] {
        assert!(shown.text.contains(line), "{line} is missing in {}", shown.text);
    }
    assert!(!shown.text.contains(&token) && !shown.text.contains(&shop.secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_moves_forward_only_and_stays_moved_over_a_restart() {
    let mut world = World::new().await;
    let before = world.get("/dev/clock").await.json()["now_unix"].as_i64().unwrap();
    let body = json!({ "advance_seconds": 100_000 }).to_string();
    let moved = world.send(Method::POST, "/dev/clock", &[], body).await;
    assert_eq!(moved.status, 200);
    assert!(moved.json()["now_unix"].as_i64().unwrap() >= before + 100_000);
    for bad in [
        r#"{"advance_seconds": -1}"#,
        r#"{"advance_seconds": 1.5}"#,
        r#"{"advance_seconds": "1"}"#,
        r#"{"advance_seconds": 1, "x": 1}"#,
        r#"{"advance_seconds": 9223372036854775807}"#,
        "{}",
        "",
    ] {
        let answer = world.send(Method::POST, "/dev/clock", &[], bad.into()).await;
        assert_eq!(answer.status, 400, "{bad}");
    }
    world.restart().await;
    assert!(world.now() >= before + 100_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_dev_there_is_no_clock_to_move() {
    let world = World::with(|settings| settings.dev = false).await;
    world.get("/dev/clock").await.is(404, r#"{"message":"Not found"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_use_of_a_stored_token_is_noted() {
    let mut world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.short_lived(&shop, &[]).await.token();
    world.verify_opaque(&token).await;
    let used = world.now();
    // Stopping takes the stamps along.
    world.restart().await;
    let page = tegata_store::Page { before: None, most: 10 };
    let now = world.authority().now();
    let rows = world.authority().store().tokens(shop.id, Default::default(), page, now).await;
    let at = rows.unwrap()[0].1.last_used_at.unwrap().0;
    assert!((used - 5..=used).contains(&at));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_no_longer_matter_is_forgotten() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.stateless(&shop, &[]).await.token();
    world.revoke_jws(&shop, &token).await.is(200, "");
    assert_eq!(world.authority().view().channels(), 1);
    world.advance(40 * 86_400).await;
    assert_eq!(world.authority().view().channels(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_known_is_503_and_checks_go_on() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.short_lived(&shop, &[]).await.token();
    // Somebody else holds the database's write lock and does not let go.
    let other = rusqlite::Connection::open(world.folder.path().join("tegata.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (issued, revoked, ready) = tokio::join!(
        world.short_lived(&shop, &[]),
        world.revoke_opaque(&token),
        world.get("/readyz"),
    );
    for answer in [issued, revoked, ready] {
        answer.is(503, r#"{"message":"The service is temporarily unavailable. Try again later."}"#);
        assert_eq!(answer.header("retry-after"), "1");
    }
    assert_eq!(world.verify_opaque(&token).await.status, 200);
    other.execute_batch("ROLLBACK").unwrap();
    world.revoke_opaque(&token).await.is(200, "");
    assert_eq!(world.verify_opaque(&token).await.status, 400);
    assert_eq!(world.get("/readyz").await.status, 200);
}

// On one thread, so that the whole server logs to the subscriber set here.
#[tokio::test]
async fn the_log_names_paths_and_never_a_credential() {
    let log = Log::default();
    let to = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("tegata_server=trace,tegata_store=trace")
        .with_writer(move || to.clone())
        .with_ansi(false)
        .finish();
    let _here = tracing::subscriber::set_default(subscriber);
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let short = world.short_lived(&shop, &[]).await.token();
    let v21 = world.v21(&shop, &[]).await.token();
    let assertion = shop.assertion(world.now());
    world.key_ids(&assertion).await;
    world.verify_jws(&v21).await;
    world.verify_opaque(&short).await;
    world.gateway(&v21, "").await;
    world.revoke_jws(&shop, &v21).await;
    world.revoke_opaque(&short).await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for path in ["/v2/oauth/accessToken", "/oauth2/v2.1/tokens/kid", "/oauth2/v2.1/revoke"] {
        let line = log.lines().find(|line| line.contains(path)).unwrap();
        assert!(line.contains("INFO") && line.contains("status=200"), "{line}");
        assert!(line.contains("request_id=") && line.contains("source=127.0.0.1"), "{line}");
    }
    let check = log.lines().find(|line| line.contains("/oauth2/v2.1/verify")).unwrap();
    assert!(check.contains("DEBUG"), "{check}");
    for secret in [&shop.secret, &short, &v21, &assertion] {
        assert!(!log.contains(&**secret), "{log}");
        let tail = &secret[secret.len() - 20..];
        assert!(!log.contains(tail), "{log}");
    }
    assert!(!log.contains('?'), "a query string: {log}");
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
