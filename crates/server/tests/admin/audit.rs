//! The audit's list: its filters, and its pages.

use crate::world::{PEER, World};
use serde_json::{Value, json};

/// The acts of the events that a query finds, newest first.
async fn acts(world: &World, query: &str) -> Vec<String> {
    let page = world.get(&format!("/audit?{query}")).await.expect(200);
    let events = page["events"].as_array().unwrap();
    events.iter().map(|it| it["act"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn audit_events_are_found_by_what_they_concern_and_who_did_what_from_where() {
    let world = World::new().await;
    let (shop, other) = (world.channel().await, world.channel().await);
    world.patch(&shop.at("/groups/blue"), json!({ "cap": 2 })).await.expect(200);
    world.patch(&other.at("/groups/red"), json!({ "cap": 2 })).await.expect(200);
    let (_, token) = world.long_lived(&shop, 0).await;
    world.post(&shop.at("/revocations"), json!({ "token_id": token })).await.expect(201);
    world.post(&other.at("/revocations"), json!({ "all": true })).await.expect(201);
    world.delete(&shop.at("/groups/blue")).await.expect(200);

    let provider = format!("provider={}", shop.provider);
    let of_shop = ["group.delete", "token.revoke", "token.issue", "group.set", "channel.create"]
        .map(String::from);
    assert_eq!(acts(&world, &provider).await[..5], of_shop);
    assert_eq!(acts(&world, &provider).await[5..], ["provider.create"]);
    assert_eq!(acts(&world, &format!("channel={}", shop.id)).await, of_shop);
    assert_eq!(acts(&world, "group=blue").await, ["group.delete", "group.set"]);
    assert_eq!(acts(&world, &format!("token={token}")).await, ["token.revoke", "token.issue"]);
    assert_eq!(acts(&world, "act=token.revoke").await.len(), 2);
    let all = acts(&world, "").await.len();
    let by_root = acts(&world, "actor=administrator").await.len();
    assert_eq!(by_root + acts(&world, "actor=tegata").await.len(), all);
    assert_eq!(acts(&world, &format!("source={PEER}")).await.len(), by_root);
    assert_eq!(acts(&world, "source=192.0.2.9").await.len(), 0);

    // All filters hold at once, and ids that nothing has find nothing.
    let both = format!("act=token.revoke&channel={}&actor=administrator", shop.id);
    assert_eq!(acts(&world, &both).await, ["token.revoke"]);
    assert_eq!(acts(&world, "group=blue&act=token.revoke").await.len(), 0);
    for unknown in ["channel=9999999999", "provider=9999999999", "group=none", "actor=x"] {
        assert_eq!(acts(&world, unknown).await.len(), 0, "{unknown}");
    }
}

#[tokio::test]
async fn audit_events_are_found_by_time_the_end_excluded() {
    let world = World::new().await;
    let shop = world.channel().await;
    let newest = world.get("/audit?limit=1").await.expect(200)["events"][0].clone();
    let at: jiff::Timestamp = newest["at"].as_str().unwrap().parse().unwrap();
    let after = at + jiff::SignedDuration::from_secs(1);
    let all = acts(&world, "").await.len();
    assert_eq!(acts(&world, &format!("until={after}")).await.len(), all);
    assert_eq!(acts(&world, &format!("since={after}")).await.len(), 0);
    let since = acts(&world, &format!("since={at}&channel={}", shop.id)).await;
    assert_eq!(since, ["channel.create"]);
    let before = acts(&world, &format!("until={at}")).await;
    assert_eq!(before.len() + acts(&world, &format!("since={at}")).await.len(), all);
    assert_eq!(acts(&world, "until=2001-01-01T09:00:00%2B09:00").await.len(), 0);
    assert_eq!(acts(&world, "since=2001-01-01T09:00:00%2B09:00").await.len(), all);
    for wrong in ["since=yesterday", "until=1764000000", "since=2001-01-01"] {
        let path = format!("/audit?{wrong}");
        let detail = world.get(&path).await.expect_problem(400, "invalid-member");
        assert!(detail.contains("RFC 3339"), "{detail}");
    }
}

#[tokio::test]
async fn the_cursor_of_a_filtered_audit_list_continues_the_filtered_list() {
    let world = World::new().await;
    let shop = world.channel().await;
    for n in 0..5 {
        world.patch(&shop.at("/groups/blue"), json!({ "cap": n + 1 })).await.expect(200);
        world.patch(&shop.at("/groups/red"), json!({ "cap": n + 1 })).await.expect(200);
    }
    let (mut after, mut caps) = (String::new(), Vec::new());
    loop {
        let path = format!("/audit?group=blue&limit=2{after}");
        let page = world.get(&path).await.expect(200);
        for event in page["events"].as_array().unwrap() {
            assert_eq!(event["detail"]["group"], "blue");
            caps.push(event["detail"]["settings"]["cap"].as_i64().unwrap());
        }
        let Value::String(next) = &page["next"] else { break };
        after = format!("&after={next}");
    }
    assert_eq!(caps, [5, 4, 3, 2, 1]);
}

#[tokio::test]
async fn an_unknown_act_is_an_error_that_lists_the_acts_like_it() {
    let world = World::new().await;
    let problem = async |act: &str| {
        let path = format!("/audit?act={act}");
        world.get(&path).await.expect_problem(400, "invalid-member")
    };
    let detail = problem("channel.resumed").await;
    assert!(detail.contains("channel.resume") && !detail.contains("group.set"), "{detail}");
    let detail = problem("keys.delete").await;
    assert!(detail.contains("key.delete"), "{detail}");
    let detail = problem("nonsense").await;
    assert!(detail.contains("provider.create") && detail.contains("store.recover"), "{detail}");
    world.get("/audit?group=a%20b").await.expect_problem(400, "invalid-member");
    world.get("/audit?token=x").await.expect_problem(400, "invalid-member");
    world.get("/audit?source=x").await.expect_problem(400, "invalid-member");
}
