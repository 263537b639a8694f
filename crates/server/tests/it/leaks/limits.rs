//! What many reports cost.

use super::{Desk, array_of};
use crate::world::JSON;
use serde_json::{Value, json};
use tegata_system::http::client_for;
use tegata_token::kind::Kind;
use tokio::task::JoinSet;

/// The acts and the commits that the metrics count.
async fn acts_and_commits(desk: &Desk) -> (u64, u64) {
    let metrics = desk.world.get("/metrics").await.text;
    let of = |name: &str| {
        let line = metrics.lines().find(|it| it.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64
    };
    (of("tegata_commit_acts_sum"), of("tegata_commit_acts_count"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_tokens_in_one_report_are_one_act_per_channel() {
    let desk = Desk::new().await;
    let (mut tokens, mut shops) = (Vec::new(), Vec::new());
    for number in 0..10 {
        shops.push(desk.world.channel(&format!("shop {number}")).await);
    }
    for shop in &shops {
        for _ in 0..3 {
            tokens.push(desk.world.issue(shop, Kind::ShortLived).await);
        }
        for _ in 0..97 {
            tokens.push(desk.world.issue(shop, Kind::Stateless).await);
        }
    }
    let body = array_of(&tokens);
    assert!(tokens.len() == 1_000 && body.len() <= 1 << 20, "{}", body.len());
    let before = acts_and_commits(&desk).await;
    let clock = || desk.world.authority().clock().steady();
    let began = clock();
    let reply = desk.github(&body).await;
    let took = clock().saturating_duration_since(began);
    let after = acts_and_commits(&desk).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let said: Vec<Value> = serde_json::from_str(&reply.text).unwrap();
    assert!(said.len() == 1_000 && said.iter().all(|it| it["label"] == "true_positive"));
    // The server's own jobs act meanwhile: checkpoints, a few each second.
    let (acts, commits) = (after.0 - before.0, after.1 - before.1);
    println!("1,000 tokens: {took:?}, {acts} acts in {commits} commits");
    assert!((10..200).contains(&acts), "{acts} acts in {commits} commits");
    for token in tokens.iter().step_by(37) {
        assert!(!desk.world.is_good(token).await);
    }
    assert_eq!(desk.events("leak.report").await.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_without_a_signature_are_limited_per_source_on_all_paths_together() {
    let desk = Desk::new().await;
    let mut sent = JoinSet::new();
    let http = client_for(&desk.world.url("").parse().unwrap()).build().unwrap();
    // A bucket holds 60, and gets one more each second.
    for number in 0..200 {
        let (path, body) = match number % 2 {
            0 => ("/report", json!({ "token": "unknown" })),
            _ => ("/credentials/revoke", json!({ "credentials": ["unknown"] })),
        };
        let request = http.post(desk.world.url(path)).header(JSON.0, JSON.1).body(body.to_string());
        sent.spawn(async move { request.send().await.unwrap() });
    }
    let replies = sent.join_all().await;
    // More than 32 at once are 503, and count as well.
    let throttled: Vec<_> = replies.iter().filter(|it| it.status() == 429).collect();
    assert!(!throttled.is_empty(), "{replies:?}");
    assert!(throttled.iter().all(|it| it.headers().contains_key("retry-after")));
    assert_eq!(desk.github(&array_of(&["a"])).await.status, 200, "a signed one is not limited");
}
