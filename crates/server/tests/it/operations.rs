//! Health, figures, and the clock of `--dev`.

use crate::world::World;
use reqwest::Method;
use serde_json::json;

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
